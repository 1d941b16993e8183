"""Turns matplotlib's figures into SVG for the page.

The pictures take the page's colours and fonts, so they follow its light and dark modes.
"""

import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, Literal
from xml.etree import ElementTree

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ddp.timing.kinds import KINDS

NUM_SERIES = 8
# The colours of pictures, which are variables of the page.
INKS = (
    "text",
    "muted",
    "line",
    "surface",
    "accent",
    *(f"series-{n}" for n in range(NUM_SERIES)),
    *(f"kind-{k}" for k in KINDS),
)
# nobody would choose these colours, so `_clean_attribute` can find them and name the variable
_PLACEHOLDERS = {name: f"#0101{number:02x}" for number, name in enumerate(INKS)}
_NAMES = {placeholder: name for name, placeholder in _PLACEHOLDERS.items()}
TIP = "tip:"  # prefix of the id of an element with a tooltip
_BETWEEN = "\u2028"  # between the parts of an id; no label has it, see ddp.machine.printable
FONT_SIZE = 10.5  # in units of the picture, of which a phone shows about one per pixel


def ink(name: str) -> str:
    """The placeholder for the page's variable of this name (one of INKS)."""
    return _PLACEHOLDERS[name]


STYLE: Any = {
    "svg.fonttype": "none",  # text stays text, in the page's font
    "svg.hashsalt": "ddp",  # the same picture has the same bytes
    "text.parse_math": False,  # a path may have dollars in it
    "font.size": FONT_SIZE,
    "axes.titlesize": FONT_SIZE,
    "axes.labelsize": FONT_SIZE,
    "axes.edgecolor": ink("line"),
    "axes.labelcolor": ink("muted"),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": ink("line"),
    "grid.linewidth": 0.6,
    "text.color": ink("text"),
    "xtick.color": ink("line"),
    "ytick.color": ink("line"),
    "xtick.labelcolor": ink("muted"),
    "ytick.labelcolor": ink("muted"),
    "xtick.labelsize": FONT_SIZE,
    "ytick.labelsize": FONT_SIZE,
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
    "lines.scale_dashes": False,
    "path.simplify": False,  # a line keeps its points, of which each has a tooltip
}


@contextmanager
def page_style() -> Iterator[None]:
    """Sets matplotlib's style for figures made and saved in the block.

    The end of the block restores the settings from before.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def new_figure(width: float, height: float, layout: Literal["constrained"] | None = None) -> Figure:
    """An empty figure; `width` and `height` are in pixels of a phone's screen."""
    return Figure(figsize=(width / 72, height / 72), dpi=72, layout=layout)


def canvas(
    width: float, height: float, *, bottom: float, left: float = 10.0
) -> tuple[Figure, Axes]:
    """A figure and its axes, whose vertical unit is a pixel, counted downwards.

    `bottom` and `left` are the pixels for labels.
    """
    right, top = 18.0, 4.0
    figure = new_figure(width, height + bottom + top)
    full = height + bottom + top
    axes = figure.add_axes(
        (left / width, bottom / full, (width - left - right) / width, height / full)
    )
    axes.set_ylim(height, 0)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    return figure, axes


def listed(labels: Iterable[str]) -> str:
    """The first labels, for a screen reader."""
    every = list(labels)
    return "; ".join(every[:8]) + (f"; and {len(every) - 8} more" if len(every) > 8 else "")


def tip_of_line(label: str, tip: str, points: Iterable[tuple[float, float]]) -> str:
    """The id of a line, of which page.js makes a tooltip for each point.

    `tip` is the text of a point, with {x} and {y}.
    """
    numbers = " ".join(f"{value:.6g}" for point in points for value in point)
    return TIP + _BETWEEN.join((label, tip, numbers))


def to_svg(figure: Figure, description: str) -> str:
    """The figure as an SVG element, with ids that no other picture has.

    An artist gets a tooltip by `set_gid(TIP + text)`.
    """
    buffer = io.BytesIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    root = ElementTree.fromstring(buffer.getvalue())
    _clean(root, f"p{sha256(description.encode() + buffer.getvalue()).hexdigest()[:10]}-")
    width = float(root.attrib["viewBox"].split()[2])
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "aria-label": description,
        "style": f"--width: {width:g}px",
    }
    return ElementTree.tostring(root, encoding="unicode")


def _clean(parent: ElementTree.Element, prefix: str) -> None:
    """Gives an element plain names, the page's colours and two decimals.

    It removes groups, ids and metadata that nothing needs.
    """
    _, _, parent.tag = parent.tag.rpartition("}")
    for name, value in list(parent.attrib.items()):
        _, _, plain = name.rpartition("}")
        del parent.attrib[name]
        parent.attrib[plain] = _clean_attribute(plain, value, prefix)
    for child in list(parent):
        if child.tag.endswith(("}metadata", "}style")):
            parent.remove(child)
            continue
        _clean(child, prefix)
        name = child.attrib.get("id", "")
        if child.tag == "g":
            child.attrib.pop("id", None)
            if name.startswith(prefix + TIP):
                title = ElementTree.Element("title")
                title.text, *line = name.removeprefix(prefix + TIP).split(_BETWEEN)
                child.attrib |= dict(zip(("data-tip", "data-points"), line, strict=False))
                child.insert(0, title)
            elif not child.attrib and len(child) <= 1:
                place = list(parent).index(child)
                parent[place : place + 1] = list(child)
        child.tail = None
    parent.text = parent.text if parent.tag in ("text", "tspan", "title") else None


def _clean_attribute(name: str, value: str, prefix: str) -> str:
    if name == "id":
        return prefix + value
    if name == "href":
        return value.replace("#", f"#{prefix}")
    if name == "clip-path":
        return value.replace("url(#", f"url(#{prefix}")
    if name == "style":
        value = re.sub(r"font: [^;]*?([\d.]+px)[^;]*", r"font-size: \1", value)
        return re.sub(r"#0101[0-9a-f]{2}", lambda match: f"var(--{_NAMES[match[0]]})", value)
    if name in ("d", "x", "y", "points", "transform", "width", "height"):
        return re.sub(
            r"-?\d+\.\d+", lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), value
        )
    return value
