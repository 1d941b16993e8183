"""Stopwatches: spans that never overlap, so that their seconds add up to the wall.

How a second of a worker finds its kind:

    with spans("publish"):            phase       the outermost span
        with spans("lock_wait"):      path        "publish/lock_wait": outermost / innermost
                  |
        path -> kind (kinds.py)       an inner span counts as the kind of its name,
                  |                   "publish" alone counts as "transfer"
                  |
        with a meter (meter.py)       the scheduler says how long the thread was off its core:
                  |                   "publish/gil_wait", "publish/run_queue"
                  v
        Account, one per round        seconds by path, bytes, and slices (when each path ran)
                  |
                  +-> rounds.csv      columns by phase and by inner span
                  +-> TensorBoard     time_ms/<phase or kind>, account_ms/<kind>
                  +-> result.json     seconds by kind, from which the report draws its bars
                  +-> trace.json      slices by kind, from which the report draws a round

A span that opens inside another one pauses it. Its path has only the outermost and the innermost
name, so one table gives both the phase (all paths below "publish") and the kind ("lock_wait" in
any phase).
"""

import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ddp.timing.kinds import BUSY, KINDS, OTHER, PICKLE_KINDS
from ddp.timing.loop_times import LoopTimes
from ddp.timing.meter import ASLEEP_S, Meter
from ddp.timing.paths import PATH_NUMBERS, PATHS, START, TELL, innermost_of, kind_of, phase_of

# To read the meter costs microseconds. So it is read only when READ_S have passed since the last
# time, which overlooks no longer wait. After a span that may sleep it is read already when the
# span took READ_ASLEEP_S, because the next span must not be charged for that sleep.
READ_S, READ_ASLEEP_S = 250e-6, 20e-6
# A shorter gap between two outermost spans is charged to the second one.
GAP_S = 5e-6
_BUSY_PATHS = {path for path in PATHS if innermost_of(path) in BUSY}


@dataclass(slots=True, kw_only=True)
class Account:
    """The cost of some stretch of time.

    | field | |
    |---|---|
    | `seconds` | by path of the span: disjoint, and their sum is `wall_s` |
    | `num_bytes` | pickled bytes, by phase |
    | `num_copied` | copied bytes, by phase |
    | `waited_for` | seconds of "wait" by the worker they were for, where that is known at once |
    | `slices` | when each path ran (see `read_slices`), with the same sums; empty without a meter,
                 and in a total |
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
        """Seconds of each outermost span, with all spans inside it."""
        return self._added(phase_of)

    def by_innermost(self) -> defaultdict[str, float]:
        """Seconds of each innermost span, in all phases together."""
        return self._added(innermost_of)

    def by_kind(self) -> dict[str, float]:
        """Seconds of each kind that has any, in the order of the table."""
        seconds = self._added(kind_of)
        return {kind: seconds[kind] for kind in KINDS if seconds[kind] != 0}

    def _added(self, name_of: Callable[[str], str]) -> defaultdict[str, float]:
        seconds: defaultdict[str, float] = defaultdict(float)
        for path, value in self.seconds.items():
            seconds[name_of(path)] += value
        return seconds

    def phase_s(self, name: str) -> float:
        """Seconds of the outermost span `name`, with all spans inside it."""
        return self.by_phase()[name]

    def kind_s(self, name: str) -> float:
        """Seconds of the innermost spans `name`, in all phases together."""
        return self.by_innermost()[name]

    @property
    def pickle_s(self) -> float:
        """Seconds of pickling: `serialise` and `deserialise`."""
        by_innermost = self.by_innermost()
        return sum(by_innermost[name] for name in PICKLE_KINDS)


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


class Span:
    """`with span:` times a block under its name. It holds no state: it may be kept and reused."""

    __slots__ = ("_inside", "_name", "_spans")

    def __init__(self, spans: "Spans", name: str) -> None:
        self._spans, self._name = spans, name
        self._inside: dict[str, str] = {}  # its path inside each phase

    def __enter__(self) -> None:
        spans, name = self._spans, self._name
        now, stack = spans._clock(), spans._open
        if len(stack) > 1:
            phase = stack[1]
            try:
                path = self._inside[phase]
            except KeyError:
                path = self._inside[phase] = f"{phase}/{name}"
            spans._settle(now)
            stack.append(path)
        else:
            if name != TELL:
                spans.phase = name
            if now - spans._since >= GAP_S:
                spans._settle(now)
            stack.append(name)

    def __exit__(self, *_: object) -> None:
        spans = self._spans
        spans._settle(spans._clock())
        spans._open.pop()


class Spans:
    """A stopwatch for one thread of execution.

    `clock` gives seconds. The first span starts at `began`, a reading of the clock; None means now.
    A worker's began when its parent ordered the start.
    """

    def __init__(
        self, clock: Callable[[], float] = time.perf_counter, *, began: float | None = None
    ) -> None:
        self._clock = clock
        self._named: dict[str, Span] = {}
        self._open = [OTHER]  # paths; under those of open spans lies the path of no span
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._num_bytes: defaultdict[str, int] = defaultdict(int)
        self._num_copied: defaultdict[str, int] = defaultdict(int)
        self._waited_for: defaultdict[int, float] = defaultdict(float)
        self._since = clock() if began is None else began
        # For messages: the phase that is open or was last. "tell" belongs to the phase before it.
        self.phase = START

    def __call__(self, name: str) -> Span:
        """`with spans(name):` times the block under `name`, inside the open span if there is one.

        An exception closes the span as well. The same name gives the same object.
        """
        try:
            return self._named[name]
        except KeyError:
            return self._named.setdefault(name, Span(self, name))

    def unwind(self) -> None:
        """Closes all open spans.

        Ctrl-C may come after a span has opened and before its block begins: then no `with` closes
        the span.
        """
        self._settle(self._clock())
        del self._open[1:]

    def book(self, path: str, until: float | None = None) -> None:
        """Credits the seconds since the last switch to `path`.

        They end at `until`, a reading of the clock; None means now.
        """
        now = self._clock() if until is None else until
        self._credit({path: now - self._since})
        self._since = now

    def credit_loop(self, times: LoopTimes) -> None:
        """Splits the seconds since the last switch, which a compiled loop took, by its clocks."""
        now = self._clock()
        self._credit(self._parts(times, now - self._since))
        self._since = now

    def count_bytes(self, num_bytes: int) -> None:
        """Adds pickled bytes to the open phase."""
        self._num_bytes[self._open_phase] += num_bytes

    def count_copied(self, num_bytes: int) -> None:
        """Adds copied bytes to the open phase."""
        self._num_copied[self._open_phase] += num_bytes

    def waited_for(self, worker: int, seconds: float) -> None:
        """Notes that so many seconds of "wait" were for a certain worker."""
        self._waited_for[worker] += seconds

    def so_far(self, path: str) -> float:
        """Seconds of a path since the last `take`, up to the last switch."""
        return self._seconds.get(path, 0.0)

    @property
    def at(self) -> float:
        """The time of the last switch, a reading of the clock."""
        return self._since

    def take(self) -> Account:
        """Gives the account since the last `take`, or since the start, and begins a new one.

        Open spans stay open.
        """
        self._settle(self._clock())
        account = Account(
            seconds=dict(self._seconds),
            num_bytes=dict(self._num_bytes),
            num_copied=dict(self._num_copied),
            waited_for=dict(self._waited_for),
        )
        for counts in (self._seconds, self._num_bytes, self._num_copied, self._waited_for):
            counts.clear()
        return account

    def close(self) -> None:
        """Frees what the stopwatch holds of the system."""

    @property
    def _open_phase(self) -> str:
        return self._open[1] if len(self._open) > 1 else OTHER

    def _settle(self, now: float) -> None:
        """Credits the time since the last switch to the innermost open span."""
        self._seconds[self._open[-1]] += now - self._since
        self._since = now

    def _credit(self, parts: dict[str, float]) -> None:
        """Adds seconds by path."""
        for path, seconds in parts.items():
            self._seconds[path] += seconds

    def _parts(self, times: LoopTimes, wall_s: float) -> dict[str, float]:
        return times.parts(wall_s)


class MeteredSpans(Spans):
    """A stopwatch that also asks the scheduler, and records slices.

    Time in which the thread waited for the GIL or for a core is charged to "<phase>/gil_wait" and
    "<phase>/run_queue" instead of to the span that it interrupted. The meter belongs to the
    stopwatch, which closes it.
    """

    def __init__(
        self,
        meter: Meter,
        clock: Callable[[], float] = time.perf_counter,
        *,
        began: float | None = None,
    ) -> None:
        super().__init__(clock, began=began)
        self._meter = meter
        self._slices: list[float] = []  # of each slice the path's number, its start, its seconds
        self._unread_s = 0.0  # since the last reading of the meter

    def book(self, path: str, until: float | None = None) -> None:
        super().book(path, until)
        self._meter.on_cpu_s()
        self._meter.queued_s()
        self._unread_s = 0.0

    def take(self) -> Account:
        account = super().take()
        account.slices = array("d", self._slices).tobytes()
        self._slices.clear()
        return account

    def close(self) -> None:
        self._meter.close()

    def _settle(self, now: float) -> None:
        wall_s, path = now - self._since, self._open[-1]
        self._unread_s += wall_s
        if self._unread_s >= READ_S or (wall_s >= READ_ASLEEP_S and path not in _BUSY_PATHS):
            off_core_s = min(self._unread_s - self._meter.on_cpu_s(), wall_s)
            self._unread_s = 0.0
            if off_core_s >= ASLEEP_S:
                self._credit(self._told_apart(path, wall_s, off_core_s))
                self._since = now
                return
        self._slices += (PATH_NUMBERS[path], self._since, wall_s)
        self._seconds[path] += wall_s
        self._since = now

    def _told_apart(self, path: str, wall_s: float, off_core_s: float) -> dict[str, float]:
        """Splits the wall of a span in which the thread was off its core for so long."""
        is_busy, queued_s = path in _BUSY_PATHS, self._meter.queued_s()
        if not is_busy and (not queued_s or self._meter.shares_thread):
            return {path: wall_s}
        queued_s = min(queued_s or 0.0, off_core_s)
        slept_s = off_core_s - queued_s if is_busy else 0.0
        phase = phase_of(path)
        parts = {path: wall_s - queued_s - slept_s}
        if queued_s > 0:
            parts[f"{phase}/run_queue"] = queued_s
        if slept_s > 0:
            parts[f"{phase}/{self._meter.sleep_kind}"] = slept_s
        return parts

    def _credit(self, parts: dict[str, float]) -> None:
        """Adds seconds by path, and a slice for each: one after another from the last switch on."""
        super()._credit(parts)
        start = self._since
        for path, seconds in parts.items():
            self._slices += (PATH_NUMBERS[path], start, seconds)
            start += seconds

    def _parts(self, times: LoopTimes, wall_s: float) -> dict[str, float]:
        self._unread_s = 0.0
        return times.metered_parts(wall_s, self._meter)
