"""One table of many runs, also of those that failed, were killed or cannot be read."""

import csv
import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from ddp.errors import AggregationError
from ddp.experiment import run
from ddp.results.run_file import find_runs, read_run_file, read_runs
from ddp.results.table import COLUMNS, print_runs, rows_of
from ddp.tracking.messages import AggregateRound
from ddp.tracking.tracker import Tracker

ROOT = Path(__file__).parent.parent.parent


class Raises(Tracker):
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def on(self, event):
        if isinstance(event, AggregateRound):
            raise self.error


@pytest.fixture(scope="module")
def outputs(make_config, tmp_path_factory) -> Path:
    """Two runs that ended well (on two backends), a failed, an interrupted, a damaged one."""
    folder = tmp_path_factory.mktemp("outputs")
    run(make_config("backend=thread"), folder / "a" / "ok", [])
    run(make_config("backend=serial", "workers=2"), folder / "a" / "second", [])
    with pytest.raises(AggregationError):
        run(make_config(), folder / "b failed", [Raises(AggregationError("it is, made up"))])
    with pytest.raises(KeyboardInterrupt):
        run(make_config(), folder / "c", [Raises(KeyboardInterrupt())])
    (folder / "d").mkdir()
    (folder / "d" / "result.json").write_text('{"status": "o')
    return folder


@pytest.fixture(scope="module")
def command(programs):
    return lambda *arguments, cwd: programs.run("-m", "ddp.results", *arguments, cwd=cwd)


@pytest.fixture(scope="module")
def shown(command, outputs) -> tuple[str, pd.DataFrame]:
    ended = command(outputs, cwd=ROOT)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout, pd.read_csv(outputs / "results.csv")


def test_the_command_prints_every_run(shown):
    text, table = shown
    assert "5 runs" in text
    for status, rmse in zip(table.status, table.test_rmse, strict=True):
        shortened = status[:5]  # a long word may be folded
        number = "-" if math.isnan(rmse) else f"{rmse:.4f}"
        assert re.search(rf"^{shortened}.* {number} ", text, re.MULTILINE), (status, text)
    assert "\x1b" not in text


def test_the_table_is_written_too(shown, outputs):
    text, table = shown
    assert f"table: {outputs / 'results.csv'}\n" in text
    assert list(table.columns) == list(COLUMNS)
    assert list(table.status) == ["ok", "ok", "failed", "interrupted", "unreadable"]
    assert list(table.backend)[:4] == ["thread", "serial", "thread", "thread"]
    assert list(table.workers)[:4] == [3, 2, 3, 3]
    assert [Path(directory) for directory in table.directory] == [
        outputs / "a" / "ok", outputs / "a" / "second", outputs / "b failed", outputs / "c",
        outputs / "d",
    ]  # fmt: skip
    assert table.error[2] == "AggregationError: it is, made up"
    assert table.error[[0, 1, 3]].isna().all()
    assert table.error[4]
    assert table.iloc[4].drop(["status", "error", "directory"]).isna().all()


def test_a_row_is_what_the_runs_own_files_say(shown, outputs):
    _, table = shown
    result = json.loads((outputs / "a" / "ok" / "result.json").read_text())
    row = table.iloc[0]
    assert row.test_rmse == result["rmse"]["test"]
    assert row.valid_rmse == result["rmse"]["valid"]
    assert row.total_s == result["seconds"]["total"]
    assert (row.rounds, row.local_epochs, row.seed, row["model.dim"]) == (2, 2, 0, 8)
    assert (row.data, row.split, row.trainer, row.aggregation) == (
        "synthetic",
        "iid",
        "autograd",
        "inverse_loss",
    )
    for name in ("startup", "compute", "wait"):
        assert row[f"{name}_s"] == pytest.approx(
            sum(worker[f"{name}_s"] for worker in result["workers"]) / 3
        ), name
    for name in ("lock_wait", "pickle", "transfer"):
        assert row[f"{name}_ms"] == pytest.approx(
            1e3 * sum(worker[f"{name}_s"] for worker in result["workers"]) / 3
        ), name


@pytest.mark.parametrize(
    "text",
    [
        '{"workers": [1]}',
        '{"status": "ok", "workers": [{"wait_s": "x"}]}',
        '{"status": "ok", "rmse": {"test": []}}',
    ],
)
def test_a_result_with_something_else_inside_is_a_row(tmp_path, text):
    assert read_run_file(make_run(tmp_path / "a", text)).status == "unreadable"


def test_a_folder_with_another_config_is_no_run(tmp_path):
    (tmp_path / "config.yaml").write_text("# The defaults\ndefaults: []\n")
    assert find_runs([tmp_path]) == []


def test_what_a_sweep_varies_is_shown_and_what_it_does_not_is_left_out(
    make_config, tmp_path, capsys
):
    from ddp.experiment import run

    for number, lr in enumerate(("0.125", "0.25")):
        run(
            make_config("backend=serial", "rounds=1", f"trainer.lr={lr}"),
            tmp_path / str(number),
            [],
        )
    print_runs(read_runs(find_runs([tmp_path])), None)
    shown = capsys.readouterr().out
    assert "trainer.lr" in shown
    assert re.search(r" 0\.125 .*\n.* 0\.25 ", shown)
    assert "autograd" not in shown


def test_a_run_that_was_interrupted_counts_what_it_finished(shown):
    _, table = shown
    assert table.test_rmse[3] > 0


def test_the_table_can_go_elsewhere_and_several_directories_can_be_given(
    command, outputs, tmp_path
):
    ended = command(outputs / "b failed", outputs / "a", "--csv", "new/table.csv", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    table = pd.read_csv(tmp_path / "new" / "table.csv")
    assert sorted(table.status) == ["failed", "ok", "ok"]
    assert not (outputs / "a" / "results.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "nowhere is not a directory"),
        ((".", "nowhere"), "nowhere is not a directory"),
        (("file",), "file is not a directory"),
        (("empty",), "no result.json below empty"),
        ((), "DIR"),
    ],
)
def test_nothing_to_show_is_said_in_one_message(command, tmp_path, arguments, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    ended = command(*arguments, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file"]


# --- parts ---


def make_run(directory: Path, text: str = "{}") -> Path:
    directory.mkdir(parents=True)
    (directory / "result.json").write_text(text)
    return directory


def test_a_bare_job_directory_is_a_row(tmp_path):
    (tmp_path / ".hydra").mkdir()
    [row] = rows_of(read_runs([tmp_path]))
    assert row["status"] == "no result"
    assert row["directory"] == str(tmp_path)
    assert "killed" in row["error"]


def test_the_command_shows_a_run_that_was_killed(make_config, tmp_path):
    from ddp.results.run_directory import run_directory

    make_run(tmp_path / "ended")
    with run_directory(make_config(), tmp_path / "killed", resume=False):
        pass
    assert [path.name for path in find_runs([tmp_path])] == ["ended", "killed"]


@pytest.mark.parametrize("text", ["", "{", "\udcff", '"ok'])
def test_a_result_that_cannot_be_read_is_a_row(tmp_path, text):
    directory = make_run(tmp_path / "a")
    (directory / "result.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    file = read_run_file(directory)
    assert file.status == "unreadable"
    assert file.error


@pytest.mark.parametrize(
    "text", ['{"status": "ok"}', '{"status": "ok", "config": null, "rmse": [], "workers": []}']
)
def test_a_result_of_another_kind_has_holes(tmp_path, text):
    [row] = rows_of(read_runs([make_run(tmp_path / "a", text)]))
    assert row["status"] == "ok"
    assert {row[name] for name in COLUMNS if name not in ("status", "directory")} == {None}


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"status": "ok", "seconds": {"total": 1' + "0" * 400 + "}}",
        '{"status": "ok", "workers": {"wait_s": 1}}',
    ],
)
def test_a_result_that_breaks_its_reader_is_a_row(tmp_path, text):
    assert read_run_file(make_run(tmp_path / "a", text)).status == "unreadable"


def test_runs_that_differ_in_a_list_are_shown_side_by_side(tmp_path, capsys):
    for name, paths in (("a", ["x.csv", "y.csv"]), ("b", ["x.csv"]), ("c", None)):
        data = {"name": "csv", "paths": paths}
        make_run(
            tmp_path / name, json.dumps({"status": "ok", "config": {"workers": 1, "data": data}})
        )
    print_runs(read_runs(find_runs([tmp_path])), None)
    assert "['x.csv', 'y.csv']" in capsys.readouterr().out


def test_a_setting_that_one_run_has_and_another_has_not_is_shown(tmp_path, capsys):
    for name, interval in (("a", 0.25), ("b", None)):
        backend = {"name": "thread", "poll_interval_s": interval}
        make_run(
            tmp_path / name,
            json.dumps({"status": "ok", "config": {"workers": 1, "backend": backend}}),
        )
    print_runs(read_runs(find_runs([tmp_path])), None)
    shown = capsys.readouterr().out
    assert "interval" in shown
    assert re.search(r" thread +0\.25 .*\n.* thread +- ", shown)


def test_numbers_of_a_column_have_one_type(tmp_path):
    """Integers become floats beside a hole or a float, and stay integers elsewhere."""
    for name, workers, lr, seed in (("a", 2, 1, 7), ("b", 4, 0.5, 8)):
        config = {"workers": workers, "seed": seed, "trainer": {"name": "fused", "lr": lr}}
        make_run(tmp_path / name, json.dumps({"status": "ok", "config": config}))
    make_run(tmp_path / "c", json.dumps({"status": "ok", "config": {"workers": 4}}))
    print_runs(read_runs(find_runs([tmp_path])), tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(newline="") as file:
        written = [
            [row[name] for name in ("workers", "seed", "trainer", "trainer.lr", "test_rmse")]
            for row in csv.DictReader(file)
        ]
    assert written == [
        ["2", "7.0", "fused", "1.0", ""],
        ["4", "8.0", "fused", "0.5", ""],
        ["4", "", "", "", ""],
    ]


def test_a_table_is_written_without_pandas(outputs, tmp_path):
    """pandas takes longer to load than the rest of the command."""
    shutil.copytree(outputs / "a" / "ok", tmp_path / "0")
    (tmp_path / "0" / ".hydra").mkdir()
    (tmp_path / "0" / ".hydra" / "config.yaml").touch()
    code = (
        "import sys; from pathlib import Path\n"
        "from ddp.launch.sweep import SWEEP; from ddp.results.table import main\n"
        "SWEEP.begin(Path(sys.argv[1]))\n"
        "assert main() == SWEEP.end(0) == 0\n"
        "print(*sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, tmp_path], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert (tmp_path / "results.csv").read_text() == (tmp_path / "sweep.csv").read_text()
    assert (tmp_path / "report.html").exists()
    modules = ended.stdout.split()
    assert "ddp.report.page" in modules
    assert "pandas" not in modules


def test_what_stands_in_a_result_is_shown_and_not_obeyed(tmp_path, capsys):
    make_run(
        tmp_path / "a",
        json.dumps(
            {"status": "failed", "error": "[/bold] [red]not red[/red] \x1b[2J\r \ud800 caf\xe9"}
        ),
    )
    print_runs(read_runs([tmp_path / "a"]), tmp_path / "table.csv")
    shown = " ".join(capsys.readouterr().out.split())
    assert "[/bold] [red]not red[/red] ?[2J? ? caf\xe9" in shown
    [error] = pd.read_csv(tmp_path / "table.csv").error
    assert error == "[/bold] [red]not red[/red] ?[2J? ? caf\xe9"


def test_a_folder_that_is_called_like_a_file_of_a_run(tmp_path):
    (tmp_path / "a" / "config.yaml").mkdir(parents=True)
    (tmp_path / "b" / "result.json").mkdir(parents=True)
    found = find_runs([tmp_path])
    assert found == [tmp_path / "b"]
    assert [run.status for run in read_runs(found)] == ["unreadable"]


def test_digits_that_are_no_numbers_are_text(tmp_path):
    made = [make_run(tmp_path / name) for name in ("1\xb23", "2")]
    assert find_runs([tmp_path]) == made


@pytest.mark.parametrize("text", ["[]", "null", "3"])
def test_json_that_is_no_result_is_a_row(tmp_path, text):
    assert read_run_file(make_run(tmp_path / "a", text)).status == "unreadable"


def test_runs_come_in_the_order_of_their_dates_each_once(tmp_path):
    names = ["2026-01-02/10-00-00-5", "2025-12-31/23-59-59-9", "2026-01-02/09-59-59-0"]
    made = {name: make_run(tmp_path / name) for name in names}
    found = find_runs([tmp_path, tmp_path / "2026-01-02"])
    assert found == [made[names[1]], made[names[2]], made[names[0]]]


def test_the_jobs_of_a_sweep_come_in_their_order(tmp_path):
    made = [make_run(tmp_path / str(number)) for number in range(12)]
    assert find_runs([tmp_path]) == made


def test_a_run_in_the_given_directory_itself_is_found(tmp_path):
    make_run(tmp_path / "a")
    assert find_runs([tmp_path / "a"]) == [tmp_path / "a"]


def test_columns_in_which_all_runs_agree_are_left_out_of_what_is_printed(outputs, tmp_path, capsys):
    runs = read_runs([outputs / "a" / "ok", outputs / "a" / "second"])
    print_runs(runs, tmp_path / "table.csv")
    text = capsys.readouterr().out
    header = text[: text.index("ok ")].split()
    assert {"test", "rmse", "workers"} <= set(header)
    assert not {"seed", "aggregation", "error", "split"} & set(header)
    for file in runs:
        assert f" {file.outcome['test_rmse']:.4f} " in text
    written = pd.read_csv(tmp_path / "table.csv")
    assert list(written.seed) == [0, 0]
    assert not any(math.isnan(value) for value in written.compute_s)
