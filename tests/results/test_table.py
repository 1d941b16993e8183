"""The table of many runs, also of those that failed, were killed or cannot be read."""

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
from ddp.results.run_file import find_runs, read_runs
from ddp.results.screen import print_runs
from ddp.results.table import COLUMNS
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
    metrics = ["mae", "ndcg@10", "recall@10"]
    assert [name for name in table.columns if name not in metrics] == list(COLUMNS)
    assert all((table[name][:2] > 0).all() and table[name][2:].isna().all() for name in metrics)
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
    lanes = [lane["seconds"] for lane in result["account"] if lane["who"].startswith("worker")]
    assert len(lanes) == 3
    for name in ("startup", "compute", "gil_wait", "wait"):
        mean = sum(lane.get(name, 0.0) for lane in lanes) / 3
        assert row[f"{name}_s"] == pytest.approx(mean), name
    for name in ("lock_wait", "transfer"):
        assert row[f"{name}_ms"] == pytest.approx(1e3 * sum(lane[name] for lane in lanes) / 3), name


def test_without_an_account_the_rounds_of_each_worker_tell_what_it_took(make_config, tmp_path):
    run(make_config("account=false"), tmp_path, [])
    (file,) = read_runs([tmp_path])
    workers = file.content["workers"]
    expected = sum(worker["compute_s"] for worker in workers) / 3
    assert file.worker_means["compute_s"] == pytest.approx(expected)
    assert math.isnan(file.worker_means["gil_wait_s"])  # not measured, which is not 0


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
    assert re.search(r"^ *0\.125 .*\n *0\.25 ", shown, re.MULTILINE)
    assert shown.count("  trainer=autograd ") == shown.count("autograd") - shown.count("python ")
    assert shown.index("trainer=autograd") < shown.index("0.125")  # once, above the table


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
        (("nowhere",), "error: nowhere is not a directory"),
        ((".", "nowhere"), "error: nowhere is not a directory"),
        (("file",), "error: file is not a directory"),
        (("empty",), "error: no result.json below empty"),
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


def test_the_place_of_the_table_is_shown_as_it_is(command, outputs, tmp_path):
    (tmp_path / "[" / "a][b]").mkdir(parents=True)
    ended = command(outputs, "--csv", "[/a][b]/:car:\x1b[31m.csv", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "table: [/a][b]/:car:\\x1b[31m.csv\n" in ended.stdout


def test_a_table_is_written_without_pandas(outputs, tmp_path):
    """pandas takes longer to load than the rest of the command."""
    shutil.copytree(outputs / "a" / "ok", tmp_path / "0")
    (tmp_path / "0" / ".hydra").mkdir()
    (tmp_path / "0" / ".hydra" / "config.yaml").touch()
    code = (
        "import sys; from pathlib import Path\n"
        "from ddp.launch.sweep_end import SWEEP; from ddp.results.command import main\n"
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


def test_rows_are_sorted_and_the_first_are_shown_in_columns_that_are_named(
    command, outputs, tmp_path
):
    shown = ("--columns", "status,seconds,rmse", "--csv", tmp_path / "all.csv")
    ended = command(outputs, "--sort", "rmse", *shown, cwd=ROOT)
    assert (ended.returncode, ended.stderr) == (0, "")
    table = pd.read_csv(tmp_path / "all.csv")
    known = sorted(f"{rmse:.4f}" for rmse in table.valid_rmse.dropna())
    assert len(known) == 4
    lines = [line.split() for line in ended.stdout.splitlines()]
    assert [line[-1] for line in lines if len(line) == 3 and line[-1] in known] == known
    assert ["status", "s", "rmse"] in lines
    ended = command(outputs, "--sort", "rmse", "--top", "2", *shown, cwd=ROOT)
    assert ended.stdout.startswith("2 of 5 runs: ")
    assert known[1] in ended.stdout
    assert known[2] not in ended.stdout
    assert len(pd.read_csv(tmp_path / "all.csv")) == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--sort", "rmsee"), "there is no column rmsee; did you mean rmse"),
        (("--columns", "workers,backends"), "there is no column backends; did you mean backend"),
        (("--columns", "qqq"), "there is no column qqq; results.csv has all columns"),
        (("--top", "0"), "0 is no number of rows"),
        (("--top", "-1"), "-1 is no number of rows"),
    ],
)
def test_a_column_that_does_not_exist_is_refused_with_close_ones(
    command, outputs, arguments, message
):
    ended = command(outputs, *arguments, cwd=ROOT)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
