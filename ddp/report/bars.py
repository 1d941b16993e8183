"""The part "Where the time went": stacked bars per run and backend, or of one run per lane."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from ddp.counting import counted
from ddp.report.markup import Value, details, figure, figures, lead, legend_of_kinds, table
from ddp.report.pictures import Bar, Stack, stacks
from ddp.report.reading import Lane, Run
from ddp.timing.kinds import KINDS

MAX_STACKS = 40  # runs with bars of their own; a reader does not compare more
ONE_RUN = (
    "One bar per worker, and the aggregator's: what does each spend its seconds on, and who waits"
    " for whom?"
)
SEVERAL_RUNS = (
    "The thick bar is the mean of a run's workers, the thin one below it its aggregator: what is"
    " not compute?"
)


def time(runs: Sequence[Run]) -> str | None:
    """Stacked bars, and a table with the same seconds; None if no run has an account."""
    shown = [run for run in runs if run.lanes]
    if not shown:
        return None
    content = ""
    if backends := per_backend(shown):
        content += "<h3>Backend by backend</h3>" + lead(
            "A backend's bars are the mean over its runs that ended well, each run's mean worker"
            " (thick) and aggregator (thin) "
            "counting once, whatever else the runs differ in."
        )
        content += _pictures(backends) + "<h3>Run by run</h3>"
    if len(shown) == 1:
        rows = [
            Stack(label=_with_waits(lane), bars=[Bar(name=lane.name, seconds=lane.seconds)])
            for lane in shown[0].lanes
        ]
        text = ONE_RUN
    else:
        rows = [
            Stack(label=_closing(run), owner=run.label, bars=_bars(run))
            for run in shown[:MAX_STACKS]
        ]
        text = SEVERAL_RUNS
        if len(shown) > MAX_STACKS:
            text += (
                f" These are the first {MAX_STACKS} of {len(shown)} runs; the figures below are of"
                " all."
            )
    content += lead(text) + _pictures(rows)
    kinds = {kind for row in (*rows, *backends) for bar in row.bars for kind in bar.seconds}
    return (
        content
        + legend_of_kinds(kinds, explained=True)
        + details("The same in figures", _table(shown))
    )


def per_backend(runs: Sequence[Run]) -> list[Stack]:
    """A row for each backend; none if no two runs that ended well share a backend."""
    by_backend: defaultdict[str, list[Run]] = defaultdict(list)
    for run in runs:
        if run.status == "ok":
            by_backend[run.backend].append(run)
    if max(map(len, by_backend.values()), default=0) < 2:
        return []
    rows = []
    for backend, own in by_backend.items():
        bars: defaultdict[str, list[Bar]] = defaultdict(list)
        for run in own:
            for bar in _bars(run):
                bars[bar.name].append(bar)
        means = [
            Bar(name=name, seconds=_mean([bar.seconds for bar in same]), thin=same[0].thin)
            for name, same in bars.items()
        ]
        label = f"{backend}: {counted(len(own), 'run')}"
        rows.append(Stack(label=label, owner=label, bars=means))
    return rows


def _pictures(rows: Sequence[Stack]) -> str:
    return figures(
        [
            figure(stacks(rows, shares=False), "In seconds"),
            figure(stacks(rows, shares=True), "In parts of the wall"),
        ]
    )


def _bars(run: Run) -> list[Bar]:
    """Two bars: the mean of the workers, and the aggregator."""
    workers, aggregator = run.workers(), run.aggregator()
    bars = (
        [Bar(name="mean worker", seconds=_mean([lane.seconds for lane in workers]))]
        if workers
        else []
    )
    return bars + (
        [Bar(name="aggregator", seconds=aggregator.seconds, thin=True)] if aggregator else []
    )


def _mean(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    total: Counter[str] = Counter()
    for seconds in parts:
        total.update(seconds)  # a Counter adds floats as well
    return {kind: seconds / len(parts) for kind, seconds in total.items()}


def _with_waits(lane: Lane) -> str:
    early = "" if lane.closed else "ended early: "
    if not lane.waits_for:
        return early + lane.name
    longest, seconds = max(lane.waits_for.items(), key=lambda each: each[1])
    return f"{early}{lane.name}, waits most for {longest}, {seconds:.2g} s"


def _closing(run: Run) -> str:
    return run.label if all(lane.closed for lane in run.lanes) else f"ended early: {run.label}"


def _table(runs: Sequence[Run]) -> str:
    kinds = [
        kind for kind in KINDS if any(kind in lane.seconds for run in runs for lane in run.lanes)
    ]
    rows = []
    for run in runs:
        for lane in run.lanes:
            seconds = [lane.wall_s, *(lane.seconds.get(kind, 0.0) for kind in kinds)]
            waits = ", ".join(f"{other} {amount:.3g}" for other, amount in lane.waits_for.items())
            rows.append(
                [
                    Value(text=run.label, key=run.label, label=True),
                    Value(text=lane.name, key=lane.name),
                    *(
                        Value(text=f"{amount:.3g}" if amount else "", key=amount)
                        for amount in seconds
                    ),
                    Value(text=waits, key=waits),
                ]
            )
    return table("Seconds by kind", ["run", "who", "wall", *kinds, "waits for"], rows)
