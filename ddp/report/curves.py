"""Draws lines over one axis, as an SVG element."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ddp.report.comparing import DASHES, MARKERS, Look
from ddp.report.pictures import WIDTH
from ddp.report.svg import TIP, ink, listed, new_figure, tip_of_line, to_svg

LOG_FROM = 20.0  # ratio of the ends of lines from which an axis is logarithmic
MOST_POINTS = 200  # of a line; a picture has 360 pixels


@dataclass(slots=True, kw_only=True)
class Curve:
    """A line of a picture, with its label."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    look: Look


def curves(
    lines: Sequence[Curve],
    x_label: str,
    y_label: str,
    *,
    tip: str,
    ideal: Sequence[tuple[float, float]] = (),
) -> str:
    """Lines over one axis; `ideal` is a dashed line, the best that could be reached.

    `tip` is the text of a point, with {x} and {y}: "round {x}: test RMSE {y}".
    """
    lines = [_thinned(line) for line in lines]
    figure = new_figure(WIDTH, 260, layout="constrained")
    axes = figure.subplots()
    if ideal:
        look: Any = {"color": ink("muted"), "dashes": (2, 3), "linewidth": 1}
        axes.plot(*zip(*ideal, strict=True), **look, gid=f"{TIP}ideal")
    for line in lines:
        on_off = [float(length) for length in DASHES[line.look.dash].split()]
        axes.plot(
            line.x,
            line.y,
            color=ink(f"series-{line.look.colour}"),
            linestyle=(0, on_off if len(on_off) > 1 else ()),
            marker=MARKERS[line.look.marker],
            markevery=max(1, len(line.x) // 6),
            gid=tip_of_line(line.label, tip, zip(line.x, line.y, strict=True)),
        )
    _scale(axes, lines, plain=bool(ideal))
    axes.minorticks_off()
    if ideal:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    on_x = x_label.replace("\n", " ")
    return to_svg(figure, f"{y_label} against {on_x}: {listed(line.label for line in lines)}")


def _scale(axes: Axes, lines: Sequence[Curve], *, plain: bool) -> None:
    """The scale and ticks across. An ideal is a straight line on a `plain` axis only."""
    if not plain and _is_wide(lines):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
    else:
        whole = all(float(value).is_integer() for line in lines for value in line.x)
        places = {value for line in lines for value in line.x}
        if len(places) == 1:  # a locator would add ticks beside it, between two rounds
            axes.set_xticks([*places], [f"{value:g}" for value in places])
        else:
            axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=whole))


def _thinned(line: Curve) -> Curve:
    """The line with at most MOST_POINTS: every so many of them, the lowest, and the last."""
    step = -(-len(line.x) // MOST_POINTS)
    if step <= 1:
        return line
    places = {*range(0, len(line.x), step), line.y.index(min(line.y)), len(line.x) - 1}
    x, y = ([values[place] for place in sorted(places)] for values in (line.x, line.y))
    return Curve(label=line.label, x=x, y=y, look=line.look)


def _is_wide(lines: Sequence[Curve]) -> bool:
    ends = [line.x[-1] for line in lines if line.x]
    positive = all(min(line.x) > 0 for line in lines)
    return positive and max(ends) / min(ends) > LOG_FROM
