"""Bars on a terminal: the aggregate first, then the workers; before them the reading of ratings.

A thread of rich's draws them five times a second. An event only sets some numbers, so training does
not wait for the terminal.
"""

import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.segment import Segment

from ddp.config.schema import Config
from ddp.machine.printable import printable
from ddp.tracking.messages import (
    AggregateRound,
    EpochDone,
    Event,
    Failure,
    Finished,
    Preparing,
    RatingsRead,
    Rewound,
    Started,
    TrainingBegan,
)
from ddp.tracking.pace import Pace, clock, in_short
from ddp.tracking.terminal import number, print_facts
from ddp.tracking.tracker import Tracker
from ddp.tracking.who import AGGREGATED, worker_name

STARTING, BUSY, WAITING, DONE = "starting", "training", "waiting", "done"
DROPPED, FAILED = "dropped", "failed"
GONE = (DROPPED, FAILED)
NAME_WIDTH = len(AGGREGATED)
LONGEST_BAR, SHORTEST_BAR = 40, 8
GAP = "  "
SHOWN_AFTER_S = 0.5  # a phase before training that is shorter shows nothing
Line = tuple[str, float | None, str]  # a text, the part of the bar that is full, another text


class Bars(Tracker):
    """Shows how far a run is, and when it will end."""

    def __init__(self, config: Config, console: Console) -> None:
        self.config = config
        self.console = console
        self.pace = Pace(config)
        self.states = [STARTING] * config.workers
        self.preparing: Preparing | None = None
        self._prepares_since = 0.0
        self._is_training = self._is_closed = False
        self.live = Live(self, console=console, refresh_per_second=5)

    def open(self) -> None:
        self.live.start()

    def close(self) -> None:
        self._is_closed = True
        self.live.stop()

    def on(self, event: Event) -> None:
        now = time.perf_counter()
        match event:
            case Preparing():
                if self.preparing is None or self.preparing.doing != event.doing:
                    self._prepares_since = now
                self.preparing = event
            case RatingsRead():
                print_facts(event.lines, self.console)
            case TrainingBegan():
                self._is_training = True
                self.pace.begin(event.num_ratings)
            case Started():
                self.pace.started(now)
                self.states[event.worker] = BUSY
            case EpochDone():
                self._epoch_done(event, now)
            case AggregateRound():
                self.pace.aggregated(event, now)
                self._set_all(WAITING, BUSY)
            case Finished():
                self.states[event.worker] = DONE
            case Failure():
                gone = {"drop": DROPPED, "abort": FAILED}
                self.states[event.worker] = gone.get(event.action, STARTING)
            case Rewound():
                self.pace.rewind(event.next_round, event.last)
                self._set_all(BUSY, STARTING)
                self._set_all(WAITING, STARTING)

    def _epoch_done(self, event: EpochDone, now: float) -> None:
        num_epochs = self.config.local_epochs
        waits = event.epoch == num_epochs - 1 and not self.config.has_owners
        self.states[event.worker] = WAITING if waits else BUSY
        self.pace.epochs(event.worker, event.round_index * num_epochs + event.epoch + 1, now)

    def _set_all(self, before: str, after: str) -> None:
        self.states = [after if state == before else state for state in self.states]

    @property
    def _reserved(self) -> tuple[str, ...]:
        """Texts as long as the facts about the aggregate mostly are, so that bars keep a width."""
        rounds = self.config.rounds
        return f"round {rounds}/{rounds}", "RMSE valid 0.0000", "00.0M ratings/s", "0:00 left"

    # --- drawing, in the thread of `live` ---

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width - 1, options.size.height  # the last column may wrap
        now = time.perf_counter()
        if self._is_training:
            yield from _drawn(*self._training(width, height, now), console, options)
        elif self.preparing is not None and not self._is_closed:
            spent_s = now - self._prepares_since
            if spent_s >= SHOWN_AFTER_S:
                yield from _drawn(*_preparing(self.preparing, spent_s, width), console, options)

    def _training(self, width: int, height: int, now: float) -> tuple[int, list[Line]]:
        """The width of the bars, and the lines."""
        facts = self._facts(now)
        bar, (first, *more) = _laid_out(facts, self._reserved, width)
        per_worker = self.config.rounds * self.config.local_epochs
        done_in_all = sum(self.pace.done[worker] for worker in self._alive)
        part = done_in_all / (max(len(self._alive), 1) * per_worker)
        lines: list[Line] = [(f"{AGGREGATED} ", part, first)]
        indent = " " * (NAME_WIDTH + 1 + (bar and bar + 1))
        lines += [(indent, None, text) for text in more]
        if self._is_closed or len(lines) + self.config.workers >= height:
            return bar, [*lines, ("", None, self._folded(width))]
        width_of_count = len(f"{per_worker}/{per_worker}")
        for worker, (done, state) in enumerate(zip(self.pace.done, self.states, strict=True)):
            text = f"{f'{done}/{per_worker}':<{width_of_count}} {state}"
            lines.append((f"{worker_name(worker):>{NAME_WIDTH}} ", done / per_worker, text))
        return bar, lines

    @property
    def _alive(self) -> list[int]:
        return [worker for worker, state in enumerate(self.states) if state not in GONE]

    def _facts(self, now: float) -> list[str]:
        """The facts about the aggregate, in short texts."""
        pace, config = self.pace, self.config
        rmse = "RMSE -"
        if pace.row is not None:
            valid = pace.row.valid.rmse
            rmse = f"RMSE valid {number(valid, 4)}"
            if math.isnan(valid):
                rmse = f"RMSE test {number(pace.row.test.rmse, 4)}"
        facts = [f"round {pace.round}/{config.rounds}", rmse]
        if (per_second := pace.per_second) is not None:
            facts.append(f"{in_short(per_second)} ratings/s")
        if self._is_closed and pace.row is not None:
            spent_s = pace.training_s
            return [*facts, f"{spent_s:.1f} s" if spent_s < 60 else clock(spent_s)]
        if (left_s := pace.remaining_s(now, self._alive)) is not None:
            facts.append(f"{clock(left_s)} left")
        return facts

    def _folded(self, width: int) -> str:
        """All workers in one line."""
        counts = Counter(self.states)
        told = ", ".join(
            f"{counts[state]} {state}"
            for state in (STARTING, BUSY, WAITING, DONE, *GONE)
            if counts[state]
        )
        last = self.config.workers - 1
        text = f"workers 0-{last}: {told}" if last else f"worker 0: {told.removeprefix('1 ')}"
        epochs = self.config.rounds * self.config.local_epochs * self.config.workers
        whole = f"{text}, local epochs {sum(self.pace.done)}/{epochs}"
        return whole if len(whole) <= width else text[:width]


def _laid_out(facts: Sequence[str], reserved: Sequence[str], width: int) -> tuple[int, list[str]]:
    """The width of the bar, 0 for none, and the facts in as many lines as they need beside it.

    `reserved`: texts whose room the facts take in any case, one for each fact or more.
    """
    sizes = [len(max(pair, key=len)) for pair in zip_longest(facts, reserved, fillvalue="")]
    for count in range(len(sizes), 0, -1):
        parts = sizes[:count], sizes[count:]
        longest = max(sum(part) + len(GAP) * (len(part) - 1) for part in parts)
        bar = width - NAME_WIDTH - 2 - longest
        if bar >= SHORTEST_BAR:
            lines = [GAP.join(facts[:count]), GAP.join(facts[count:])]
            return min(bar, LONGEST_BAR), [line for line in lines if line]
    return 0, _packed(facts, width - NAME_WIDTH - 1)


def _packed(facts: Sequence[str], room: int) -> list[str]:
    """The facts in lines of at most `room` characters, if each of them has no more."""
    lines = [facts[0]]
    for fact in facts[1:]:
        if len(lines[-1]) + len(GAP) + len(fact) <= room:
            lines[-1] += GAP + fact
        else:
            lines.append(fact)
    return lines


def _preparing(told: Preparing, spent_s: float, width: int) -> tuple[int, list[Line]]:
    """The width of the bar, and the line of a phase before training."""
    spent = f"{clock(spent_s)}"
    part, amount = None, spent
    if told.total:
        part = min(told.done / told.total, 1.0)
        left = f"{clock(spent_s * (1 - part) / part)} left" if part else spent
        amount = f"{_amount(told.done, told.total, told.unit)}{GAP}{left}"
    elif told.done:
        amount = f"{in_short(told.done)} {told.unit}{GAP}{spent}"
    room = width - len(amount) - 2
    doing = printable(told.doing)
    if len(doing) > room:
        doing = doing[: max(room - 3, 0)] + "..."
    bar = min(width - len(doing) - len(amount) - 2, LONGEST_BAR)
    return bar if part is not None and bar >= SHORTEST_BAR else 0, [(f"{doing} ", part, amount)]


def _amount(done: int, total: int, unit: str) -> str:
    """So many of so many: 312/650 MB, 2.5M/25.0M ratings."""
    if unit == "bytes":
        return f"{done / 1e6:.0f}/{total / 1e6:.0f} MB"
    return f"{in_short(done)}/{in_short(total)} {unit}"


def _drawn(
    bar: int, lines: Sequence[Line], console: Console, options: ConsoleOptions
) -> Iterator[Segment]:
    """The lines, with bars of this width; without bars if it is 0."""
    for before, part, after in lines:
        yield Segment(before)
        if part is not None and bar:
            drawn = ProgressBar(total=1.0, completed=part, width=bar)
            segments = list(console.render(drawn, options.update_width(bar)))
            yield from segments
            # without colours the rest of a bar is missing
            yield Segment(" " * (1 + bar - sum(len(each.text) for each in segments)))
        yield Segment(after)
        yield Segment.line()
