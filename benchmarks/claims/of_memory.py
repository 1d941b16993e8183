"""The judge of the claim about memory."""

from collections.abc import Sequence

from benchmarks.claims import calls, runs
from benchmarks.claims.found import JOB_MB, Cells, Found
from benchmarks.claims.verdicts import passes, rounded, several, span, times_at_least
from benchmarks.harness import MISSING

COPIES = 4  # of a state
MORE = 1.1
TWICE = 2.0


def memory(found: Found) -> Cells:
    """Judges: processes need more memory."""
    needs: dict[str, dict[float, Sequence[float]]] = {}
    for by in ("thread", "process"):
        names = {float(workers): runs.run_name(by, workers) for workers in runs.WORKERS} | {
            float(calls.WORKERS): f"seed_{by}"
        }
        needs[by] = {workers: found[name].get(runs.MEMORY, ()) for workers, name in names.items()}
    if not all(values for series in needs.values() for values in series.values()):
        return MISSING, MISSING, MISSING
    first, last = min(needs["thread"]), max(needs["thread"])
    added = {
        by: [
            (high - low) / (last - first)
            for low, high in zip(series[first], series[last], strict=True)
        ]
        for by, series in needs.items()
    }
    times = {
        workers: [own / other for own, other in zip(values, needs["thread"][workers], strict=True)]
        for workers, values in needs["process"].items()
    }
    more = [f"{workers:g}" for workers, values in times.items() if times_at_least(values, MORE)]
    for_copies = (
        "; not for copies"
        if times_at_least(added["process"], TWICE * COPIES * JOB_MB)
        else ", for copies"
    )
    holds = (
        f"{several(more)} workers{for_copies}: {rounded(COPIES * JOB_MB)} MB of what a worker adds"
    )
    return (
        "; ".join(
            f"{by} {span(series[last], 3)} MB, {span(added[by])} a worker"
            for by, series in needs.items()
        ),
        holds if more else "does not hold",
        f"twice as much: {passes(times, TWICE)} workers",
    )
