"""Progress of a run on the terminal: one line per round, or a live bar per worker."""

import math
from collections.abc import Sequence
from textwrap import fill

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
from ddp.counting import in_round, round_of
from ddp.machine.printable import printable
from ddp.tracking.messages import (
    AggregateRound,
    EpochDone,
    Event,
    Failure,
    RatingsRead,
    Rewound,
    Started,
)
from ddp.tracking.tracker import AGGREGATED, Tracker, worker_name

UNKNOWN_WIDTH = 80  # as rich has it without a terminal
BARS_WIDTH = 72  # characters that bars, counts, notes and times need
BUSY, WAITING = "training", "waiting for the aggregate"


def make_console() -> Console:
    """The terminal, or where the output goes in its place.

    It shows texts as they are: [a] in the name of a directory is no markup, and :car: no picture.
    COLUMNS gives its width. COLUMNS=0 says that nobody knows it, and rich would show no letter.
    """
    console = Console(markup=False, emoji=False, highlight=False)
    if console.width < 1:
        console.width = UNKNOWN_WIDTH
    return console


def make_display(config: Config, console: Console) -> Tracker:
    """The tracker that `display` in the config names.

    With `auto` it is bars on a terminal, and lines where the output is piped.
    """
    kind = config.display
    if kind == "auto":
        kind = "bars" if console.is_terminal else "lines"
    return {"bars": Bars, "lines": Lines}[kind](config, console) if kind != "none" else Tracker()


class Lines(Tracker):
    """One line per round, readable in a file."""

    def __init__(self, config: Config, console: Console) -> None:
        self.config = config
        self.console = console

    def on(self, event: Event) -> None:
        match event:
            case RatingsRead():
                print_facts(event.lines, self.console)
            case AggregateRound():
                self.console.print(
                    f"round {round_of(event.round_index)}/{self.config.rounds}  aggregated RMSE:"
                    f" validation {number(event.valid.rmse, 4)}  test {number(event.test.rmse, 4)}"
                    f"  after {event.elapsed_s:.2f} s",
                    soft_wrap=True,
                )
            case Failure() if event.action != "abort":  # the last message says it
                text = printable(failure_as_text(event))
                self.console.print(text, soft_wrap=True)


class Bars(Tracker):
    """A live bar per worker that counts local epochs, and one that counts aggregates."""

    def __init__(self, config: Config, console: Console) -> None:
        self.config = config
        self.narrow = console.width < BARS_WIDTH  # no room for bars: only counts and notes
        name, count = TextColumn("{task.description:>10}"), MofNCompleteColumn()
        note = TextColumn("{task.fields[note]}")
        columns = (name, BarColumn(), count, note, TimeElapsedColumn())
        self.progress = Progress(
            *((name, count, note) if self.narrow else columns),
            console=console,
            refresh_per_second=5,
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

    def on(self, event: Event) -> None:
        match event:
            case RatingsRead():
                print_facts(event.lines, self.progress.console)
            case Started():
                self.progress.start_task(self.workers[event.worker])
                self.progress.update(self.workers[event.worker], note=BUSY)
            case EpochDone():
                self._epoch_done(event)
            case AggregateRound(valid=valid, test=test):
                note = "RMSE " if self.narrow else f"RMSE validation {number(valid.rmse, 4)}  "
                note += f"test {number(test.rmse, 4)}"
                self.progress.update(self.aggregate, advance=1, note=note)
            case Failure() if event.action == "drop":
                self.dropped.add(self.workers[event.worker])
                self.progress.update(self.workers[event.worker], note="dropped")
            case Rewound(next_round=next_round):
                self._rewind(next_round)

    def _epoch_done(self, event: EpochDone) -> None:
        num_epochs = self.config.local_epochs
        waits = event.epoch == num_epochs - 1 and not self.config.stratified
        done = event.round_index * num_epochs + event.epoch + 1
        self.progress.update(
            self.workers[event.worker], completed=done, note=WAITING if waits else BUSY
        )

    def _rewind(self, next_round: int) -> None:
        for task in self.workers:
            note = "dropped" if task in self.dropped else BUSY
            self.progress.update(task, completed=next_round * self.config.local_epochs, note=note)
        self.progress.update(self.aggregate, completed=next_round)

    def close(self) -> None:
        for task in self.workers:
            self.progress.update(task, note="dropped" if task in self.dropped else "")
        self.progress.stop()


def print_facts(lines: Sequence[tuple[str, str]], console: Console) -> None:
    """Prints labels and texts. On a terminal it folds a text that is too long, below its start."""
    for label, text in lines:
        start = "note: " if label == "note" else f"{label and label + ':':12}"
        line = start + text
        if console.is_terminal:
            line = fill(
                text, console.width, initial_indent=start, subsequent_indent=" " * len(start)
            )
        console.print(line, soft_wrap=True)


def failure_as_text(failure: Failure) -> str:
    """One sentence: the worker, the place, and what the run did about the failure."""
    done = {"drop": "was dropped", "restart": "failed, and the round began again"}.get(
        failure.action, "failed"
    )
    where = in_round(failure.round_index)
    return f"worker {failure.worker} {done} {where} ({failure.phase}): {failure.reason}"


def number(value: float, digits: int) -> str:
    """The value as text; a dash for NaN, the error over no ratings."""
    return "-" if math.isnan(value) else f"{value:.{digits}f}"
