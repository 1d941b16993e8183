"""What a run shows on the terminal: progress while it goes, a table at the end."""

import math

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from ddp.config.schema import Config
from ddp.tracking.messages import AggregateRound, EpochDone, Failure, Started
from ddp.tracking.tracker import AGGREGATED, Tracker, worker_name

BUSY, WAITING = "training", "waiting for the aggregate"


def make_display(config: Config, console: Console) -> Tracker:
    """The tracker that `display` names; `auto`: bars on a terminal, one line a round where the
    output is piped.
    """
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
            f" validation {number(row.valid.rmse, 4)}  test {number(row.test.rmse, 4)}  after"
            f" {row.elapsed_s:.2f} s",
            highlight=False,
            soft_wrap=True,
        )

    def failure(self, failure: Failure) -> None:
        if failure.action != "abort":  # of which the message at the end tells
            self.console.print(told_as_text(failure), highlight=False, soft_wrap=True)


class Bars(Tracker):
    """One live bar per worker, counting local epochs, and one for the aggregate, counting
    rounds.
    """

    def __init__(self, config: Config, console: Console) -> None:
        self.config = config
        columns = (
            TextColumn("{task.description:>10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
        )
        self.progress = Progress(
            *columns, TimeElapsedColumn(), console=console, refresh_per_second=5
        )
        num_epochs = config.rounds * config.local_epochs
        self.workers: list[TaskID] = [
            self.progress.add_task(
                worker_name(worker), total=num_epochs, start=False, note="starting"
            )
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
        last = (
            message.epoch == self.config.local_epochs - 1 and self.config.split.name != "stratified"
        )
        done = message.round_index * self.config.local_epochs + message.epoch + 1
        self.progress.update(
            self.workers[message.worker], completed=done, note=WAITING if last else BUSY
        )

    def aggregate_round(self, row: AggregateRound) -> None:
        note = f"RMSE validation {number(row.valid.rmse, 4)}  test {number(row.test.rmse, 4)}"
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


def told_as_text(failure: Failure) -> str:
    """One sentence: which worker failed, where, and what was done about it."""
    done = {"drop": "was dropped", "restart": "failed, and the round began again"}.get(
        failure.action, "failed"
    )
    where = (
        "before its first round"
        if failure.round_index is None
        else f"in round {failure.round_index}"
    )
    return f"worker {failure.worker} {done} {where} ({failure.phase}): {failure.reason}"


def number(value: float, digits: int) -> str:
    """A dash for an error over no ratings."""
    return "-" if math.isnan(value) else f"{value:.{digits}f}"
