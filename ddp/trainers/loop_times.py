"""What the seconds of a compiled loop were: it reads the clocks itself, for nothing is known of it
from outside.
"""

from typing import TYPE_CHECKING

from ddp.timing.meter import ASLEEP_S, Meter

if TYPE_CHECKING:
    from ddp.trainers.loops import TimeArray


def spent_parts(
    spent_ns: "TimeArray", off_core_kind: str, wall_s: float, meter: Meter | None
) -> dict[str, float]:
    """Of the wall around the loop: what was compute, waiting for others, evaluating, and off the
       core without a reason.

    `spent_ns`: the loop's own, in all, waiting, evaluating and of that copying, each wall and on a
    core (rows and columns as in kernels.py). Off its core in the loop a thread was in the run
    queue, for there is nothing to sleep for, unless it waited for its turn (and gave way on
    purpose); outside of the loop it slept, for whoever holds the GIL.
    """
    (
        (all_ns, all_on_core_ns),
        (waited_ns, waited_on_core_ns),
        (evaluated_ns, evaluated_on_core_ns),
        (copied_ns, _),
    ) = spent_ns.tolist()
    waited_s, evaluated_s, copied_s = waited_ns / 1e9, evaluated_ns / 1e9, copied_ns / 1e9
    parts = {"compute": wall_s - waited_s - evaluated_s}
    if waited_ns:
        parts["wait"] = waited_s
    if evaluated_ns:
        parts["evaluate"] = evaluated_s - copied_s
    if copied_ns:
        parts["evaluate/copy"] = copied_s
    if meter is None:
        return parts
    waiting_off_s = max(0, waited_ns - waited_on_core_ns) / 1e9
    evaluating_off_s = max(0, evaluated_ns - evaluated_on_core_ns) / 1e9
    computing_off_s = max(0.0, (all_ns - all_on_core_ns) / 1e9 - evaluating_off_s - waiting_off_s)
    slept_s = (wall_s - all_ns / 1e9) - (meter.on_cpu_s() - all_on_core_ns / 1e9)
    if slept_s >= ASLEEP_S:
        path = "compute/" + off_core_kind
        parts["compute"] -= slept_s
        parts[path] = slept_s
    if computing_off_s + evaluating_off_s >= ASLEEP_S:
        kind = "run_queue" if meter.knows_queue else "off_cpu"
        # at least: it is not known of the copy alone
        copying_off_s = max(0.0, evaluating_off_s - (evaluated_s - copied_s))
        if copying_off_s > 0:
            parts["evaluate/copy"] -= copying_off_s
        for phase, seconds in (("compute", computing_off_s), ("evaluate", evaluating_off_s)):
            if seconds > 0:
                parts[phase] -= seconds - (copying_off_s if phase == "evaluate" else 0.0)
                parts[f"{phase}/{kind}"] = parts.get(f"{phase}/{kind}", 0.0) + seconds
    if computing_off_s + evaluating_off_s + waiting_off_s >= ASLEEP_S:
        meter.queued_s()  # is told here, and not to be found again by the next span
    return parts
