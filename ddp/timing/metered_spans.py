"""A stopwatch that also asks the scheduler: it finds the waits for the GIL and for a core."""

import time
from array import array
from collections.abc import Callable

from ddp.timing.account import Account
from ddp.timing.kinds import BUSY
from ddp.timing.loop_times import LoopTimes
from ddp.timing.meter import ASLEEP_S, Meter
from ddp.timing.paths import PATH_NUMBERS, PATHS, innermost_of, phase_of
from ddp.timing.spans import Spans

# A reading of the meter costs microseconds, so the stopwatch reads it at most every READ_S seconds,
# and still finds every longer wait. It reads earlier after a span that may sleep and that took
# READ_ASLEEP_S: otherwise the next span would be charged for the sleep.
READ_S, READ_ASLEEP_S = 250e-6, 20e-6
_BUSY_PATHS = {path for path in PATHS if innermost_of(path) in BUSY}


class MeteredSpans(Spans):
    """A stopwatch that also asks the scheduler, and records slices.

    It charges waits for the GIL to "<phase>/gil_wait" and waits for a core to "<phase>/run_queue",
    not to the span that they interrupted. The stopwatch owns the meter, and closes it.
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
        """Splits the `wall_s` of a span, in which the thread was off its core for `off_core_s`."""
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
