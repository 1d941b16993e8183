"""Where the time goes: spans that never overlap, so that they add up to the wall.

A span opened inside another pauses it. Its seconds are kept under its path ("publish/lock_wait":
the outermost span and the innermost), so that one table gives both the phase (everything below
"publish") and the kind ("lock_wait" wherever it happened). With a meter (ddp/timing/meter.py) what
a thread did not compute in a span is told apart: "compute/gil_wait", "wait/run_queue".
"""

import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from ddp.timing.meter import ASLEEP_S, Meter
from ddp.timing.paths import BUSY, OTHER, PATH_NUMBERS, START, TELL

# The meter is read again after so many seconds, for it takes microseconds: no longer wait is
# overlooked. And after so many of a span in which one may sleep, or the next one would be told of
# it.
READ_S, READ_ASLEEP_S = 250e-6, 20e-6
# between one outermost span and the next: the time of the second, for it is none of anything else
GAP_S = 5e-6

Parts = Mapping[str, float]  # path -> seconds


@dataclass(slots=True, kw_only=True)
class Account:
    """What some time cost: `seconds` by path of the span, disjoint, summing to `wall_s`; bytes by
    phase: `num_bytes` pickled, and `num_copied`; `waited_for`: of the seconds of "wait", those
    that were for a certain worker, where that is known at once; `slices`: what was when (see
    `read_slices`), with the same sums; none without a meter, nor in a total.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    num_bytes: dict[str, int] = field(default_factory=dict)
    num_copied: dict[str, int] = field(default_factory=dict)
    waited_for: dict[int, float] = field(default_factory=dict)
    slices: bytes = b""

    @property
    def wall_s(self) -> float:
        return sum(self.seconds.values())

    def by_phase(self) -> defaultdict[str, float]:
        """Seconds of each outermost span, with everything inside it."""
        return self._added(_outermost)

    def by_innermost(self) -> defaultdict[str, float]:
        """Seconds of the innermost spans, by name, wherever they were opened."""
        return self._added(_innermost)

    def _added(self, name_of: Callable[[str], str]) -> defaultdict[str, float]:
        seconds: defaultdict[str, float] = defaultdict(float)
        for path, value in self.seconds.items():
            seconds[name_of(path)] += value
        return seconds

    def phase_s(self, name: str) -> float:
        """Seconds of the outermost span `name`, with everything inside it."""
        return self.by_phase()[name]

    def kind_s(self, name: str) -> float:
        """Seconds of the innermost spans called `name`, wherever they were opened."""
        return self.by_innermost()[name]


@cache
def _outermost(path: str) -> str:
    return path.split("/", maxsplit=1)[0]


@cache
def _innermost(path: str) -> str:
    return path.rsplit("/", maxsplit=1)[-1]


def total_account(accounts: Iterable[Account]) -> Account:
    """The sum of several accounts, path by path."""
    seconds: Counter[str] = Counter()
    num_bytes: Counter[str] = Counter()
    num_copied: Counter[str] = Counter()
    waited_for: Counter[int] = Counter()
    for account in accounts:
        seconds.update(account.seconds)  # floats: a Counter adds what it is given
        num_bytes.update(account.num_bytes)
        num_copied.update(account.num_copied)
        waited_for.update(account.waited_for)
    return Account(
        seconds=dict(seconds),
        num_bytes=dict(num_bytes),
        num_copied=dict(num_copied),
        waited_for=dict(waited_for),
    )


class Spans:
    """A stopwatch for one thread of execution. `clock` gives seconds; tests pass a fake one.

    It begins at `began`, a reading of the clock: now, unless a parent has begun to start us before.
    With a `meter` waits for the GIL and for a core are kept apart from what they interrupt, and
    slices are kept: what was when, in the order of time.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.perf_counter,
        *,
        began: float | None = None,
        meter: Meter | None = None,
    ) -> None:
        self._clock = clock
        self._meter = meter
        self._path: list[str] = []
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._num_bytes: defaultdict[str, int] = defaultdict(int)
        self._num_copied: defaultdict[str, int] = defaultdict(int)
        self._waited_for: defaultdict[int, float] = defaultdict(float)
        self._slices: list[float] = []  # of each the path's number, start and seconds
        self._opening = self._current = OTHER
        self._number = PATH_NUMBERS[OTHER]
        self._unread_s = 0.0  # since the meter was read
        self._since = clock() if began is None else began
        # the outermost span that is open, or was last; to tell of a phase is part of it
        self.phase = START

    def __call__(self, name: str) -> "Spans":
        """`with spans(name):` times the block as `name`, inside whatever span is open; closes it on
        an exception too.
        """
        self._opening = name
        return self

    def __enter__(self) -> None:
        if self._path or self._clock() - self._since >= GAP_S:
            self._settle()
        name = self._opening
        if self._path:
            self._current = f"{self._path[0]}/{name}"
        else:
            self._current = name
            self.phase = name if name != TELL else self.phase
        self._path.append(name)
        if self._meter is not None:
            self._number = PATH_NUMBERS[self._current]

    def __exit__(self, *_: object) -> None:
        self._settle()
        path = self._path
        path.pop()
        self._current = (
            OTHER if not path else path[0] if len(path) == 1 else f"{path[0]}/{path[-1]}"
        )
        if self._meter is not None:
            self._number = PATH_NUMBERS[self._current]

    def unwind(self) -> None:
        """Closes all that is open. (Ctrl-C may come between the opening of a span and its block,
        which then never closes it.)
        """
        self._settle()
        self._path.clear()
        self._current, self._number = OTHER, PATH_NUMBERS[OTHER]

    def book(self, path: str, until: float | None = None) -> None:
        """Credits the seconds since the last switch, up to `until` (a reading of the clock; None:
        now), to `path`.
        """
        now = self._clock() if until is None else until
        self._credit({path: now - self._since})
        self._since = now
        if self._meter is not None:
            self._meter.on_cpu_s()
            self._meter.queued_s()
            self._unread_s = 0.0

    def divide(self, parts: Callable[[float, Meter | None], Parts]) -> None:
        """Credits the seconds since the last switch to what `parts` makes of them, and of what the
        meter says of them.
        """
        now = self._clock()
        self._unread_s = 0.0
        self._credit(parts(now - self._since, self._meter))
        self._since = now

    def count_bytes(self, num_bytes: int) -> None:
        """Adds pickled bytes to the outermost open span."""
        self._num_bytes[self._path[0] if self._path else OTHER] += num_bytes

    def count_copied(self, num_bytes: int) -> None:
        """Adds copied bytes to it."""
        self._num_copied[self._path[0] if self._path else OTHER] += num_bytes

    def waited_for(self, worker: int, seconds: float) -> None:
        """So many seconds of "wait" were for a certain worker."""
        self._waited_for[worker] += seconds

    @property
    def tells_off_core(self) -> str:
        """The kind of a span's seconds in which the thread slept without a reason of its own."""
        return (
            "gil_wait"
            if self._meter is not None and self._meter.shares_gil and self._meter.knows_queue
            else "off_cpu"
        )

    def so_far(self, path: str) -> float:
        """Seconds of a path since the last `take`, up to the last switch."""
        return self._seconds.get(path, 0.0)

    @property
    def at(self) -> float:
        """When the last switch was."""
        return self._since

    def take(self) -> Account:
        """Everything since the last `take` (or the start), and starts anew."""
        self._settle()
        account = Account(
            seconds=dict(self._seconds),
            num_bytes=dict(self._num_bytes),
            num_copied=dict(self._num_copied),
            waited_for=dict(self._waited_for),
            slices=array("d", self._slices).tobytes(),
        )
        self._slices.clear()
        for counts in (self._seconds, self._num_bytes, self._num_copied, self._waited_for):
            counts.clear()
        return account

    def close(self) -> None:
        """Gives back what the meter holds."""
        if self._meter is not None:
            self._meter.close()

    def _settle(self) -> None:
        """Credits the time since the last switch to the innermost open span."""
        now = self._clock()
        wall_s, path = now - self._since, self._current
        if self._meter is not None:
            self._unread_s += wall_s
            if self._unread_s >= READ_S or (wall_s >= READ_ASLEEP_S and not self._is_busy):
                off_core_s = min(self._unread_s - self._meter.on_cpu_s(), wall_s)
                self._unread_s = 0.0
                if off_core_s >= ASLEEP_S:
                    self._credit(self._told_apart(path, wall_s, off_core_s))
                    self._since = now
                    return
            self._slices += (self._number, self._since, wall_s)
        self._seconds[path] += wall_s
        self._since = now

    @property
    def _is_busy(self) -> bool:
        """Whether there is nothing to sleep for in the innermost span."""
        return (self._path[-1] if self._path else OTHER) in BUSY

    def _told_apart(self, path: str, wall_s: float, off_core_s: float) -> Parts:
        """What of a span's wall was none of its own: the thread was off its core for so long."""
        assert self._meter is not None
        is_busy, queued_s = self._is_busy, self._meter.queued_s()
        if not is_busy and (not queued_s or self._meter.shares_thread):
            return {path: wall_s}
        queued_s = min(queued_s or 0.0, off_core_s)
        slept_s = off_core_s - queued_s if is_busy else 0.0
        phase = self._path[0] if self._path else OTHER
        parts = {path: wall_s - queued_s - slept_s}
        if queued_s > 0:
            parts[f"{phase}/run_queue"] = queued_s
        if slept_s > 0:
            parts[f"{phase}/{self.tells_off_core}"] = slept_s
        return parts

    def _credit(self, parts: Parts) -> None:
        """From the last switch on, one after another."""
        start = self._since
        for path, seconds in parts.items():
            self._seconds[path] += seconds
            if self._meter is not None:
                self._slices += (PATH_NUMBERS[path], start, seconds)
            start += seconds
