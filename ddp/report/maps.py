"""Draws heat maps, as SVG elements."""

from collections.abc import Collection, Mapping

from matplotlib.patches import Rectangle

from ddp.report.comparing import in_words
from ddp.report.svg import TIP, canvas, ink, to_svg

TIE = "≈"  # stands before a figure that ties with the lowest


def grid(
    cells: Mapping[tuple[float, float], float],
    form: str,
    lowest: float,
    highest: float,
    what: str,
    ties: Collection[tuple[float, float]] = (),
) -> str:
    """A heat map of figures by (workers, local epochs). The colour is faint at `lowest` and strong
    at `highest`; `form` formats a figure, `what` names the picture, `ties` are marked.
    """
    columns, rows = (sorted({place[axis] for place in cells}) for axis in (0, 1))
    figure, axes = canvas(46 + 52 * len(columns), 30 * len(rows), bottom=34, left=44)
    for (column, row), value in cells.items():
        x, y = columns.index(column), rows.index(row) * 30
        strength = (value - lowest) / (highest - lowest) if highest > lowest else 0.0
        place = in_words("workers", f"{column:g}"), in_words("local_epochs", f"{row:g}")
        box = Rectangle(
            (x + 0.02, y + 1),
            0.96,
            28,
            facecolor=ink("accent"),
            alpha=0.06 + 0.4 * strength,
            linewidth=0,
            gid=f"{TIP}{what}: {value:.6g} with {' and '.join(place)}",
        )
        axes.add_patch(box)
        mark = TIE + " " if (column, row) in ties else ""
        axes.text(x + 0.5, y + 18.5, mark + form.format(value), ha="center")
    axes.set_xlim(0, len(columns))
    axes.set_xticks(
        [place + 0.5 for place in range(len(columns))], [f"{column:g}" for column in columns]
    )
    axes.set_yticks([place * 30 + 15 for place in range(len(rows))], [f"{row:g}" for row in rows])
    axes.set(xlabel="workers", ylabel="local epochs")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.grid(False)
    return to_svg(figure, what)
