"""Draws the pictures. Each function returns an SVG element."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from ddp.report.comparing import DASHES, MARKERS, Look
from ddp.report.cutting import cut_apart
from ddp.report.svg import TIP, canvas, ink, new_figure, to_svg
from ddp.report.tracing import Slice, TracedRound
from ddp.timing.kinds import KINDS

WIDTH = 360.0  # a phone's, between its margins
WIDE = 760.0  # scrolls on a phone
LOG_FROM = 20.0  # ratio of the ends of lines from which an axis is logarithmic
SMALLEST = 0.3  # pixels: narrower pieces are not drawn
ROW, TEXT_ROW = 13.0, 15.0
# the longest text over a bar, and beside a lane, in a wide font
CHARACTERS, LANE_CHARACTERS = 52, 12


@dataclass(slots=True, kw_only=True)
class Curve:
    """A line of a picture, with its label."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    look: Look


def curves(
    lines: Sequence[Curve], x_label: str, y_label: str, *, ideal: Sequence[tuple[float, float]] = ()
) -> str:
    """Lines over one axis; `ideal` is a dashed line, the best that could be reached."""
    figure = new_figure(WIDTH, 260, layout="constrained")
    axes = figure.subplots()
    if ideal:
        axes.plot(
            *zip(*ideal, strict=True),
            color=ink("muted"),
            dashes=(2, 3),
            linewidth=1,
            gid=f"{TIP}ideal",
        )
    for line in lines:
        on_off = [float(length) for length in DASHES[line.look.dash].split()]
        axes.plot(
            line.x,
            line.y,
            color=ink(f"series-{line.look.colour}"),
            linestyle=(0, on_off if len(on_off) > 1 else ()),
            marker=MARKERS[line.look.marker],
            markevery=max(1, len(line.x) // 6),
            gid=TIP + line.label,
        )
    # the ideal is a straight line on plain axes only
    if not ideal and _is_wide(lines):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
    else:
        whole = all(float(value).is_integer() for line in lines for value in line.x)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=whole))
    axes.minorticks_off()
    if ideal:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    on_x = x_label.replace("\n", " ")
    return to_svg(figure, f"{y_label} against {on_x}: {_list(line.label for line in lines)}")


def _is_wide(lines: Sequence[Curve]) -> bool:
    ends = [line.x[-1] for line in lines if line.x]
    positive = all(min(line.x) > 0 for line in lines)
    return positive and max(ends) / min(ends) > LOG_FROM


@dataclass(slots=True, kw_only=True)
class Stack:
    """A line of text, and the bars below it."""

    label: str
    bars: list["Bar"] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Bar:
    """The seconds of a lane, or of several as a mean, by kind; the aggregator's bar is `thin`."""

    name: str
    seconds: Mapping[str, float]
    thin: bool = False

    @property
    def total_s(self) -> float:
        return sum(self.seconds.values())


def stacks(rows: Sequence[Stack], *, shares: bool) -> str:
    """Stacked bars of seconds, or with `shares` of parts of the wall, as long for short runs."""
    heights = [TEXT_ROW + sum(6.0 if bar.thin else ROW for bar in row.bars) + 6 for row in rows]
    longest = max((bar.total_s for row in rows for bar in row.bars), default=0.0) or 1.0
    figure, axes = canvas(WIDTH, sum(heights), bottom=34)
    room = 0.0 if shares else 0.16  # for the figure behind the longest bar
    end = 100.0 if shares else longest * (1 + room)
    y, short = 0.0, cut_apart([row.label for row in rows], CHARACTERS)
    for row, height in zip(rows, heights, strict=True):
        below = y + TEXT_ROW
        axes.text(0, y + TEXT_ROW - 4, short[row.label], gid=TIP + row.label)
        for bar in row.bars:
            x, factor = 0.0, 100 / (bar.total_s or 1.0) if shares else 1.0
            thickness = 4.0 if bar.thin else ROW - 2
            for kind in KINDS:
                seconds = bar.seconds.get(kind, 0.0)
                width = seconds * factor
                if width / end * WIDTH > SMALLEST:
                    tip = f"{bar.name}: {kind} {seconds:.3g} s, {seconds / bar.total_s:.1%}"
                    _piece(axes, x, below, width, thickness, kind, tip)
                x += width
            if not shares and not bar.thin:
                axes.text(
                    x + end * 0.01,
                    below + thickness - 2,
                    f"{bar.total_s:.3g} s",
                    color=ink("muted"),
                )
            below += 6 if bar.thin else ROW
        y += height
    axes.set_xlim(0, end)
    axes.set_xlabel("% of the wall" if shares else "seconds")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    return to_svg(figure, f"where the time went: {_list(row.label for row in rows)}")


def timeline(traced: TracedRound, what: str) -> str:
    """The lanes of one round, in milliseconds from its first slice; `what` names it."""
    pieces = [piece for lane in traced.lanes.values() for piece in lane]
    begin_s, end_s = min(piece.start_s for piece in pieces), max(piece.end_s for piece in pieces)
    length_ms = (end_s - begin_s) * 1e3
    lane_height = 24.0
    figure, axes = canvas(WIDE, lane_height * len(traced.lanes), bottom=34, left=86)
    short = cut_apart(traced.lanes, LANE_CHARACTERS)
    for number, (name, lane) in enumerate(traced.lanes.items()):
        y = number * lane_height
        axes.annotate(
            short[name],
            (0, y + 14),
            (-8, 0),
            textcoords="offset points",
            ha="right",
            annotation_clip=False,
            gid=TIP + name,
        )
        for kind, start_s, stop_s in _joined(lane):
            width_ms = (stop_s - start_s) * 1e3
            if width_ms / length_ms * WIDE > SMALLEST:
                tip = f"{name}: {kind} {width_ms:.3g} ms"
                _piece(axes, (start_s - begin_s) * 1e3, y + 2, width_ms, lane_height - 6, kind, tip)
    axes.set_xlim(0, length_ms)
    axes.set_xlabel("milliseconds since the first of the round", loc="left")
    axes.xaxis.set_major_locator(MaxNLocator(8))
    return to_svg(figure, f"{what}: {_list(traced.lanes)}")


def _joined(lane: Sequence[Slice]) -> list[tuple[str, float, float]]:
    """(kind, start, end) of the slices; adjacent slices of one kind are joined."""
    joined: list[tuple[str, float, float]] = []
    for piece in sorted(lane, key=lambda piece: piece.start_s):
        if joined and joined[-1][0] == piece.kind and piece.start_s - joined[-1][2] < 1e-6:
            joined[-1] = (piece.kind, joined[-1][1], piece.end_s)
        else:
            joined.append((piece.kind, piece.start_s, piece.end_s))
    return joined


def grid(
    cells: Mapping[tuple[float, float], float], form: str, lowest: float, highest: float, what: str
) -> str:
    """A heat map of figures by (workers, local epochs). The colour is faint at `lowest` and strong
    at `highest`; `form` formats a figure, `what` names the picture.
    """
    columns, rows = (sorted({place[axis] for place in cells}) for axis in (0, 1))
    figure, axes = canvas(46 + 52 * len(columns), 30 * len(rows), bottom=34, left=44)
    for (column, row), value in cells.items():
        x, y = columns.index(column), rows.index(row) * 30
        strength = (value - lowest) / (highest - lowest) if highest > lowest else 0.0
        box = Rectangle(
            (x + 0.02, y + 1),
            0.96,
            28,
            facecolor=ink("accent"),
            alpha=0.06 + 0.4 * strength,
            linewidth=0,
        )
        axes.add_patch(box)
        axes.text(x + 0.5, y + 18.5, form.format(value), ha="center")
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


def amounts(groups: Mapping[str, Mapping[str, float]], what: str) -> str:
    """Bars of megabytes by group and name, one colour per name; `what` names the picture."""
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    height = sum(TEXT_ROW + ROW * len(group) + 8 for group in groups.values())
    longest = (
        max((amount for group in groups.values() for amount in group.values()), default=1.0) or 1.0
    )
    figure, axes = canvas(WIDTH, height, bottom=34)
    y, short = 0.0, cut_apart(groups, CHARACTERS)
    for label, group in groups.items():
        axes.text(0, y + TEXT_ROW - 4, short[label], gid=TIP + label)
        y += TEXT_ROW
        for name, amount in group.items():
            bar = Rectangle(
                (0, y), amount, ROW - 2, facecolor=ink(f"series-{names.index(name)}"), linewidth=0
            )
            axes.add_patch(bar)
            axes.text(
                amount + longest * 0.015,
                y + ROW - 4,
                f"{amount:,.0f} MB {name}",
                color=ink("muted"),
            )
            y += ROW
        y += 8
    axes.set_xlim(0, longest * 1.6)
    axes.set_xlabel("MB")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    return to_svg(figure, what)


def _piece(
    axes: Axes, x: float, y: float, width: float, height: float, kind: str, tip: str
) -> None:
    piece = Rectangle(
        (x, y), width, height, facecolor=ink(f"kind-{kind}"), linewidth=0, clip_on=False
    )
    piece.set_gid(TIP + tip)
    axes.add_patch(piece)


def _list(labels: object) -> str:
    """The first labels, for a screen reader."""
    every = list(labels)  # type: ignore[call-overload]
    return "; ".join(every[:8]) + (f"; and {len(every) - 8} more" if len(every) > 8 else "")
