"""Output for a person: lines into a pipe, bars on a terminal, a table at the end."""

import dataclasses
import io
import re

import pytest
from faults import Fault, infect
from rich.console import Console

from ddp.config.schema import DISPLAYS
from ddp.experiment import run
from ddp.results.run_result import RunResult
from ddp.results.summary import print_result
from ddp.tracking.messages import AggregateRound, Reference
from ddp.tracking.metrics import SquaredError
from ddp.tracking.terminal import Bars, Lines, make_display
from ddp.tracking.tracker import Tracker

ESCAPE = "\x1b"
HIDE_CURSOR, SHOW_CURSOR = f"{ESCAPE}[?25l", f"{ESCAPE}[?25h"


def a_console(*, terminal: bool, width: int = 120) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=terminal, width=width, _environ={"TERM": "xterm"}
    )


def shown_on(console: Console) -> str:
    return console.file.getvalue()


def aggregate(round_index: int, elapsed_s: float = 1.5) -> AggregateRound:
    return AggregateRound(
        round_index=round_index,
        valid=SquaredError(4.0, 4),
        test=SquaredError(9.0, 4),
        weights=(1.0,),
        elapsed_s=elapsed_s,
    )


# --- which one ---


@pytest.mark.parametrize(
    ("display", "terminal", "kind"),
    [
        ("auto", True, Bars),
        ("auto", False, Lines),
        ("bars", True, Bars),
        ("bars", False, Bars),
        ("lines", True, Lines),
        ("lines", False, Lines),
        ("none", True, Tracker),
        ("none", False, Tracker),
    ],
)
def test_the_display_is_the_one_asked_for(make_config, display, terminal, kind):
    shown = make_display(make_config(f"display={display}"), a_console(terminal=terminal))
    try:
        assert type(shown) is kind
        assert display in DISPLAYS
    finally:
        shown.close()


def test_none_shows_nothing(make_config, tmp_path, capfd):
    console = a_console(terminal=True)
    config = make_config("backend=serial", "display=none")
    run(config, tmp_path, [make_display(config, console)])
    assert shown_on(console) == ""
    assert capfd.readouterr() == ("", "")


# --- lines ---


def test_a_line_a_round(make_config, tmp_path):
    console = a_console(terminal=False)
    config = make_config("backend=thread", "rounds=3", "display=lines")
    result = run(config, tmp_path, [make_display(config, console)])
    lines = shown_on(console).splitlines()
    assert len(lines) == 3
    for number, (line, row) in enumerate(
        zip(lines, result.history.aggregate_rounds, strict=True), start=1
    ):
        assert line.startswith(f"round {number}/3 ")
        errors = f"validation {row.valid.rmse:.4f}  test {row.test.rmse:.4f}"
        assert f"{errors}  after {row.elapsed_s:.2f} s" in line
    assert ESCAPE not in shown_on(console)


def test_a_line_on_a_terminal_is_the_same(make_config):
    console = a_console(terminal=True)
    Lines(make_config(), console).on(aggregate(0))
    assert (
        shown_on(console)
        == "round 1/2  aggregated RMSE: validation 1.0000  test 1.5000  after 1.50 s\n"
    )


def test_a_long_line_is_not_broken(make_config):
    console = a_console(terminal=False, width=80)
    Lines(make_config("rounds=100000"), console).on(aggregate(99_999, elapsed_s=12_345.67))
    assert len(shown_on(console).splitlines()) == 1


# --- bars ---


@pytest.mark.parametrize("backend", ["serial", "thread"])
def test_the_bars_reach_their_totals(make_config, tmp_path, backend):
    console = a_console(terminal=True)
    config = make_config(f"backend={backend}", "display=bars", "rounds=3", "local_epochs=4")
    bars = Bars(config, console)
    result = run(config, tmp_path, [bars])
    assert [task.description for task in bars.progress.tasks] == [
        "worker_0",
        "worker_1",
        "worker_2",
        "aggregated",
    ]
    assert [(task.completed, task.total) for task in bars.progress.tasks] == [(12, 12)] * 3 + [
        (3, 3)
    ]
    assert all(task.finished for task in bars.progress.tasks)
    final = (
        re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown_on(console))
        .replace("\r", "\n")
        .splitlines()[-4:]
    )
    for line, name in zip(final, ["worker_0", "worker_1", "worker_2", "aggregated"], strict=True):
        assert line.lstrip().startswith(name)
        assert ("3/3" if name == "aggregated" else "12/12") in line
    assert f"validation {result.last.valid.rmse:.4f}  test {result.test_rmse:.4f}" in final[-1]


def test_the_bars_stop_and_give_the_cursor_back_also_when_the_run_fails(make_config, tmp_path):
    class Fails(Tracker):
        def on(self, event):
            if isinstance(event, AggregateRound):
                raise RuntimeError("made up")

    console = a_console(terminal=True)
    bars = Bars(make_config("display=bars"), console)
    assert not bars.progress.live.is_started  # a run that is refused has shown nothing
    with pytest.raises(RuntimeError, match="made up"):
        run(bars.config, tmp_path, [bars, Fails()])
    assert not bars.progress.live.is_started
    assert shown_on(console).count(HIDE_CURSOR) == shown_on(console).count(SHOW_CURSOR) == 1
    assert [task.completed for task in bars.progress.tasks][-1] == 1


# --- the table at the end ---


@pytest.fixture(scope="module")
def result(make_config, tmp_path_factory) -> RunResult:
    return run(
        make_config("backend=thread", "local_epochs=1"), tmp_path_factory.mktemp("display"), []
    )


def table_rows(text: str) -> dict[str, list[str]]:
    """First cell -> the other cells, for the rows of workers and of the aggregate."""
    rows = [line.split() for line in text.splitlines()]
    return {
        row[0]: row[1:]
        for row in rows
        if row and (row[0].startswith("worker_") or row[0] == "aggregated")
    }


def check_table(text: str, result: RunResult) -> None:
    assert "thread: 3 workers, 2 rounds of 1 local epochs" in text
    rows = table_rows(text)
    assert list(rows) == ["worker_0", "worker_1", "worker_2", "aggregated"]
    for worker, row in enumerate(result.worker_rows()):
        cells = [f"{row['valid_rmse']:.4f}", f"{row['test_rmse']:.4f}"]
        cells += [f"{row[f'{name}_s']:.2f}" for name in ("startup", "compute", "wait")]
        cells += [f"{row[f'{name}_s'] * 1e3:.2f}" for name in ("publish", "receive", "lock_wait")]
        assert rows[f"worker_{worker}"] == cells
    aggregator = result.aggregator_row()
    cells = [
        f"{result.last.valid.rmse:.4f}",
        f"{result.test_rmse:.4f}",
        f"{aggregator['wait_s']:.2f}",
    ]
    cells += [
        f"{aggregator[f'{name}_s'] * 1e3:.2f}" for name in ("broadcast", "gather", "lock_wait")
    ]
    assert rows["aggregated"] == cells


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("width", [80, 170])
def test_the_table_at_the_end_is_whole_and_goes_where_the_console_writes(
    result, terminal, width, capfd
):
    console = a_console(terminal=terminal, width=width)
    print_result(result, console)
    text = shown_on(console)
    assert terminal or ESCAPE not in text
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    check_table(text, result)
    # in one piece, to be copied
    assert re.search(rf"^files: +{re.escape(str(result.output_dir))}$", text, re.MULTILINE)
    seconds = re.search(r"^seconds: +(.*)$", text, re.MULTILINE)[1].split()
    assert dict(zip(seconds[::2], seconds[1::2], strict=True)) == {
        stage: f"{value:.2f}" for stage, value in result.seconds.items()
    }
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("backend", "columns"),
    [("serial", set()), ("thread", {"lock"}), ("process", {"pickle", "transfer"}), ("shm", set())],
)
def test_the_table_shows_what_the_backend_has(make_config, tmp_path, backend, columns):
    console = a_console(terminal=False, width=80)
    print_result(RunResult(config=make_config(f"backend={backend}"), output_dir=tmp_path), console)
    assert set(shown_on(console).split()) & {"lock", "pickle", "transfer"} == columns


def test_the_gap_to_one_worker_is_shown_or_how_to_get_it(result):
    def lines_of(result):
        console = a_console(terminal=False, width=80)
        print_result(result, console)
        return shown_on(console).splitlines()

    assert "gap to one worker: not measured (reference=true trains it, once)" in lines_of(result)
    last = result.last
    compared = dataclasses.replace(
        result, reference=Reference(valid=last.valid.rmse - 0.01, test=last.test.rmse + 0.02)
    )
    lines = [line.split() for line in lines_of(compared)]
    assert [
        "one",
        "worker",
        f"{last.valid.rmse - 0.01:.4f}",
        f"{last.test.rmse + 0.02:.4f}",
    ] in lines
    assert ["gap", "to", "it", "+0.0100", "-0.0200"] in lines
    assert not any("measured" in line for line in lines)


@pytest.mark.parametrize(
    ("overrides", "noted"),
    [
        ((), False),
        (("aggregation=rows", "split=stratified"), False),
        (("aggregation=uniform", "split=stratified"), True),
        (("aggregation=rows", "aggregation.outer=adam", "split=stratified"), True),
    ],
)
def test_an_aggregation_that_was_not_used_is_said(make_config, tmp_path, overrides, noted):
    console = a_console(terminal=False, width=80)
    print_result(RunResult(config=make_config(*overrides), output_dir=tmp_path), console)
    assert ("nothing is averaged" in shown_on(console)) == noted


@pytest.mark.parametrize(
    ("overrides", "noted"),
    [
        (("split=stratified", "agg_timeout=7"), True),
        (("split=stratified", "agg_timeout=300"), False),  # as conf/ has it
        (("split=iid", "agg_timeout=7"), False),
    ],
)
def test_a_timeout_that_nothing_reads_is_said(make_config, tmp_path, overrides, noted):
    console = a_console(terminal=False, width=80)
    print_result(RunResult(config=make_config(*overrides), output_dir=tmp_path), console)
    assert ("agg_timeout=7 was not used" in shown_on(console)) == noted


def test_a_run_without_an_aggregate_has_a_table_too(make_config, tmp_path):
    console = a_console(terminal=False, width=80)
    shards = [{"worker": 0, "num_train": 1234}]
    print_result(
        RunResult(config=make_config("workers=1"), output_dir=tmp_path, shards=shards), console
    )
    rows = table_rows(shown_on(console))
    assert rows["worker_0"][:3] == ["-", "-", "-"]
    assert rows["aggregated"][:2] == ["-", "-"]


# --- failures ---


@pytest.mark.parametrize("display", ["lines", "bars"])
@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("drop", "worker 1 was dropped in round 1 (publish): RuntimeError: a fault"),
        (
            "restart",
            "worker 1 failed, and the round began again in round 1 (publish): RuntimeError: a"
            " fault",
        ),
    ],
)
def test_a_worker_that_failed_is_told_of(make_config, monkeypatch, tmp_path, display, policy, told):
    console = a_console(terminal=display == "bars")
    infect(monkeypatch, Fault("exception", "publishing", tmp_path / "done", last_round=2))
    config = make_config(
        "backend=thread", "trainer=fused", "rounds=3", f"on_failure={policy}", f"display={display}"
    )
    shown = make_display(config, console)
    result = run(config, tmp_path / "run", [shown])
    if display == "bars":
        assert "dropped" in shown_on(console) or policy == "restart"
        assert [task.completed for task in shown.progress.tasks][-1] == 3
    else:
        assert shown_on(console).splitlines().count(told) == 1
    after = a_console(terminal=False)
    print_result(result, after)
    assert told in shown_on(after).splitlines()
