"""Judges of the claims about training."""

import statistics
from collections.abc import Iterator

from benchmarks.claims import runs, verdicts
from benchmarks.claims.found import Cells, Found, speed_ups
from benchmarks.claims.verdicts import Series, passes, rounded, several, span, times_at_least

SCALES = 0.75  # N workers must be this times N times as fast to count as parallel


def sequential(found: Found) -> Cells:
    """Judges: threads train sequentially."""
    rounds = {
        workers: speed_ups(
            found, runs.run_name("thread", workers), runs.run_name("serial", workers), runs.ROUND
        )
        for workers in runs.WORKERS
        if workers > 1
    }
    measured = ", ".join(
        f"{workers} threads {span(values)} x serial" for workers, values in rounds.items()
    )
    series = {
        float(batch): speed_ups(
            found, runs.batch_name("thread", batch), runs.batch_name("serial", batch), runs.TRAINING
        )
        for batch in runs.BATCHES
    }
    waits = span([100 * share for share in found["seed_thread"][runs.GIL_WAIT]])
    return (
        f"{measured}; the GIL takes {waits} % of the time of a thread of seed_thread",
        "; ".join(_paces(series)),
        f"batch {passes(series, verdicts.CLEARLY)}",
    )


def _paces(series: Series) -> Iterator[str]:
    """The batches, grouped by the verdict on their ratios."""
    batches: dict[str, list[str]] = {}
    for batch, values in series.items():
        batches.setdefault(verdicts.pace(values), []).append(f"{batch:g}")
    yield f"batch {several(batches['as fast'])}" if "as fast" in batches else "does not hold"
    yield from (
        f"{word} with {several(batches[word])}" for word in ("slower", "faster") if word in batches
    )


def parallel(found: Found) -> Cells:
    """Judges: processes train in parallel."""
    series = {
        float(workers): speed_ups(
            found, runs.run_name("process", workers), runs.run_name("serial", workers), runs.ROUND
        )
        for workers in runs.WORKERS
    }
    several_workers = {workers: values for workers, values in series.items() if workers > 1}
    measured = ", ".join(
        f"{workers:g} processes {span(values)} x serial"
        for workers, values in several_workers.items()
    )
    holds = [
        f"{workers:g}"
        for workers, values in several_workers.items()
        if times_at_least(values, SCALES * workers)
    ]
    shortfall = {
        workers: [workers / value for value in values] for workers, values in series.items()
    }
    return (
        measured,
        f"{several(holds)} workers" if holds else "does not hold",
        f"{passes(shortfall, 1 / SCALES)} workers",
    )


def in_total(found: Found) -> Cells:
    """Judges: in total processes are fast, threads slow."""
    took = {name: found[name][runs.COMMAND] for name in ("seed_process", "seed_thread")}
    measured = ", ".join(f"{name} {span(seconds)} s" for name, seconds in took.items())
    ratios = speed_ups(found, "seed_process", "seed_thread", runs.COMMAND)
    word = verdicts.pace(ratios)
    holds = (
        "the seed job"
        if word == "faster"
        else f"does not hold: processes are {word} ({span(ratios)} x)"
    )
    paid = (
        f"{runs.worker_count(workers)} {_paid_back(found, workers, 'thread')}"
        f" ({_paid_back(found, workers, 'serial')})"
        for workers in runs.WORKERS
    )
    return measured, holds, f"rounds, against threads (serial): {', '.join(paid)}"


def _paid_back(found: Found, workers: int, other: str) -> str:
    """The number of rounds that pays back the start.

    Where a round is not faster, the crossing of the two lines would be chance.
    """
    of, over = (runs.run_name(by, workers) for by in ("process", other))
    word = verdicts.pace(speed_ups(found, of, over, runs.ROUND))
    if word != "faster":
        return "never" if word == "slower" else "no gain"
    columns = [found[name][figure] for name in (of, over) for figure in (runs.BEGIN, runs.ROUND)]
    return rounded(
        statistics.median([verdicts.paid_back(*values) for values in zip(*columns, strict=True)])
    )
