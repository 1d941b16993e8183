"""The parts of the page, from the files of few runs."""

import json
import re

import pytest
from pages import page_of, read
from report_files import AGGREGATOR_KINDS, DATA, EVERYTHING, KINDS, lane, piece, trace, write_run

from ddp.report.page import PARTS
from ddp.report.tracing import read_traced_round
from ddp.timing.kinds import KINDS as TABLE

pytestmark = pytest.mark.usefixtures("fonts")


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((), ["memory"]),  # every result.json has the peak memory
        (("rounds",), ["accuracy", "memory"]),
        (("account",), ["time", "memory"]),
        (("trace",), ["rounds", "memory"]),
        (("data",), ["memory", "data"]),
        (EVERYTHING, ["accuracy", "time", "rounds", "memory", "data"]),
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


def test_rounds_have_errors_seconds_and_bytes_so_far(tmp_path):
    write_run(tmp_path / "run")
    [run] = read(tmp_path)
    assert [(done.number, done.rmse, done.elapsed_s) for done in run.rounds] == [
        (1, 0.96, 1.0),
        (2, 0.95, 2.0),
    ]
    assert [done.num_bytes for done in run.rounds] == [9e6, 18e6]  # three rows of 3 MB
    assert run.troubles == []


def test_bytes_of_a_run_that_did_not_count_copies_are_what_it_pickled(tmp_path):
    directory = write_run(tmp_path / "run")
    text = (directory / "rounds.csv").read_text().replace(",copied_bytes", ",unknown")
    (directory / "rounds.csv").write_text(text)
    assert [done.num_bytes for done in read(tmp_path)[0].rounds] == [3e6, 6e6]


def test_the_ratings_of_all_runs_are_described_once(tmp_path):
    for number in range(2):  # other seeds hold other ratings out
        told = {"mean": {"test": 1.1 + number}}
        write_run(tmp_path / str(number), seed=number, also={"baselines": told})
    page = page_of(tmp_path)
    shown = page.text[page.text.index("1,234") :]
    for rmse in ("1.1000", "2.1000"):
        assert f"simplest predictors: test RMSE of mean {rmse}" in shown
    assert page.text.count("1,234") == page.text.count("a note") == 1
    for text in (
        *("56", "78", "28 %", "1 to 5 (found: 1 to 4.5)", "3.25", "1997-09-20 to 1998-04-22"),
        *("tab (recognised)", "who, what, stars (given)", "12 rows: not rated"),
    ):
        assert text in shown


def test_different_ratings_are_described_with_their_runs(tmp_path):
    for number, users in enumerate((56, 57, 56)):
        write_run(tmp_path / str(number), seed=number, also={"data": DATA | {"num_users": users}})
    write_run(tmp_path / "older", seed=3, parts=())
    page = page_of(tmp_path)
    shown = page.text[page.text.rindex("The ratings") : page.text.rindex("All runs")]
    assert [shown.count(text) for text in ("1,234", "seed=0 and 1 more", "seed=1", "seed=3")] == [
        *(2, 1, 1, 0)
    ]


def test_the_ratings_of_many_runs_do_not_fill_the_page(tmp_path):
    for number in range(7):
        write_run(tmp_path / str(number), seed=number, also={"data": DATA | {"mean": number}})
    page = page_of(tmp_path)
    assert page.text.count("1,234") == 5
    assert "And 2 more, see data in result.json." in page.text


def test_bars_say_what_the_account_says(tmp_path):
    for number in range(2):
        write_run(tmp_path / str(number), seed=number)
    titles = page_of(tmp_path).titles
    # two runs and their mean, in seconds and in parts
    for owner in ("seed=0", "seed=1", "thread: 2 runs"):
        assert titles.count(f"{owner}: mean worker: compute 1 s, 50.0%") == 2
        assert titles.count(f"{owner}: aggregator: average 0.5 s, 25.0%") == 2
    assert not any("exit" in title for title in titles)


def test_bars_of_one_run_are_its_lanes(tmp_path):
    write_run(tmp_path / "run")
    page = page_of(tmp_path)
    for who in ("worker_0", "worker_1", "aggregator"):
        assert any(title.startswith(f"{who}: ") for title in page.titles)
    assert "aggregator, waits most for worker_1, 0.75 s" in page.text
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
    assert found.number == 2
    assert list(found.lanes) == ["aggregator", "worker_0", "worker_1"]
    assert [(each.kind, each.start_s, each.end_s) for each in found.lanes["worker_0"]] == [
        ("compute", 0.1, 0.175), ("evaluate", 0.175, 0.2),
    ]  # fmt: skip
    titles = page_of(tmp_path).titles
    assert "thread, 2 workers: round 2, worker_1: compute 75 ms" in titles
    assert "thread, 2 workers: round 2, aggregator: wait 75 ms" in titles


def test_a_timeline_of_a_run_that_never_had_a_whole_round_is_of_what_there_is(tmp_path):
    events = trace(["worker_0"], 0)
    (tmp_path / "trace.json").write_text(json.dumps(events))
    found = read_traced_round(tmp_path / "trace.json")
    assert (found.number, list(found.lanes)) == (1, ["aggregator"])


def test_slices_that_follow_one_another_are_one(tmp_path):
    directory = write_run(tmp_path / "run")
    events = trace(["worker_0", "worker_1"], 1)
    events["traceEvents"] += [
        piece("compute", 1, 100_000, 100_000, {"round": 1}),
        piece("compute", 1, 200_000, 50_000, {"round": 1}),
    ]
    (directory / "trace.json").write_text(json.dumps(events))
    titles = page_of(tmp_path).titles
    assert "thread, 2 workers: round 1, worker_0: compute 150 ms" in titles


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
    assert ["process, 2 workers", known, "-", "23"] in page.rows  # the table below the picture
