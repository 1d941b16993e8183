"""What a run shows on the terminal: progress while it goes, a table at the end."""

import math
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from ddp.config.options import Aggregation, RowsAggregation
from ddp.config.schema import Config
from ddp.results.accounts import summary, total_seconds
from ddp.results.record import RunResult
from ddp.tracking.messages import AggregateRound, EpochDone, Failure, Started
from ddp.tracking.tracker import AGGREGATED, Tracker, worker_name

BUSY, WAITING = "training", "waiting for the aggregate"


def make_display(config: Config, console: Console) -> Tracker:
    """The tracker that `display` names; `auto`: bars on a terminal, one line a round where the output is piped."""
    kind = config.display
    if kind == "auto":
        kind = "bars" if console.is_terminal else "lines"
    return {"bars": Bars, "lines": Lines}[kind](config, console) if kind != "none" else Tracker()


class Lines(Tracker):
    """One line a round: readable in a file."""

    def __init__(self, config: Config, console: Console) -> None:
        self.config = config
        self.console = console

    def aggregate_round(self, row: AggregateRound) -> None:
        self.console.print(
            f"round {row.round_index + 1}/{self.config.rounds}  aggregated RMSE:"
            f" validation {_number(row.valid.rmse, 4)}  test {_number(row.test.rmse, 4)}  after {row.elapsed_s:.2f} s",
            highlight=False,
            soft_wrap=True,
        )

    def failure(self, failure: Failure) -> None:
        if failure.action != "abort":  # of which the message at the end tells
            self.console.print(_told(failure), highlight=False, soft_wrap=True)


class Bars(Tracker):
    """One live bar per worker, counting local epochs, and one for the aggregate, counting rounds."""

    def __init__(self, config: Config, console: Console) -> None:
        self.config = config
        columns = (TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"))
        self.progress = Progress(*columns, TimeElapsedColumn(), console=console, refresh_per_second=5)
        num_epochs = config.rounds * config.local_epochs
        self.workers: list[TaskID] = [
            self.progress.add_task(worker_name(worker), total=num_epochs, start=False, note="starting")
            for worker in range(config.workers)
        ]
        self.dropped: set[TaskID] = set()
        self.aggregate = self.progress.add_task(AGGREGATED, total=config.rounds, note="")

    def open(self) -> None:
        self.progress.start()

    def started(self, message: Started) -> None:
        self.progress.start_task(self.workers[message.worker])
        self.progress.update(self.workers[message.worker], note=BUSY)

    def epoch(self, message: EpochDone) -> None:
        last = message.epoch == self.config.local_epochs - 1 and self.config.split.name != "stratified"
        done = message.round_index * self.config.local_epochs + message.epoch + 1
        self.progress.update(self.workers[message.worker], completed=done, note=WAITING if last else BUSY)

    def aggregate_round(self, row: AggregateRound) -> None:
        note = f"RMSE validation {_number(row.valid.rmse, 4)}  test {_number(row.test.rmse, 4)}"
        self.progress.update(self.aggregate, advance=1, note=note)

    def rewind(self, next_round: int, last: AggregateRound | None) -> None:
        for task in self.workers:
            note = "dropped" if task in self.dropped else BUSY
            self.progress.update(task, completed=next_round * self.config.local_epochs, note=note)
        self.progress.update(self.aggregate, completed=next_round)

    def failure(self, failure: Failure) -> None:
        if failure.action == "drop":
            self.dropped.add(self.workers[failure.worker])
            self.progress.update(self.workers[failure.worker], note="dropped")

    def close(self) -> None:
        for task in self.workers:
            self.progress.update(task, note="dropped" if task in self.dropped else "")
        self.progress.stop()


# Column of the final table -> (key of the rows of RunResult, decimals, factor to the unit shown).
RMSES = {"RMSE\nvalid": ("valid_rmse", 4, 1.0), "RMSE\ntest": ("test_rmse", 4, 1.0)}
PHASES = {"start\ns": ("startup_s", 2, 1.0), "compute\ns": ("compute_s", 2, 1.0), "wait\ns": ("wait_s", 2, 1.0)}
EXCHANGE = {"publish\nms": ("publish_s", 2, 1e3), "receive\nms": ("receive_s", 2, 1e3)}
LOCK = {"lock wait\nms": ("lock_wait_s", 2, 1e3)}
PICKLE = {"pickle\nms": ("pickle_s", 2, 1e3), "transfer\nms": ("transfer_s", 2, 1e3)}
BACKEND_COLUMNS = {"thread": LOCK, "process": PICKLE}


NOTHING_AVERAGED = (
    "note: with split=stratified every row has one owner and nothing is averaged: aggregation={} was not used; try split={}"
)


def print_result(result: RunResult, console: Console) -> None:
    """The table at the end of a run: RMSE per worker and aggregated, seconds by kind, and where the files are."""
    config = result.config
    title = f"{config.backend.name}: {config.workers} workers, {config.rounds} rounds of {config.local_epochs} local epochs"
    table = Table(title=title, box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="underline")  # fits 80 columns
    columns = RMSES | PHASES | EXCHANGE | BACKEND_COLUMNS.get(config.backend.name, {})
    table.add_column("", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for row in result.worker_rows():
        table.add_row(worker_name(row["worker"]), *_cells(row, columns))
    # Its end of the exchange: it receives when it gathers, and publishes when it broadcasts.
    aggregator = result.aggregator_row()
    aggregator |= {"publish_s": aggregator["broadcast_s"], "receive_s": aggregator["gather_s"]}
    table.add_row(AGGREGATED, *_cells(aggregator, columns), style="bold")
    if result.reference is not None and result.last is not None:
        one, own = result.reference, result.last
        table.add_row("one worker", _number(one.valid, 4), _number(one.test, 4))
        gaps = (own.valid.rmse - one.valid, own.test.rmse - one.test)
        table.add_row("gap to it", *("-" if math.isnan(gap) else f"{gap:+.4f}" for gap in gaps))
    console.print()
    console.print(table)
    if result.reference is None:
        console.print("gap to one worker: not measured (reference=true trains it, once)", style="dim", highlight=False)
    if config.split.name == "stratified" and not _plain_rows(config.aggregation):
        instead = "copies" if config.aggregation.name == "ensemble" else "iid"
        console.print(NOTHING_AVERAGED.format(config.aggregation.name, instead), highlight=False, soft_wrap=True)
    for failure in result.history.failures:
        console.print(_told(failure), highlight=False, soft_wrap=True)
    console.print()
    if config.account:
        lanes_of = {"workers": result.lanes()[:-1], "aggregator": result.lanes()[-1:]}
        for who, lanes in lanes_of.items():
            console.print(f"{who + ':':11} {summary(total_seconds(lanes))}", highlight=False)
    seconds = "  ".join(f"{stage} {value:.2f}" for stage, value in result.seconds.items())
    console.print(f"seconds:    {seconds}\nfiles:      {result.output_dir}", highlight=False, soft_wrap=True)


def _told(failure: Failure) -> str:
    done = {"drop": "was dropped", "restart": "failed, and the round began again"}.get(failure.action, "failed")
    where = "before its first round" if failure.round_index is None else f"in round {failure.round_index}"
    return f"worker {failure.worker} {done} {where} ({failure.phase}): {failure.reason}"


def _plain_rows(options: Aggregation) -> bool:
    return isinstance(options, RowsAggregation) and options.power == 1 and options.outer == "none"


def _cells(row: dict[str, Any], columns: Mapping[str, tuple[str, int, float]]) -> list[str]:
    return [_number(row[key] * factor, digits) if key in row else "" for key, digits, factor in columns.values()]


def _number(value: float, digits: int) -> str:
    """A dash for an error over no ratings."""
    return "-" if math.isnan(value) else f"{value:.{digits}f}"
