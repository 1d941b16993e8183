"""Progress of a run on the terminal: lines here, live bars in bars.py."""

import math
import os
from collections.abc import Sequence
from itertools import cycle
from textwrap import fill

from rich.console import Console

from ddp.config.schema import Config
from ddp.counting import in_round, round_of
from ddp.machine.printable import printable
from ddp.tracking.messages import AggregateRound, Event, Failure, RatingsRead, RunEnds
from ddp.tracking.tracker import Tracker

UNKNOWN_WIDTH = 80  # as rich has it without a terminal
MOST_LINES = 100  # rounds that have a line each
FIRST_LINES = 10  # of more rounds
QUIET_S = 10.0  # seconds of training after which a round has a line in any case


def make_console() -> Console:
    """The terminal, or where the output goes in its place.

    It shows texts as they are: [a] in the name of a directory is no markup, and :car: no picture.
    COLUMNS gives its width. COLUMNS=0 says that nobody knows it, and rich would show no letter.
    With TERM=dumb, NO_COLOR or CI in the environment it shows no control character.
    """
    console = Console(
        markup=False,
        emoji=False,
        highlight=False,
        color_system=None if wants_plain_text() else "auto",
    )
    if console.width < 1:
        console.width = UNKNOWN_WIDTH
    return console


def wants_plain_text() -> bool:
    """True if the environment has NO_COLOR, or CI as servers that build software set it."""
    is_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    return is_ci or os.environ.get("NO_COLOR", "") != ""


class Lines(Tracker):
    """A line per round, readable in a file; of many rounds not each has one."""

    def __init__(self, config: Config, console: Console) -> None:
        self.config = config
        self.console = console
        self.step = _step(config.rounds)
        self._shown_s = 0.0  # seconds of training up to the last line
        self._left_out: AggregateRound | None = None

    def on(self, event: Event) -> None:
        match event:
            case RatingsRead():
                print_facts(event.lines, self.console)
            case AggregateRound():
                if self._has_line(event):
                    self._print(event)
                else:
                    self._left_out = event
            case RunEnds() if self._left_out is not None:  # the last round has a line
                self._print(self._left_out)
            case Failure() if event.action != "abort":  # the last message says it
                text = printable(failure_as_text(event))
                self.console.print(text, soft_wrap=True)

    def _has_line(self, row: AggregateRound) -> bool:
        round_number = round_of(row.round_index)
        is_quiet = row.elapsed_s - self._shown_s >= QUIET_S
        return round_number <= FIRST_LINES or round_number % self.step == 0 or is_quiet

    def _print(self, row: AggregateRound) -> None:
        self._shown_s, self._left_out = row.elapsed_s, None
        self.console.print(
            f"round {round_of(row.round_index)}/{self.config.rounds}  aggregated RMSE:"
            f" validation {number(row.valid.rmse, 4)}  test {number(row.test.rmse, 4)}"
            f"  after {row.elapsed_s:.2f} s",
            soft_wrap=True,
        )


def _step(rounds: int) -> int:
    """Rounds from one line to the next, 1, 2, 5, 10, 20 or so on: 100 lines in all, or fewer."""
    step, factors = 1, cycle((2.0, 2.5, 2.0))
    while rounds > MOST_LINES * step:
        step = int(step * next(factors))
    return step


def print_facts(lines: Sequence[tuple[str, str]], console: Console) -> None:
    """Prints labels and texts. On a terminal it folds a text that is too long, below its start."""
    for label, text in lines:
        start = "note: " if label == "note" else f"{label and label + ':':12}"
        line = start + text
        if console.is_terminal:
            line = fill(
                text,
                console.width,
                initial_indent=start,
                subsequent_indent=" " * len(start),
                break_on_hyphens=False,
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
