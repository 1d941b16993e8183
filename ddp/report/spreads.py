"""Draws the values of settings that ran several times, as an SVG element."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from matplotlib.ticker import MaxNLocator

from ddp.report.cutting import cut_apart
from ddp.report.pictures import CHARACTERS, TEXT_ROW, WIDTH
from ddp.report.svg import TIP, canvas, ink, listed, to_svg

LINE = 14.0  # pixels of a line of dots


@dataclass(slots=True, kw_only=True)
class Dots:
    """The values of a setting; `ties`: it has the lowest mean, or ties with that."""

    label: str
    values: Sequence[float]
    ties: bool


def spreads(rows: Sequence[Dots], name: str, unit: str) -> str:
    """A dot per value, and a bar from the mean less a standard deviation to the mean and one more.

    The rows that tie have the accent's colour.
    """
    height = TEXT_ROW + LINE
    figure, axes = canvas(WIDTH, height * len(rows), bottom=34)
    short = cut_apart([row.label for row in rows], CHARACTERS)
    for number, row in enumerate(rows):
        y = number * height + TEXT_ROW + LINE / 2 - 1
        colour, mean = ink("accent" if row.ties else "muted"), fmean(row.values)
        axes.annotate(
            short[row.label],
            (0, y - LINE / 2 - 3),
            xycoords=axes.get_yaxis_transform(),
            gid=TIP + row.label,
        )
        deviation = stdev(row.values) if len(row.values) > 1 else 0.0
        about = f"mean {mean:.6g}{unit} of {len(row.values)}, standard deviation {deviation:.2g}"
        axes.plot(
            [mean - deviation, mean + deviation],
            [y, y],
            color=colour,
            linewidth=6,
            alpha=0.35,
            solid_capstyle="butt",
            gid=f"{TIP}{row.label}: {about}",
        )
        axes.plot([mean], [y], "|", color=colour, markersize=12, markeredgewidth=2)
        for value in row.values:
            axes.plot(
                [value], [y], "o", color=colour, gid=f"{TIP}{row.label}: {name} {value:.6g}{unit}"
            )
    axes.margins(x=0.04)
    axes.set_xlabel(name)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    return to_svg(figure, f"{name} of {listed(row.label for row in rows)}")
