"""The report: one file that needs no other. It shows all runs, and marks damaged ones."""

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import pytest
from report_files import AGGREGATOR_KINDS, KINDS, lane, piece, trace, write_run, write_sweep

from ddp.report.comparing import give_labels, groups_over
from ddp.report.page import PARTS, make_page
from ddp.report.reading import read_run
from ddp.report.svg import INKS
from ddp.report.tracing import read_traced_round
from ddp.results.run_file import find_runs, read_runs
from ddp.timing.kinds import KINDS as TABLE

ROOT = Path(__file__).parent.parent.parent
EVERY_PART = [*PARTS, "runs", "origin"]
EVIL = (
    "<script>alert('x')</script><img src=http://evil.example/x onerror=alert(1)>"
    " \" ' & $\\frac{$ \x1b \ud800 \u202e"
)
pytestmark = pytest.mark.usefixtures("fonts")


class Page(HTMLParser):
    """The parts of a page as a reader finds them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.sections, self.ids, self.titles, self.labels = [], [], [], [], []
        self.rows, self.headers, self.text = [], [], ""
        self._open = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        self._open.append(tag)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.sections += [attrs["id"]] if tag == "section" else []
        self.titles += [""] if tag == "title" else []
        self.labels += [attrs["aria-label"]] if tag == "svg" and "aria-label" in attrs else []
        self.rows += [[]] if tag == "tr" else []
        if tag == "td":
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        if not {"script", "style"} & set(self._open):
            self.text += data
        if "title" in self._open:
            self.titles[-1] += data
        elif "td" in self._open:
            self.rows[-1][-1] += data
        elif "th" in self._open:
            self.headers.append(data)


def page_of(folder):
    page = Page(make_page(read_runs(find_runs([folder]))))
    assert "could not be drawn" not in page.text
    return page


@pytest.fixture(scope="module")
def command(programs):
    return lambda *arguments, cwd: programs.run("-m", "ddp.report", *arguments, cwd=cwd)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    return write_sweep(tmp_path_factory.mktemp("sweep"))


@pytest.fixture(scope="module")
def shown(sweep):
    return page_of(sweep)


# --- the command ---


def test_the_command_writes_one_file_and_says_where(command, tmp_path):
    write_run(tmp_path / "a" / "run")
    write_run(tmp_path / "b" / "run")
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    ended = command("a", "b", cwd=tmp_path)
    assert (ended.returncode, ended.stderr, ended.stdout) == (0, "", "report: a/report.html\n")
    assert {path for path in tmp_path.rglob("*") if path.is_file()} - before == {
        tmp_path / "a" / "report.html"
    }
    assert "2 runs" in Page((tmp_path / "a" / "report.html").read_text()).titles[0]
    ended = command("a", "--out", "new/mine.html", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (0, "report: new/mine.html\n")
    assert "1 run" in Page((tmp_path / "new" / "mine.html").read_text()).titles[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "error: nowhere is not a directory"),
        ((".", "file"), "error: file is not a directory"),
        (("empty",), "error: no result.json below empty"),
    ],
)
def test_nothing_to_report_is_one_line(command, tmp_path, arguments, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    ended = command(*arguments, cwd=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", message + "\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file"]


def test_a_report_that_cannot_be_written_is_one_line_and_leaves_nothing(command, tmp_path):
    write_run(tmp_path / "run")
    (tmp_path / "taken").mkdir()
    before = sorted(tmp_path.rglob("*"))
    ended = command("run", "--out", "taken", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.fullmatch(r"error: taken: Is a directory.*--out FILE\n", ended.stderr)
    assert sorted(tmp_path.rglob("*")) == before


def test_only_a_report_pays_for_matplotlib():
    code = (
        "import sys, ddp.launch.command, ddp.results.table, ddp.experiment, ddp.tracking.terminal\n"
        "print('matplotlib' in sys.modules)\n"
        "import ddp.report.__main__\n"
        "print('matplotlib.pyplot' in sys.modules)\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert shown == "False\nFalse\n"


def test_what_matplotlib_was_told_is_as_before_and_does_not_matter(sweep, shown):
    with matplotlib.rc_context({"font.size": 33, "axes.labelpad": 44, "svg.fonttype": "path"}):
        before = dict(matplotlib.rcParams)
        assert page_of(sweep).tags == shown.tags
        assert dict(matplotlib.rcParams) == before


# --- one file ---


def test_nothing_on_the_page_is_somewhere_else(sweep):
    text = make_page(read_runs(find_runs([sweep])))
    page = Page(text)
    assert "http:" not in text.replace("http-equiv", "")
    assert "https:" not in text
    assert not re.search(r"@import|url\((?!#)", text)
    links = [
        attrs[name]
        for _, attrs in page.tags
        for name in ("href", "src", "srcset", "data")
        if name in attrs
    ]
    assert links
    assert all(link.startswith("#") for link in links)
    assert {link[1:] for link in links} <= set(page.ids)
    assert len(set(page.ids)) == len(page.ids)
    policy = next(
        attrs["content"] for tag, attrs in page.tags if tag == "meta" and "http-equiv" in attrs
    )
    assert policy.startswith("default-src 'none'")


def test_every_colour_is_the_pages_in_both_modes(sweep):
    text = make_page(read_runs(find_runs([sweep])))
    style = text[text.index("<style>") : text.index("</style>")]
    for name in INKS:  # once for light pages, and once for dark ones
        assert style.count(f"--{name}:") == 2, name
    pictures = "".join(re.findall(r"<svg .*?</svg>", text, re.DOTALL))
    assert not re.search(r"(fill|stroke): ?#", pictures)
    assert set(re.findall(r"var\(--([\w-]+)\)", pictures)) <= set(INKS)


# --- which parts there are ---


def test_a_sweep_with_everything_has_every_part(shown):
    assert [name for name in shown.sections if name != "missing"] == EVERY_PART
    assert "14 runs" in shown.titles[0]
    for name in ("ended well", "fastest", "run with the lowest validation RMSE", "12of 14"):
        assert name in shown.text


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((), ["memory"]),  # every run says its peak
        (("rounds",), ["accuracy", "memory"]),
        (("account",), ["time", "memory"]),
        (("trace",), ["rounds", "memory"]),
        (("account", "memory", "rounds", "trace"), ["accuracy", "time", "rounds", "memory"]),
    ],
)
def test_a_part_is_there_where_its_data_is_and_else_it_is_said(tmp_path, parts, expected):
    write_run(tmp_path / "run", parts=parts)
    page = page_of(tmp_path)
    assert page.sections == [*expected, "runs", "origin", "missing"]
    missing = page.text[page.text.rindex("What is not here") :]
    assert all(PARTS[name][2] in missing for name in PARTS if name not in expected)
    assert not any(PARTS[name][2] in missing for name in expected)


@pytest.mark.parametrize(
    ("runs", "scaling", "grids"),
    [
        ([(1, 1), (2, 1)], True, False),
        ([(2, 1), (4, 1)], False, False),  # without one worker
        ([(1, 1), (2, 5)], False, False),  # not everything else is equal
        ([(1, 1), (2, 1), (1, 5), (2, 5)], True, True),
        ([(1, 1), (1, 5)], False, False),
    ],
)
def test_comparisons_need_runs_that_can_be_compared(tmp_path, runs, scaling, grids):
    for number, (workers, local_epochs) in enumerate(runs):
        write_run(tmp_path / str(number), workers=workers, local_epochs=local_epochs)
    sections = page_of(tmp_path).sections
    assert ("scaling" in sections, "grids" in sections) == (scaling, grids)


def test_runs_that_failed_are_not_compared_with(tmp_path):
    write_run(tmp_path / "0", workers=1)
    write_run(tmp_path / "1", workers=2, status="failed")
    assert "scaling" not in page_of(tmp_path).sections


# --- what is in them ---


def read(folder):
    return [read_run(file) for file in read_runs(find_runs([folder]))]


def test_rounds_have_errors_seconds_and_bytes_so_far(tmp_path):
    write_run(tmp_path / "run")
    [run] = read(tmp_path)
    assert [(done.index, done.rmse, done.elapsed_s) for done in run.rounds] == [
        (0, 0.96, 1.0),
        (1, 0.95, 2.0),
    ]
    assert [done.num_bytes for done in run.rounds] == [9e6, 18e6]  # three rows of 3 MB
    assert run.troubles == []


def test_bytes_of_a_run_that_did_not_count_copies_are_what_it_pickled(tmp_path):
    directory = write_run(tmp_path / "run")
    text = (directory / "rounds.csv").read_text().replace(",copied_bytes", ",unknown")
    (directory / "rounds.csv").write_text(text)
    assert [done.num_bytes for done in read(tmp_path)[0].rounds] == [3e6, 6e6]


def test_bars_say_what_the_account_says(tmp_path):
    for number in range(2):
        write_run(tmp_path / str(number), seed=number)
    titles = page_of(tmp_path).titles
    # two runs and their mean, in seconds and in parts
    assert titles.count("mean worker: compute 1 s, 50.0%") == 6
    assert titles.count("aggregator: average 0.5 s, 25.0%") == 6
    assert not any("exit" in title for title in titles)


def test_bars_of_one_run_are_its_lanes(tmp_path):
    write_run(tmp_path / "run")
    page = page_of(tmp_path)
    for who in ("worker_0", "worker_1", "aggregator"):
        assert any(title.startswith(f"{who}: ") for title in page.titles)
    assert "aggregator, waits for worker_1 0.75 s" in page.text
    [header] = [index for index, text in enumerate(page.headers) if text == "wall"]
    assert page.headers[header + 1 : header + 10] == [
        kind for kind in TABLE if kind in KINDS | AGGREGATOR_KINDS
    ]


def test_a_lane_that_ended_early_and_a_kind_that_nobody_knows_are_said_and_counted(tmp_path):
    directory = write_run(tmp_path / "run")
    result = json.loads((directory / "result.json").read_text())
    result["account"][0] = lane("worker_0", {"compute": 1.0, "teleport": 3.0}, {}, closed=False)
    (directory / "result.json").write_text(json.dumps(result))
    page = page_of(tmp_path)
    assert "ended early: worker_0" in page.text
    assert "worker_0: other 3 s, 75.0%" in page.titles


def test_a_timeline_is_of_the_last_round_that_every_lane_has(tmp_path):
    directory = write_run(tmp_path / "run")
    found = read_traced_round(directory / "trace.json")
    assert found.index == 1
    assert list(found.lanes) == ["aggregator", "worker_0", "worker_1"]
    assert [(each.kind, each.start_s, each.end_s) for each in found.lanes["worker_0"]] == [
        ("compute", 0.1, 0.175), ("evaluate", 0.175, 0.2),
    ]  # fmt: skip
    titles = page_of(tmp_path).titles
    assert "worker_1: compute 75 ms" in titles
    assert "aggregator: wait 75 ms" in titles


def test_a_timeline_of_a_run_that_never_had_a_whole_round_is_of_what_there_is(tmp_path):
    events = trace(["worker_0"], 0)
    (tmp_path / "trace.json").write_text(json.dumps(events))
    found = read_traced_round(tmp_path / "trace.json")
    assert (found.index, list(found.lanes)) == (0, ["aggregator"])


def test_slices_that_follow_one_another_are_one(tmp_path):
    directory = write_run(tmp_path / "run")
    events = trace(["worker_0", "worker_1"], 1)
    events["traceEvents"] += [
        piece("compute", 1, 100_000, 100_000, {"round": 0}),
        piece("compute", 1, 200_000, 50_000, {"round": 0}),
    ]
    (directory / "trace.json").write_text(json.dumps(events))
    assert "worker_0: compute 150 ms" in page_of(tmp_path).titles


def test_one_timeline_per_backend_of_the_run_with_the_most_workers(shown):
    lanes = "aggregator; worker_0; worker_1; worker_2; worker_3"
    assert [label for label in shown.labels if "round 2" in label] == [
        f"{backend}, 4 workers, 1 local epoch: round 2: {lanes}"
        for backend in ("thread", "process")
    ]
    assert "process, 4 workers, 1 local epoch: round 2" in shown.text


def test_heat_maps_are_there_in_figures_and_equal_ones_are_one(shown):
    captions = [label for label in shown.labels if label.startswith(("test RMSE, ", "seconds, "))]
    assert captions == [
        "test RMSE, thread, process", "seconds, the whole run, thread", "seconds, the whole run,"
                                                                        " process"
    ]  # fmt: skip
    rows = [row for row in shown.rows if len(row) == 6 and row[0] in ("thread", "process")]
    assert rows[0] == ["thread", "1", "1", "0.9480", "10", "1"]
    assert rows[-1] == ["process", "4", "5", "0.9380", "5.75", "1"]
    assert len(rows) == 12


def test_memory_is_that_of_the_run_which_took_the_most(shown):
    assert "1,300 MB peak RSS" in shown.text  # the main process, and four workers
    assert "800 MB PSS" in shown.text
    assert "500 MB peak RSS" in shown.text  # threads are in the main process
    assert "400 MB PSS" in shown.text
    assert shown.text.count("23 MB shared") == 2


@pytest.mark.parametrize("missing", ["account", "a worker's", "main"])
def test_memory_of_which_a_part_is_not_known_is_not_known(tmp_path, missing):
    directory = write_run(tmp_path / "run", backend="process")
    result = json.loads((directory / "result.json").read_text())
    if missing == "account":
        del result["account"]
    elif missing == "main":
        result["memory"]["processes"] = []
    else:
        result["account"][0]["pss_bytes"] = None
    (directory / "result.json").write_text(json.dumps(result))
    page = page_of(tmp_path)
    known = "900" if missing == "a worker's" else "300"
    assert re.findall(r"(\d+) MB (peak RSS|PSS)", page.text) == [(known, "peak RSS")]
    assert ["process, 2 workers", known, "-", "23"] in page.rows  # the same in figures


def test_the_table_has_every_run_and_what_they_differ_in(shown):
    assert re.search(r"trainer.lr=1e\+30: WorkerError: worker 1 diverged", shown.text)
    rows = [row for row in shown.rows if row and row[0] in ("ok", "failed", "unreadable")]
    assert [row[0] for row in rows] == ["ok"] * 12 + ["failed", "unreadable"]
    assert "WorkerError: worker 1 diverged" in rows[12]
    headers = shown.headers[shown.headers.index("status") :]
    assert {
        "workers",
        "local epochs",
        "backend",
        "trainer lr",
        "test rmse",
        "error",
        "directory",
    } <= set(headers)
    assert not {"seed", "rounds", "trainer"} & set(headers)
    assert re.search(r"\d+ settings that are the same in all runs.*seed0", shown.text)
    assert "trainer.lr0.02" not in shown.text


def test_settings_that_all_share_versions_and_commands_are_said_once(tmp_path):
    for number in range(3):
        write_run(
            tmp_path / str(number), seed=number, command=["train.py", "-m", "data.path=my file.csv"]
        )
    text = page_of(tmp_path).text
    assert text.count("9.8.7") == 1
    assert text.count("train.py -m 'data.path=my file.csv'") == 1
    assert text.count("trainer.lr0.02") == 1


def test_the_best_run_is_chosen_by_validation_and_shown_by_test(tmp_path):
    for number, (valid, test) in enumerate([(0.90, 0.97), (0.92, 0.93)]):
        write_run(
            tmp_path / str(number),
            seed=number,
            rmse=test,
            also={"rmse": {"valid": valid, "test": test}},
        )
    assert (
        "test RMSE of the run with the lowest validation RMSE0.9700seed=0" in page_of(tmp_path).text
    )
    for number in range(2):  # without a validation part
        path = tmp_path / str(number) / "result.json"
        path.write_text(
            json.dumps(
                json.loads(path.read_text())
                | {"rmse": {"valid": None, "test": 0.97 - 0.04 * number}}
            )
        )
    assert "test RMSE of the run with the lowest test RMSE0.9300seed=1" in page_of(tmp_path).text


def test_seconds_of_a_resumed_run_are_left_out_and_that_is_said(tmp_path):
    for workers in (1, 2, 4):
        write_run(
            tmp_path / str(workers), workers=workers, train_s=8.0 / workers, total_s=10.0 / workers
        )
    assert "fastest, the whole run2.5 s" in page_of(tmp_path).text
    path = tmp_path / "4" / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"resumed": True}))
    page = page_of(tmp_path)
    assert "fastest, the whole run5 s2 workers" in page.text
    bars = [label for label in page.labels if label.startswith("where the time went: 1 worker")]
    assert bars == ["where the time went: 1 worker; 2 workers"] * 2
    assert (
        "Resumed: 4 workers: their seconds and accounts are of the last process only" in page.text
    )
    assert "have no account" not in page.text
    # total s, train s
    assert next(row for row in page.rows if row and row[0] == "ok" and row[-1] == "4")[5:7] == [
        "-",
        "-",
    ]
    [run] = [run for run in read(tmp_path) if run.resumed]
    assert (run.total_s, run.train_s, run.lanes) == (None, None, [])
    assert run.rounds[-1].elapsed_s == 2.0  # rounds.csv has them all


def test_warnings_are_said_once_with_how_many_had_them(tmp_path):
    for number in range(9):
        write_run(
            tmp_path / str(number), seed=number, also={"warnings": ["slow disk", f"only {number}"]}
        )
    page = page_of(tmp_path)
    warnings = page.text[page.text.rindex("Warnings") :].partition("What is not here")[0]
    assert warnings.startswith("Warnings9 runs: slow diskseed=0: only 0")
    assert "and: 5 more" in warnings
    assert "only 4" not in warnings
    assert page.text.count("slow disk") == 1


def test_machines_are_told_apart_where_they_differ(tmp_path):
    here, there = (
        {"cpu_model": model, "usable_cores": 2, "cpu_count": 8}
        for model in ("Fast CPU", "Slow CPU")
    )
    for number, (workers, machine) in enumerate([(1, here), (2, here), (1, there), (2, there)]):
        write_run(
            tmp_path / str(number),
            workers=workers,
            train_s=8.0 / workers,
            also={"environment": machine},
        )
    page = page_of(tmp_path)
    assert "Fast CPU (in 0, 1), Slow CPU (in 2, 3)" in page.text
    fast, slow = "Fast CPU with 2 cores", "Slow CPU with 2 cores"
    assert [row[-2] for row in page.rows if row and row[0] == "ok"] == [fast, fast, slow, slow]
    groups = groups_over(read(tmp_path), ("workers",))
    assert [group.label for group in groups] == [f"on {fast}", f"on {slow}"]
    shutil.rmtree(tmp_path / "2")
    shutil.rmtree(tmp_path / "3")
    assert "Fast CPU with" not in page_of(tmp_path).text
    write_run(tmp_path / "old", also={"environment": {"platform": "Linux", "cpu_count": 8}})
    assert {run.settings["machine"] for run in read(tmp_path)} == {fast, "Linux with 8 cores"}


def test_a_page_says_that_its_figures_are_measured(shown):
    assert "All figures are measured, none is simulated." in shown.text


def test_runs_are_called_by_what_they_differ_in(tmp_path):
    for number, (backend, workers) in enumerate(
        [("thread", 1), ("thread", 2), ("shm", 2), ("shm", 2)]
    ):
        write_run(tmp_path / str(number), backend=backend, workers=workers)
    runs = read(tmp_path)
    give_labels(runs)
    name = tmp_path.name
    assert [run.label for run in runs] == [
        "thread, 1 worker", "thread, 2 workers", f"shm, 2 workers ({name}/2)", "shm, 2 workers"
                                                                               f" ({name}/3)"
    ]  # fmt: skip


# --- any content of the files ---


def test_what_stands_in_files_is_shown_and_not_obeyed(tmp_path):
    directory = write_run(
        tmp_path / "<b>$x_{$ \x1b\xa0" / "run",
        status="failed",
        error=EVIL,
        command=["train.py", EVIL],
        note=EVIL,
    )
    write_run(tmp_path / "other", backend=EVIL)
    result = json.loads((directory / "result.json").read_text())
    result["account"][0]["who"] = EVIL
    result["account"][0]["waits_for"] = {EVIL: 0.25}
    result["account"][0]["seconds"] = {EVIL: 1.0}
    result["environment"] |= {EVIL: EVIL}
    result["warnings"] = [EVIL]
    (directory / "result.json").write_text(json.dumps(result))
    events = trace(["worker_0"], 2)
    events["traceEvents"][1]["args"]["name"] = EVIL
    (directory / "trace.json").write_text(json.dumps(events))
    text = make_page(read_runs(find_runs([tmp_path])))
    page = Page(text)
    assert [tag for tag, _ in page.tags if tag in ("script", "img", "b", "iframe")].count(
        "script"
    ) == 1
    assert "img" not in [tag for tag, _ in page.tags]
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert page.text.count("<script>alert('x')</script>") >= 5
    assert {"accuracy", "time", "rounds", "memory"} <= set(page.sections)
    assert not re.search("[\x1b\ud800\u202e]", text)
    text.encode()


FILES = {
    "result.json": ("runs", "unreadable"),
    "rounds.csv": ("accuracy", "no run has finished a round"),
    "trace.json": ("rounds", "no run has a trace.json"),
}
DAMAGE = {
    "empty": b"",
    "cut": b'{"status": "ok", "traceEvents": [{"ph"',
    "bytes": b"\xff\xfe\x00\x01",
    "nested": b"[" * 100_000,
    "foreign": b'{"status": 3, "traceEvents": {"a": 1}}',
    "list": b"[1]",
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("file", FILES)
def test_damage_costs_its_own_part_and_is_said(tmp_path, file, damage):
    part, reason = FILES[file]
    directory = write_run(tmp_path / "0")
    (directory / file).write_bytes(DAMAGE[damage])
    page = page_of(tmp_path)
    if file == "result.json":
        assert page.sections[0] == "accuracy"  # its rounds can be read all the same
        status, *_, error, _ = page.rows[-1]
        assert (status, "result.json: " in error) == (
            ("3", False) if damage == "foreign" else (reason, True)
        )
    else:
        assert page.sections == [
            name
            for name in ("accuracy", "time", "rounds", "memory", "runs", "origin", "missing")
            if name != part
        ]
        missing = page.text[page.text.rindex("What is not here") :]
        assert reason in missing
        assert f"thread, 2 workers: {file}: " in missing


def test_runs_without_an_account_beside_others_are_counted(tmp_path):
    write_run(tmp_path / "0")
    write_run(tmp_path / "1", parts=("rounds",))
    page = page_of(tmp_path)
    assert "time" in page.sections
    assert "Where the time went: 1 runs have no account" in page.text


def test_damage_of_one_run_does_not_cost_the_others(tmp_path):
    for number in range(3):
        write_run(tmp_path / str(number), seed=number)
    (tmp_path / "1" / "rounds.csv").write_text("nothing\n1\n")
    (tmp_path / "1" / "trace.json").write_text("{")
    (tmp_path / "2" / "rounds.csv").unlink()
    result = json.loads((tmp_path / "1" / "result.json").read_text())
    result["account"] = [{"who": "worker_0", "wall_s": "long"}]
    (tmp_path / "1" / "result.json").write_text(json.dumps(result))
    page = page_of(tmp_path)
    assert page.sections == ["accuracy", "time", "rounds", "memory", "runs", "origin", "missing"]
    missing = page.text[page.text.rindex("What is not here") :]
    assert "seed=1: rounds.csv: ValueError: is no table of rounds" in missing
    assert "seed=1: result.json, account: KeyError" in missing
    assert "seed=2: rounds.csv: No such file or directory" in missing
    assert "seed=0: " not in missing


@pytest.mark.parametrize(
    "account",
    [
        {},
        [1],
        ["x"],
        [{"who": "a", "wall_s": 1, "seconds": [1]}],
        [{"who": "a", "wall_s": 1, "seconds": {"compute": "x"}}],
        7,
    ],
)
def test_an_account_of_another_kind_costs_its_part_only(tmp_path, account):
    directory = write_run(tmp_path / "run")
    result = json.loads((directory / "result.json").read_text()) | {"account": account}
    (directory / "result.json").write_text(json.dumps(result))
    assert {"accuracy", "rounds", "memory", "runs"} <= set(page_of(tmp_path).sections)


def test_figures_that_no_run_has_do_not_cost_the_page(tmp_path):
    for number, seconds in enumerate([float("inf"), -1, 0, 1e300, True, "1", None]):
        directory = write_run(tmp_path / str(number), seed=number)
        result = json.loads((directory / "result.json").read_text())
        result["account"][0]["seconds"] = {"compute": seconds, "wait": 1.0}
        result["memory"]["shared_bytes"] = seconds
        (directory / "result.json").write_text(json.dumps(result))
    page = page_of(tmp_path)
    assert {"accuracy", "time", "rounds", "memory", "runs"} <= set(page.sections)


def test_runs_that_were_refused_or_killed_are_in_the_table(tmp_path):
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "config.yaml").write_text("workers: 5\n")
    page = page_of(tmp_path)
    assert page.sections == ["runs", "origin", "missing"]
    assert page.rows[-1][0] == "no result"


def test_a_page_has_the_colours_of_the_table_in_both_modes(tmp_path):
    write_run(tmp_path / "run")
    style = re.search(r"<style>(.*)</style>", make_page(read_runs(find_runs([tmp_path]))), re.S)[1]
    light, dark, *rest = style.split("@media (prefers-color-scheme: dark)")
    variable = r"--kind-(\w+): (#[0-9a-f]{6});"
    assert re.findall(variable, light) == [(name, kind.light) for name, kind in TABLE.items()]
    assert re.findall(variable, dark) == [(name, kind.dark) for name, kind in TABLE.items()]
    assert not re.findall(variable, "".join(rest))
    assert set(re.findall(r"var\(--kind-(\w+)\)", "".join(rest))) <= set(TABLE)
