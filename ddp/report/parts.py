"""The parts about accuracy, one round, and memory. A part without data is None."""

from collections.abc import Callable, Sequence

from ddp.report.comparing import Look, looks_of
from ddp.report.curves import Curve, curves
from ddp.report.markup import (
    Value,
    details,
    figure,
    figures,
    lead,
    legend_of_kinds,
    legend_of_looks,
    table,
)
from ddp.report.pictures import amounts, timeline
from ddp.report.reading import Run
from ddp.report.rounds import Round
from ddp.report.tracing import TracedRound, read_traced_round
from ddp.results.run_directory import TRACE_FILE

MB = 1e6
# Axis of RMSE -> its label, the text of a point, and the place of a round on it.
AXES: dict[str, tuple[str, str, Callable[[Round], float | None]]] = {
    "rounds": ("rounds", "round {x}: test RMSE {y}", lambda done: done.number),
    "seconds": ("seconds of training", "after {x} s: test RMSE {y}", lambda done: done.elapsed_s),
    "bytes": (
        "MB pickled and copied so far\n(workers and aggregator, each copy counts)",
        "after {x} MB: test RMSE {y}",
        lambda done: done.num_bytes / MB or None,
    ),
}
MEMORY = {"peak RSS": "peak_rss_bytes", "PSS": "pss_bytes", "shared": "shared_bytes"}


def accuracy(runs: Sequence[Run]) -> str | None:
    """RMSE against rounds, seconds and bytes; None if no run has finished a round."""
    shown = [run for run in runs if any(done.rmse is not None for done in run.rounds)]
    if not shown:
        return None
    looks = looks_of(runs, shown)
    pieces = []
    for name, (x_label, tip, x) in AXES.items():
        points = {run.label: points_of(run, x) for run in shown}
        lines = [
            Curve(
                label=label,
                x=[at for at, _ in line],
                y=[rmse for _, rmse in line],
                look=looks.of[label],
            )
            for label, line in points.items()
            if line
        ]
        if lines:
            pieces.append(figure(curves(lines, x_label, "test RMSE", tip=tip), f"Against {name}"))
    pieces += _of_samples(shown)
    together = (
        " Equal lines lie on top of each other: with equal settings, all backends have one line."
        if len(shown) > 1
        else ""
    )
    unseen = f" Without a look of their own: {', '.join(looks.unseen)}." if looks.unseen else ""
    text = (
        "The aggregate after each round: which line is lowest, and which gets there first and with"
        f" the fewest bytes?{together}"
    )
    return lead(text + unseen) + legend_of_looks(looks) + figures(pieces)


def _of_samples(runs: Sequence[Run]) -> list[str]:
    """The mean of the samples against the last one, of the first run that samples."""
    run = next((run for run in runs if any(done.of_sample for done in run.rounds)), None)
    if run is None:
        return []
    lines = []
    for label, name, look in (
        ("mean of the samples", "rmse", Look()),
        ("last sample", "of_sample", Look(colour=1, dash=1, marker=1)),
    ):
        points = [(done.number, getattr(done, name)) for done in run.rounds]
        known = [(at, rmse) for at, rmse in points if rmse is not None]
        lines.append(
            Curve(label=label, x=[at for at, _ in known], y=[each for _, each in known], look=look)
        )
    picture = curves(lines, "rounds", "test RMSE", tip="round {x}: test RMSE {y}")
    caption = f"{run.label}: the mean of the samples (below), and the last sample (dashed)"
    return [figure(picture, caption)]


def points_of(run: Run, x: Callable[[Round], float | None]) -> list[tuple[float, float]]:
    """(x, test RMSE) of each round, if both are known."""
    return [
        (at, done.rmse)
        for done in run.rounds
        if (at := x(done)) is not None and done.rmse is not None
    ]


def rounds(runs: Sequence[Run]) -> str | None:
    """A timeline of one run of each backend; None if no run has a trace.

    It prefers a run that ended well, and then the one with the most workers.
    """
    traced: dict[str, tuple[Run, TracedRound]] = {}
    for run in sorted(runs, key=lambda run: (run.status != "ok", -len(run.workers()))):
        if run.backend not in traced and (run.directory / TRACE_FILE).exists():
            with run.reading(TRACE_FILE):
                found = read_traced_round(run.directory / TRACE_FILE)
                if found is not None:
                    traced[run.backend] = (run, found)
    if not traced:
        return None
    pieces = []
    for run, found in traced.values():
        caption = f"{run.label}: round {found.number}"
        pieces.append(figure(timeline(found, caption), caption, wide=True))
    kinds = {
        piece.kind
        for _, found in traced.values()
        for lane in found.lanes.values()
        for piece in lane
    }
    text = (
        "One round, lane by lane. Slices above each other ran at the same time; grey is waiting. "
        "Where gil_wait and run_queue stand within their span is not known; they are drawn at its"
        " end."
    )
    return lead(text) + legend_of_kinds(kinds) + "".join(pieces)


def memory(runs: Sequence[Run]) -> str | None:
    """The memory of one run of each backend: the run that took the most."""
    most: dict[str, Run] = {}
    for run in runs:
        taken = run.memory.peak_rss_bytes or run.memory.pss_bytes
        if taken and (
            run.backend not in most or taken > (most[run.backend].memory.peak_rss_bytes or 0)
        ):
            most[run.backend] = run
    if not most:
        return None
    groups, rows = {}, []
    for run in most.values():
        known = {name: getattr(run.memory, key) for name, key in MEMORY.items()}
        groups[run.label] = {name: amount / MB for name, amount in known.items() if amount}
        cells = [
            Value(text=f"{amount / MB:,.0f}" if amount else "-", key=amount or None)
            for amount in known.values()
        ]
        rows.append([Value(text=run.label, key=run.label, label=True), *cells])
    text = (
        "All processes of a run together; of each backend the run that took the most. Peak RSS"
        " counts a page once for every "
        "process that has it, PSS shares it out among them; shared is the memory that the run holds"
        " for all of its processes."
    )
    in_figures = details(
        "The same in figures", table("Memory", ["run", *(f"{name} MB" for name in MEMORY)], rows)
    )
    return (
        lead(text) + figures([figure(amounts(groups, "memory by backend"), "Memory")]) + in_figures
    )
