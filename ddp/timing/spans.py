"""Stopwatches: spans that never overlap, so that their seconds add up to the wall.

From a second of a worker, or of the aggregator, to its kind and to the files of a run:

    with spans("publish"):              path "publish"                the outermost span, the phase
        with spans("lock_wait"):        path "publish/lock_wait"      outermost / innermost
    the scheduler (meter.py)            path "publish/gil_wait"       off the core, within a span
    a kernel's clocks (loop_times.py)   path "wait", "evaluate"       within one compiled call
                  |
                  v
        Account (account.py)            one per round: seconds by path, bytes, and slices (when
                  |                     each path ran)
                  v
        path -> kind (kinds.py)         "publish/lock_wait" counts as "lock_wait",
                  |                     "publish" alone counts as "transfer"
                  |
                  +-> rounds.csv        columns by phase and by innermost span
                  +-> TensorBoard       time_ms/<phase or kind>, account_ms/<kind>
                  +-> result.json       seconds by kind, from which the report draws its bars
                  +-> trace.json        slices by kind, from which the report draws a round

A span that opens inside another one pauses it. Its path has only the outermost and the innermost
name, so one table gives both the phase (all paths below "publish") and the kind ("lock_wait" in any
phase).
"""

import time
from collections import defaultdict
from collections.abc import Callable

from ddp.timing.account import Account
from ddp.timing.kinds import OTHER
from ddp.timing.loop_times import LoopTimes
from ddp.timing.paths import START, TELL

# A shorter gap between two outermost spans is charged to the second one.
GAP_S = 5e-6


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

    `clock` gives seconds. The account begins at `began`, a reading of the clock; None means now.
    A worker's account begins when its parent orders the start.
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
        # For messages: the open or the last phase. "tell" belongs to the phase before it.
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
        """Closes the files of the stopwatch. This one has none; that of a subclass may."""

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
