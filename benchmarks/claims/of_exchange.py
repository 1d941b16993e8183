"""Judges of the claims about a write and a round of exchange."""

from collections.abc import Callable, Mapping, Sequence

from benchmarks.claims import calls, runs
from benchmarks.claims.found import CALLS, JOB_MB, Cells, Found, sizes
from benchmarks.claims.verdicts import Series, passes, rounded, several, span, times_off


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
    """The sizes for which a cost holds, and how far it is off elsewhere.

    *Elsewhere* is the state of the seed job, and the figures in `also`.
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
