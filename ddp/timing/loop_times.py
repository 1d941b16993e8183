"""Splits the time of one compiled call into compute, wait, evaluate and time off the core.

Spans cannot look into compiled code, so the kernel reads the clocks itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ddp.timing.meter import ASLEEP_S, Meter


@dataclass(frozen=True, slots=True)
class LoopTimes:
    """The clocks of one compiled loop: in each row the wall and the time on a core, in nanoseconds.

    | row | |
    |---|---|
    | `whole` | the whole loop |
    | `waited` | of it, waiting for turns |
    | `evaluated` | of it, evaluating, and copying the best state |
    | `copied` | of `evaluated`, copying the best state; its time on a core is unknown |

    A kernel fills an array of this shape (4, 2): `LoopTimes(*times_ns.tolist())`.
    """

    whole: Sequence[int]
    waited: Sequence[int]
    evaluated: Sequence[int]
    copied: Sequence[int]

    def parts(self, wall_s: float) -> dict[str, float]:
        """Seconds by path, of the `wall_s` seconds around the loop."""
        waited_s, evaluated_s, copied_s = (
            row[0] / 1e9 for row in (self.waited, self.evaluated, self.copied)
        )
        parts = {"compute": wall_s - waited_s - evaluated_s}
        if waited_s:
            parts["wait"] = waited_s
        if evaluated_s:
            parts["evaluate"] = evaluated_s - copied_s
        if copied_s:
            parts["evaluate/copy"] = copied_s
        return parts

    def metered_parts(self, wall_s: float, meter: Meter) -> dict[str, float]:
        """Like `parts`, with the time off the core apart.

        Inside the loop only a wait for a turn blocks, and gives its core up on purpose. All other
        time off the core there is time in the run queue. Around the loop, the thread sleeps only
        because another thread has the GIL.
        """
        parts = self.parts(wall_s)
        waiting_off_s, evaluating_off_s = _off_core_s(self.waited), _off_core_s(self.evaluated)
        (whole_ns, on_core_ns) = self.whole
        computing_off_s = max(0.0, (whole_ns - on_core_ns) / 1e9 - evaluating_off_s - waiting_off_s)
        slept_s = (wall_s - whole_ns / 1e9) - (meter.on_cpu_s() - on_core_ns / 1e9)
        if slept_s >= ASLEEP_S:
            parts["compute"] -= slept_s
            parts[f"compute/{meter.sleep_kind}"] = slept_s
        if computing_off_s + evaluating_off_s >= ASLEEP_S:
            kind = "run_queue" if meter.knows_queue else "off_cpu"
            # A lower bound: the compiled loop does not measure the copy's time on a core.
            evaluated_s, copied_s = self.evaluated[0] / 1e9, self.copied[0] / 1e9
            copying_off_s = max(0.0, evaluating_off_s - (evaluated_s - copied_s))
            if copying_off_s > 0:
                parts["evaluate/copy"] -= copying_off_s
            for phase, seconds in (("compute", computing_off_s), ("evaluate", evaluating_off_s)):
                if seconds > 0:
                    parts[phase] -= seconds - (copying_off_s if phase == "evaluate" else 0.0)
                    path = f"{phase}/{kind}"
                    parts[path] = parts.get(path, 0.0) + seconds
        if computing_off_s + evaluating_off_s + waiting_off_s >= ASLEEP_S:
            meter.queued_s()  # so that the next span does not count this time again
        return parts


def _off_core_s(row: Sequence[int]) -> float:
    wall_ns, on_core_ns = row
    return max(0, wall_ns - on_core_ns) / 1e9
