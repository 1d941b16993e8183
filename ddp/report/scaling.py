"""The parts about numbers of workers and local epochs: speed-up, efficiency, and heat maps."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from ddp.report.comparing import Group, groups_over, looks_of, repetitions
from ddp.report.curves import Curve, curves
from ddp.report.maps import TIE, grid
from ddp.report.markup import Value, details, figure, figures, lead, legend_of_looks, table
from ddp.report.reading import Run
from ddp.results.ties import tie

MAX_NARROW = 6  # columns of a heat map that can be read on a phone without scrolling
# Name -> format of a figure, and the field of a run.
GRIDS: dict[str, tuple[str, Callable[[Run], float | None]]] = {
    "test RMSE": ("{:.4f}", lambda run: run.rmse),
    "seconds, the whole run": ("{:.3g}", lambda run: run.total_s),
}


@dataclass(slots=True, frozen=True)
class Point:
    """The speed-up of a number of workers over one worker."""

    workers: float
    speedup: float

    @property
    def efficiency(self) -> float:
        return self.speedup / self.workers


def speedups(group: Group) -> list[Point]:
    """Speed-ups by the seconds of training; none without runs of one worker and of several."""
    train_s = {
        workers: _median(run.train_s for run in own)
        for (workers,), own in sorted(group.points.items())
    }
    known = {workers: seconds for workers, seconds in train_s.items() if seconds}
    if 1.0 not in known or len(known) == 1:
        return []
    return [Point(workers, known[1.0] / seconds) for workers, seconds in known.items()]


def scaling(runs: Sequence[Run]) -> str | None:
    """Speed-up and efficiency against workers; None if no group of runs has one worker and more."""
    groups = [group for group in groups_over(runs, ("workers",)) if speedups(group)]
    if not groups:
        return None
    shown = [run for group in groups for own in group.points.values() for run in own]
    looks = looks_of(runs, shown, without=("workers", "seed"))
    lines, lean = [], []
    for group in groups:
        points = speedups(group)
        workers, look = [point.workers for point in points], looks.of[group.points[1.0,][0].label]
        lines.append(
            Curve(label=group.label, x=workers, y=[point.speedup for point in points], look=look)
        )
        lean.append(
            Curve(label=group.label, x=workers, y=[point.efficiency for point in points], look=look)
        )
    most = max(line.x[-1] for line in lines)
    pieces = []
    for name, own, best in (("speed-up", lines, most), ("efficiency", lean, 1)):
        tip = f"{{x}} workers: {name} {{y}}"
        svg = curves(own, "workers", name, tip=tip, ideal=[(1, 1), (most, best)])
        pieces.append(figure(svg, name.capitalize() + repetitions(groups)))
    text = (
        "Seconds of training with one worker over those with more, everything else equal;"
        " efficiency is that per worker. "
        "The dotted line is what could be reached at best."
    )
    return lead(text) + legend_of_looks(looks) + figures(pieces)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def grids(runs: Sequence[Run]) -> str | None:
    """Heat maps over workers and local epochs; None if no group of runs varies both."""
    groups = [
        group
        for group in groups_over(runs, ("workers", "local_epochs"))
        if len(group.points) > max(len({place[axis] for place in group.points}) for axis in (0, 1))
    ]
    pieces = []
    for what, (form, of) in GRIDS.items():
        maps = heat_maps(groups, of)
        values = [value for each in maps for value in each.cells.values()]
        for label, cells, ties in maps:
            svg = grid(cells, form, min(values), max(values), f"{what}, {label}", ties)
            wide = len({workers for workers, _ in cells}) > MAX_NARROW
            tied = f"; {TIE} ties with the lowest" if ties else ""
            pieces.append(figure(svg, f"{what}: {label}{repetitions(groups)}{tied}", wide=wide))
    if not pieces:
        return None
    text = (
        "Does it pay to average more often, and with how many workers? "
        "The stronger the colour, the higher; low is better, in RMSE and in seconds."
    )
    return lead(text) + figures(pieces) + details("The same in figures", _table(groups))


class HeatMap(NamedTuple):
    """Figures by (workers, local epochs), and the places that tie with the lowest of them."""

    label: str
    cells: dict[tuple[float, float], float]
    ties: set[tuple[float, float]]


def heat_maps(groups: Sequence[Group], of: Callable[[Run], float | None]) -> list[HeatMap]:
    """The heat maps of the groups; groups with the same figures share one."""
    maps: list[HeatMap] = []
    for group in groups:
        points = {(place[0], place[1]): own for place, own in sorted(group.points.items())}
        medians = {place: _median(of(run) for run in own) for place, own in points.items()}
        cells = {place: value for place, value in medians.items() if value is not None}
        same = next((at for at, each in enumerate(maps) if each.cells == cells), None)
        if same is not None:
            maps[same] = maps[same]._replace(label=f"{maps[same].label}, {group.label}")
        elif cells:
            maps.append(HeatMap(group.label, cells, _ties(points, cells, of)))
    return maps


def _ties(
    points: Mapping[tuple[float, float], Sequence[Run]],
    cells: Mapping[tuple[float, float], float],
    of: Callable[[Run], float | None],
) -> set[tuple[float, float]]:
    """The places that tie with the lowest figure."""
    values = {
        place: [value for run in points[place] if (value := of(run)) is not None] for place in cells
    }
    lowest = min(cells, key=lambda place: cells[place])
    return {place for place in cells if place != lowest and tie(values[lowest], values[place])}


def _table(groups: Sequence[Group]) -> str:
    rows = []
    for group in groups:
        for place, own in sorted(group.points.items()):
            row = [
                Value(text=group.label, key=group.label, label=True),
                *(Value(text=f"{at:g}", key=at) for at in place),
            ]
            for form, of in GRIDS.values():
                value = _median(of(run) for run in own)
                row.append(Value(text="-" if value is None else form.format(value), key=value))
            rows.append([*row, Value(text=f"{len(own)}", key=len(own))])
    return table(
        "Workers and local epochs", ["group", "workers", "local epochs", *GRIDS, "runs"], rows
    )
