"""The table at the end of a run."""

import dataclasses
import re

import pytest
from consoles import ESCAPE, a_console, shown_on

from ddp.config.run_name import MAX_NAME, PLAIN_RUN
from ddp.experiment import run
from ddp.results.run_result import RunResult
from ddp.results.summary import print_result
from ddp.tracking.messages import Reference


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
    assert "thread: 3 workers, 2 rounds of 1 local epoch" in text
    rows = table_rows(text)
    assert list(rows) == ["worker_0", "worker_1", "worker_2", "aggregated"]
    for worker, row in enumerate(result.worker_rows()):
        cells = [f"{row['valid_rmse']:.4f}", f"{row['test_rmse']:.4f}"]
        kinds = result.lanes()[worker].seconds  # as the line about workers has them
        named = ("startup", "compute", "gil_wait", "wait")
        cells += [f"{kinds.get(name, 0.0):.2f}" for name in named]
        cells += [f"{row[f'{name}_s'] * 1e3:.2f}" for name in ("publish", "receive")]
        cells += [f"{kinds['lock_wait'] * 1e3:.2f}"]
        assert rows[f"worker_{worker}"] == cells
    aggregator, kinds = result.aggregator_row(), result.lanes()[-1].seconds
    cells = [f"{result.last.valid.rmse:.4f}", f"{result.test_rmse:.4f}"]
    cells += [f"{kinds.get(name, 0.0):.2f}" for name in ("gil_wait", "wait")]
    cells += [f"{aggregator[f'{name}_s'] * 1e3:.2f}" for name in ("broadcast", "gather")]
    cells += [f"{kinds['lock_wait'] * 1e3:.2f}"]
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
    below = [line for line in text.splitlines() if not line.startswith("files:")]
    assert not terminal or max(map(len, below)) <= width  # the terminal cuts no number
    seconds = re.search(r"^seconds: +(.*(\n {12}.*)*)$", text, re.MULTILINE)[1].split()
    assert dict(zip(seconds[::2], seconds[1::2], strict=True)) == {
        stage: f"{value:.2f}" for stage, value in result.seconds.items()
    }
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("width", [60, 80])
def test_the_name_that_a_command_gave_stands_above_the_table(result, width):
    def top(name):
        console = a_console(terminal=False, width=width)
        named = dataclasses.replace(result.config, name=name)
        print_result(dataclasses.replace(result, config=named), console)
        return [line.strip() for line in shown_on(console).splitlines()[1:3]]

    assert top("backend=process") == ["backend=process", result.title]
    assert top(PLAIN_RUN)[0] == top(None)[0] == result.title
    start, end = top(f"from{'-' * (MAX_NAME - 6)}to")[0].split("...")
    assert (start[:5], end[-3:]) == ("from-", "-to")
    assert len(start) + len(end) + 3 <= width


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


@pytest.mark.parametrize("width", [1, 20, 40, 60])
def test_a_narrow_terminal_shows_the_table_in_parts(result, width):
    console = a_console(terminal=True, width=width)
    print_result(result, console)
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown_on(console))
    whole = a_console(terminal=False, width=80)
    print_result(result, whole)
    rows: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, *cells = line.split() or [""]
        if name.startswith("worker_") or name == "aggregated":
            rows.setdefault(name, []).extend(cells)
    assert rows == table_rows(shown_on(whole))
    if width >= 40:
        table = text[: text.index("gap to one worker")].splitlines()
        assert max(map(len, table)) <= width
