"""The parts of the page that are pictures: which there are, and what one looks at. Each is None where its data is not there."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from statistics import median

from ddp.account import ACCOUNT_KINDS
from ddp.report.comparing import Group, Look, groups_over, looks_of
from ddp.report.markup import Value, details, escape, figure, figures, legend_of_kinds, legend_of_looks, table
from ddp.report.pictures import Bar, Curve, Stack, amounts, curves, grid, stacks, timeline
from ddp.report.reading import Lane, Round, Run
from ddp.report.tracing import TracedRound, read_traced_round
from ddp.run_directory import TRACE_FILE

MAX_STACKS = 40  # more bars than this say less than a bar per backend
MB = 1e6


def accuracy(runs: Sequence[Run]) -> str | None:
    """RMSE against rounds, seconds and bytes."""
    shown = [run for run in runs if any(done.rmse is not None for done in run.rounds)]
    if not shown:
        return None
    looks = looks_of(runs, shown)
    axes: dict[str, tuple[str, Callable[[Round], float | None]]] = {
        "rounds": ("rounds", lambda done: done.index + 1),
        "seconds": ("seconds of training", lambda done: done.elapsed_s),
        "bytes": ("MB pickled and copied, all workers", lambda done: done.num_bytes / MB or None),
    }
    pieces = []
    for name, (x_label, x) in axes.items():
        lines = [_curve(run, x, looks.of[run.label]) for run in shown]
        lines = [line for line in lines if line.x]
        if lines:
            pieces.append(figure(curves(lines, x_label, "test RMSE"), f"Against {name}"))
    together = " Equal lines lie on top of each other, as those of backends that were told the same do." if len(shown) > 1 else ""
    unseen = f" Not told apart: {', '.join(looks.unseen)}." if looks.unseen else ""
    lead = (
        f"The aggregate after each round: which line is lowest, and which gets there first and with the fewest bytes?{together}"
    )
    return _lead(lead + unseen) + legend_of_looks(looks) + figures(pieces)


def _curve(run: Run, x: Callable[[Round], float | None], look: Look) -> Curve:
    known = [(at, done.rmse) for done in run.rounds if (at := x(done)) is not None and done.rmse is not None]
    return Curve(label=run.label, x=[at for at, _ in known], y=[rmse for _, rmse in known], look=look)


def _lead(text: str) -> str:
    return f'<p class="lead">{escape(text)}</p>'


# --- time -------------------------------------------------------------------------------------------------


def time(runs: Sequence[Run]) -> str | None:
    """Stacked bars, and the same in figures."""
    shown = [run for run in runs if run.lanes]
    if not shown:
        return None
    if len(shown) == 1:
        rows = [Stack(label=_who(lane), bars=[Bar(who=lane.who, seconds=lane.seconds)]) for lane in shown[0].lanes]
        lead = "One bar per worker, and the aggregator's: what does each spend its seconds on, and who waits for whom?"
    else:
        rows = [Stack(label=_closing(run), bars=_bars([run])) for run in shown]
        lead = "The thick bar is the mean of a run's workers, the thin one below it its aggregator: what is not compute?"
    if len(rows) > MAX_STACKS:
        by_backend: defaultdict[str, list[Run]] = defaultdict(list)
        for run in shown:
            by_backend[run.backend].append(run)
        rows = [Stack(label=f"{name}, mean of {len(own)} runs", bars=_bars(own)) for name, own in by_backend.items()]
    kinds = {kind for row in rows for bar in row.bars for kind in bar.seconds}
    pieces = [
        figure(stacks(rows, shares=False), "In seconds"),
        figure(stacks(rows, shares=True), "In parts of the wall"),
        f'<div class="beside">{legend_of_kinds(kinds, explained=True)}</div>',
    ]
    return _lead(lead) + figures(pieces) + details("The same in figures", _time_table(shown))


def _bars(runs: Sequence[Run]) -> list[Bar]:
    """The mean of the workers, and that of the aggregators."""
    workers = [lane for run in runs for lane in run.workers()]
    aggregators = [lane for run in runs if (lane := run.aggregator()) is not None]
    bars = [Bar(who="mean worker", seconds=_mean(workers))] if workers else []
    return bars + ([Bar(who="aggregator", seconds=_mean(aggregators), thin=True)] if aggregators else [])


def _mean(lanes: Sequence[Lane]) -> dict[str, float]:
    total: Counter[str] = Counter()
    for lane in lanes:
        total.update(lane.seconds)  # floats: a Counter adds what it is given
    return {kind: seconds / len(lanes) for kind, seconds in total.items()}


def _who(lane: Lane) -> str:
    least_s = 0.1 * sum(lane.waits_for.values())
    longest = sorted(lane.waits_for.items(), key=lambda each: -each[1])[:2]
    waits = ", ".join(f"{who} {seconds:.2g} s" for who, seconds in longest if seconds > least_s)
    return ("" if lane.closed else "ended early: ") + lane.who + (f", waits for {waits}" if waits else "")


def _closing(run: Run) -> str:
    return run.label if all(lane.closed for lane in run.lanes) else f"ended early: {run.label}"


def _time_table(runs: Sequence[Run]) -> str:
    kinds = [kind for kind in ACCOUNT_KINDS if any(kind in lane.seconds for run in runs for lane in run.lanes)]
    rows = []
    for run in runs:
        for lane in run.lanes:
            seconds = [lane.wall_s, *(lane.seconds.get(kind, 0.0) for kind in kinds)]
            waits = ", ".join(f"{who} {amount:.3g}" for who, amount in lane.waits_for.items())
            rows.append(
                [
                    *(Value(text=text, key=text) for text in (run.label, lane.who)),
                    *(Value(text=f"{amount:.3g}" if amount else "", key=amount) for amount in seconds),
                    Value(text=waits, key=waits),
                ]
            )
    return table("Seconds by kind", ["run", "who", "wall", *kinds, "waits for"], rows)


def rounds(runs: Sequence[Run]) -> str | None:
    """A timeline of one run of each backend: of the one with the most workers that ended well."""
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
        caption = f"{run.label}: round {found.index + 1}"
        pieces.append(figure(timeline(found, caption), caption, wide=True))
    kinds = {piece.kind for _, found in traced.values() for lane in found.lanes.values() for piece in lane}
    lead = (
        "Who does what at the same time, in one round: long greys are waits. "
        "Where gil_wait and run_queue stand within their span is not known; they are drawn at its end."
    )
    return _lead(lead) + legend_of_kinds(kinds) + "".join(pieces)


# --- what more workers give -------------------------------------------------------------------------------


def scaling(runs: Sequence[Run]) -> str | None:
    """Speed-up and efficiency against workers, where one worker is among them."""
    groups = groups_over(runs, ("workers",))
    looks = looks_of(runs, [run for group in groups for own in group.points.values() for run in own], without=("workers",))
    lines = []
    for group in groups:
        train_s = {workers: _median(run.train_s for run in own) for (workers,), own in sorted(group.points.items())}
        known = {workers: seconds for workers, seconds in train_s.items() if seconds}
        if 1.0 in known and len(known) > 1:
            speedup = [known[1.0] / seconds for seconds in known.values()]
            look = looks.of[group.points[1.0,][0].label]
            lines.append(Curve(label=group.label, x=list(known), y=speedup, look=look))
    if not lines:
        return None
    lean = [replace(line, y=[one / n for n, one in zip(line.x, line.y, strict=True)]) for line in lines]
    most = max(line.x[-1] for line in lines)
    pieces = [
        figure(curves(lines, "workers", "speed-up", ideal=[(1, 1), (most, most)]), "Speed-up"),
        figure(curves(lean, "workers", "efficiency", ideal=[(1, 1), (most, 1)]), "Efficiency"),
    ]
    lead = (
        "Seconds of training with one worker over those with more, everything else equal; efficiency is that per worker. "
        "The dotted line is what could be reached at best."
    )
    return _lead(lead) + legend_of_looks(looks) + figures(pieces)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def grids(runs: Sequence[Run]) -> str | None:
    """Heat maps over workers and local epochs, of groups that have more than a line of them."""
    groups = [
        group
        for group in groups_over(runs, ("workers", "local_epochs"))
        if len(group.points) > max(len({place[axis] for place in group.points}) for axis in (0, 1))
    ]
    pieces = []
    whats: list[tuple[str, str, Callable[[Run], float | None]]] = [
        ("test RMSE", "{:.4f}", lambda run: run.rmse),
        ("seconds, the whole run", "{:.3g}", lambda run: run.total_s),
    ]
    for what, form, of in whats:
        maps = _grids(groups, of)
        values = [value for cells in maps.values() for value in cells.values()]
        for label, cells in maps.items():
            svg = grid(cells, form, min(values), max(values), f"{what}, {label}")
            pieces.append(figure(svg, f"{what}: {label}"))
    if not pieces:
        return None
    lead = (
        "Does it pay to average more often, and with how many workers? Darker is higher; low is better, in RMSE and in seconds."
    )
    return _lead(lead) + figures(pieces)


def _grids(groups: Sequence[Group], of: Callable[[Run], float | None]) -> dict[str, dict[tuple[float, float], float]]:
    """A figure at every place, by group; groups with the same figures are one."""
    merged: dict[tuple[tuple[tuple[float, ...], float], ...], list[str]] = defaultdict(list)
    for group in groups:
        cells = {place: _median(of(run) for run in own) for place, own in group.points.items()}
        known = tuple((place, value) for place, value in sorted(cells.items()) if value is not None)
        if known:
            merged[known].append(group.label)
    return {", ".join(labels): {(place[0], place[1]): value for place, value in cells} for cells, labels in merged.items()}


# --- memory -----------------------------------------------------------------------------------------------


def memory(runs: Sequence[Run]) -> str | None:
    """What the run of each backend that took the most had."""
    most: dict[str, Run] = {}
    for run in runs:
        taken = run.memory.peak_rss_bytes or run.memory.pss_bytes
        if taken and (run.backend not in most or taken > (most[run.backend].memory.peak_rss_bytes or 0)):
            most[run.backend] = run
    if not most:
        return None
    names = {"peak RSS": "peak_rss_bytes", "PSS": "pss_bytes", "shared": "shared_bytes"}
    groups = {}
    for run in most.values():
        known = {name: getattr(run.memory, key) for name, key in names.items()}
        groups[run.label] = {name: amount / MB for name, amount in known.items() if amount}
    lead = (
        "All processes of a run together; of each backend the run that took the most. Peak RSS counts a page once for every "
        "process that has it, PSS shares it out among them; shared is what the run has in memory for all of its processes."
    )
    return _lead(lead) + figures([figure(amounts(groups, "memory by backend"), "Memory")])
