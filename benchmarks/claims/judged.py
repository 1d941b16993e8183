"""Judgements: a claim and its measurements in words. Every word follows from the figures."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence

from benchmarks.claims import calls, runs, verdicts
from benchmarks.claims.verdicts import (
    Series,
    crossings,
    passage,
    rounded,
    several,
    span,
    times_at_least,
    times_off,
)
from benchmarks.harness import MISSING, Row

# candidate -> figure -> its values, repeat by repeat
Found = Mapping[str, Mapping[str, Sequence[float]]]
Cells = tuple[str, str, str]  # measured here, holds when, turns over at

CALLS = "single calls"
SCALES = 0.75  # N workers must be this times N times as fast to count as parallel
COPIES = 4  # of a state
MORE = 1.1
TWICE = 2.0
JOB_MB = calls.size_mb(calls.JOB_FLOATS)


def found_in(rows: Sequence[Row]) -> Found:
    """The figures of all rows, by the name of the candidate."""
    return {str(row.labels["what"]): row.figures for row in rows}


# --- costs of a write and of a round ---


def costs(holds: str, off: Mapping[str, float]) -> str:
    """The points at which a cost holds, and for the others the factor by which it is off."""
    fails = ", ".join(
        f"{name} {_times(times)}".strip() for name, times in off.items() if times != 1
    )
    if not holds:
        return f"does not hold: {fails}"
    return f"{holds}; not {fails}" if fails else holds


def _times(times: float) -> str:
    return f"{rounded(times)} x as much" if times > 1 else f"1/{rounded(1 / times)} of that"


def sizes(found: Found, what: str, floats: Sequence[int]) -> Series:
    """The figures of a call by the size of the state, MB."""
    return {calls.size_mb(size): found[CALLS][calls.call_name(what, size)] for size in floats}


def passes(series: Series, level: float) -> str:
    """The place where a series passes a level."""
    return passage(crossings(series, level), list(series))


def thread_write(found: Found) -> Cells:
    """Judges: a write takes 0.001 ms."""
    by = {
        what: {
            1.0 + others: found[CALLS][calls.call_name(what, calls.JOB_FLOATS, others)]
            for others in calls.OTHERS
        }
        for what in ("reference", "copy")
    }
    last = calls.OTHERS[-1]
    off = {
        f"a {what}": {n: times_off(values, 0, 1e-3) for n, values in series.items()}
        for what, series in by.items()
    }
    holds = [f"{what} ({_threads(times)})" for what, times in off.items() if 1 in times.values()]
    worst = {what: max(times.values()) for what, times in off.items()}
    copied = passes(sizes(found, "copy", calls.COPY_FLOATS), 1e-3)
    measured = (
        f"a {what} {span(series[1])} ms, beside {last} that train {span(series[last + 1])}"
        for what, series in by.items()
    )
    turns = f"a copy: {copied} MB; a reference: {passes(by['reference'], 1e-3)} threads"
    return "; ".join(measured), costs(several(holds), worst), turns


def _threads(off: Mapping[float, float]) -> str:
    """The numbers of threads for which a claim holds."""
    return f"threads: {several([f'{number:g}' for number, times in off.items() if times == 1])}"


def process_write(found: Found) -> Cells:
    """Judges: a write takes 10 to 50 ms."""
    series = sizes(found, "manager", calls.WRITE_FLOATS)
    measured = ", ".join(
        f"{mb:.2g} MB {span(series[mb])} ms" for mb in (min(series), JOB_MB, max(series))
    )
    in_run = span(found["seed_process"][runs.PUBLISH])
    return (
        f"{measured}; all four of a round in seed_process {in_run} ms",
        by_size(series, 10, 50, {}),
        f"10 ms: {passes(series, 10)} MB; 50 ms: {passes(series, 50)} MB",
    )


def by_size(series: Series, low: float, high: float, also: dict[str, Sequence[float]]) -> str:
    """The sizes for which a cost holds, and how far it is off for the state of the seed job and for
    those in `also`.
    """
    holds = [f"{mb:.2g}" for mb, values in series.items() if times_off(values, low, high) == 1]
    of_the_job = {f"{JOB_MB:.2g} MB (the seed job)": series[JOB_MB]} | also
    off = {name: times_off(values, low, high) for name, values in of_the_job.items()}
    return costs(f"states of {several(holds)} MB" if holds else "", off)


def round_of(backend: str, low: float, high: float) -> Callable[[Found], Cells]:
    """A judge of a round of exchange, 0.04 ms or 2000 ms."""

    def judge(found: Found) -> Cells:
        series = sizes(found, f"{backend} round", calls.ROUND_FLOATS[backend])
        polled = found[CALLS][calls.call_name(f"{backend} round, polling", calls.JOB_FLOATS)]
        in_run = span(found[f"seed_{backend}"][runs.EXCHANGE])
        measured = (
            f"notified {span(series[JOB_MB])} ms, polling {span(polled)};"
            f" publish and receive in seed_{backend} {in_run}"
        )
        return (
            measured,
            by_size(series, low, high, {"polling": polled}),
            f"{passes(series, high)} MB",
        )

    return judge


# --- training ---


def speed_ups(found: Found, of: str, over: str, figure: str) -> list[float]:
    """The speed-up of `of` over `over`, repeat by repeat."""
    return [other / own for own, other in zip(found[of][figure], found[over][figure], strict=True)]


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
    """The number of rounds that pays back the start. Where a round is not faster, the crossing of
    the two lines would be chance.
    """
    of, over = (runs.run_name(by, workers) for by in ("process", other))
    word = verdicts.pace(speed_ups(found, of, over, runs.ROUND))
    if word != "faster":
        return "never" if word == "slower" else "no gain"
    columns = [found[name][figure] for name in (of, over) for figure in (runs.BEGIN, runs.ROUND)]
    return rounded(
        statistics.median([verdicts.paid_back(*values) for values in zip(*columns, strict=True)])
    )


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


CLAIMS: dict[str, Callable[[Found], Cells]] = {
    "threads: a write takes about 0.001 ms": thread_write,
    "processes: a write takes 10 - 50 ms": process_write,
    "threads: a round of exchange takes 0.04 ms": round_of("thread", 0, 0.04),
    "processes: a round of exchange takes 2000 ms": round_of("process", 2000, 2000),
    "threads train sequentially, without a speed-up": sequential,
    "processes train in parallel, in 1/N of the time": parallel,
    "in total processes are fast, threads slow": in_total,
    "processes need more memory, for their copies": memory,
}


def judged(found: Found) -> list[list[str]]:
    """The body of the table."""
    body = []
    for says, judge in CLAIMS.items():
        measured, holds, turns = judge(found)
        body.append([says, in_a_word(holds), measured, holds, turns])
    return body


def in_a_word(holds: str) -> str:
    """Whether a claim holds. `holds` says where it does, after a semicolon where it does not."""
    if holds.startswith("does not hold"):
        return "no"
    return MISSING if holds == MISSING else "in part" if ";" in holds else "yes"
