"""Draws bars and timelines. Each function returns an SVG element."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from ddp.report.cutting import cut_apart
from ddp.report.svg import TIP, canvas, ink, listed, to_svg
from ddp.report.tracing import Slice, TracedRound
from ddp.timing.kinds import KINDS

WIDTH = 360.0  # a phone's, between its margins
WIDE = 760.0  # scrolls on a phone
SMALLEST = 0.3  # pixels: narrower pieces are not drawn
ROW, TEXT_ROW = 13.0, 15.0
# the longest text over a bar, and beside a lane, in a wide font
CHARACTERS, LANE_CHARACTERS = 52, 12


@dataclass(slots=True, kw_only=True)
class Stack:
    """A line of text, and the bars below it; `owner` names the run or runs in tooltips."""

    label: str
    owner: str = ""
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
                    share = f"{seconds:.4g} s, {seconds / bar.total_s:.1%}"
                    tip = f"{row.owner and row.owner + ': '}{bar.name}: {kind} {share}"
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
    return to_svg(figure, f"where the time went: {listed(row.label for row in rows)}")


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
                tip = f"{what}, {name}: {kind} {width_ms:.4g} ms"
                _piece(axes, (start_s - begin_s) * 1e3, y + 2, width_ms, lane_height - 6, kind, tip)
    axes.set_xlim(0, length_ms)
    axes.set_xlabel("milliseconds since the first of the round", loc="left")
    axes.xaxis.set_major_locator(MaxNLocator(8))
    return to_svg(figure, f"{what}: {listed(traced.lanes)}")


def _joined(lane: Sequence[Slice]) -> list[tuple[str, float, float]]:
    """(kind, start, end) of the slices; adjacent slices of one kind are joined."""
    joined: list[tuple[str, float, float]] = []
    for piece in sorted(lane, key=lambda piece: piece.start_s):
        if joined and joined[-1][0] == piece.kind and piece.start_s - joined[-1][2] < 1e-6:
            joined[-1] = (piece.kind, joined[-1][1], piece.end_s)
        else:
            joined.append((piece.kind, piece.start_s, piece.end_s))
    return joined


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
                (0, y), amount, ROW - 2, facecolor=ink(f"series-{names.index(name)}"), linewidth=0,
                gid=f"{TIP}{label}: {name} {amount:,.1f} MB",
            )  # fmt: skip
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
