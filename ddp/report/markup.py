"""Makes the pieces of the page. They escape every text; no other module does."""

import html
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ddp.report.comparing import DASHES, MARKERS, Looks
from ddp.report.cutting import cut_apart
from ddp.results.table import harmless
from ddp.timing.kinds import KINDS

LONG_TEXT = 40  # characters; a longer sentence is folded, a longer label is cut
PHONE_LABEL = 16  # characters of a label on a phone
_MARKER_SHAPES = {
    "o": '<circle cx="17" cy="6" r="3.4"/>',
    "s": '<rect x="13.8" y="2.8" width="6.4" height="6.4"/>',
    "^": '<path d="M17 1.8l4 7.6h-8z"/>',
    "D": '<path d="M17 1.4l4.4 4.6-4.4 4.6-4.4-4.6z"/>',
    "v": '<path d="M17 10.2l4-7.6h-8z"/>',
    "P": '<path d="M15.4 1.8h3.2v2.6h2.6v3.2h-2.6v2.6h-3.2v-2.6h-2.6v-3.2h2.6z"/>',
}


@dataclass(slots=True, kw_only=True)
class Value:
    """A cell of a table: its text, and the key to sort it by; without a key it comes last.

    A `label` is cut where it is too long; its whole text shows on hover.
    """

    text: str
    key: float | str | None
    label: bool = False


class Tile(NamedTuple):
    """A card: a figure in large letters, between its name and a sentence; perhaps a command."""

    name: str
    figure: str
    more: str
    command: str = ""


def escape(text: object) -> str:
    """`text` as a browser shows it, without control characters."""
    return html.escape(str(harmless(str(text))))


def link(name: str, heading: str) -> str:
    """A link to the section `name`."""
    return f'<a href="#{name}">{escape(heading)}</a>'


def section(name: str, heading: str, content: str) -> str:
    """A part of the page: its id, heading and HTML."""
    return f'<section id="{name}"><h2>{escape(heading)}</h2>{content}</section>'


def tiles(shown: Iterable[Tile]) -> str:
    """The headline."""
    boxes = (
        f'<div><span class="muted">{escape(tile.name)}</span><b>{escape(tile.figure)}</b>'
        f"<span>{escape(tile.more)}</span>"
        + (f"<code>{escape(tile.command)}</code>" if tile.command else "")
        + "</div>"
        for tile in shown
    )
    return f'<div class="tiles">{"".join(boxes)}</div>'


def figure(svg: str, caption: str, *, wide: bool = False) -> str:
    """A picture and its line of text; a `wide` one scrolls in its own box on a phone."""
    box = (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(caption)}">{svg}</div>'
        if wide
        else svg
    )
    return f"<figure{' class=wide' * wide}><figcaption>{escape(caption)}</figcaption>{box}</figure>"


def lead(text: str) -> str:
    """The text above the pictures of a part."""
    return f'<p class="lead">{escape(text)}</p>'


def figures(pieces: Iterable[str]) -> str:
    """Pictures side by side where there is room."""
    return f'<div class="figures">{"".join(pieces)}</div>'


def legend_of_looks(looks: Looks) -> str:
    """A line per setting, with a sample of each value's look."""
    lines = []
    for name, (channel, values) in looks.legend.items():
        entries = []
        for value, look in values.items():
            colour = f"var(--series-{look.colour})" if channel == "colour" else "currentColor"
            shape = _MARKER_SHAPES[MARKERS[look.marker]] if channel == "marker" else ""
            line = (
                f'<path d="M1 6h32" fill="none" stroke="{colour}" stroke-width="2"'
                f' stroke-dasharray="{DASHES[look.dash]}"/>'
            )
            entries.append(
                '<li><svg class="swatch" viewBox="0 0 34 12" aria-hidden="true"'
                f' fill="{colour}">{line}{shape}</svg>'
                f"{escape(value)}</li>"
            )
        lines.append(
            f'<ul class="legend"><li class="name">{escape(name)}</li>{"".join(entries)}</ul>'
        )
    return "".join(lines)


def colours_of_kinds() -> str:
    """The style sheet that gives each kind its colour, as a variable: `var(--kind-wait)`."""
    light, dark = (
        " ".join(f"--kind-{name}: {getattr(kind, mode)};" for name, kind in KINDS.items())
        for mode in ("light", "dark")
    )
    return f":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"


def legend_of_kinds(shown: Iterable[str], *, explained: bool = False) -> str:
    """The colours of the kinds of time in a picture; `explained` adds the meaning of each kind."""
    present = set(shown)
    entries = []
    for name, kind in KINDS.items():
        if name in present:
            meaning = f' <span class="muted">{escape(kind.meaning)}</span>' if explained else ""
            entries.append(
                f'<li><i style="background: var(--kind-{name})"></i><b>{name}</b>{meaning}</li>'
            )
    return f'<ul class="legend{" explained" * explained}">{"".join(entries)}</ul>'


def table(
    caption: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Value]],
    failed: Collection[int] = (),
) -> str:
    """A table that page.js sorts by a press on a header; rows of `failed` are marked."""
    numeric = [
        all(isinstance(row[place].key, float | int | None) for row in rows)
        for place in range(len(columns))
    ]
    labels = [value.text for row in rows for value in row if value.label]
    short, shorter = (cut_apart(labels, most) for most in (LONG_TEXT, PHONE_LABEL))
    heads = "".join(
        f'<th scope="col"{" class=number" * is_number}><button'
        f' type="button">{escape(name)}</button></th>'
        for name, is_number in zip(columns, numeric, strict=True)
    )
    lines = []
    for number, row in enumerate(rows):
        cells = []
        for value, is_number in zip(row, numeric, strict=True):
            key = "" if value.key is None else f' data-key="{escape(value.key)}"'
            if value.label:
                cells.append(_label(value.text, short[value.text], shorter[value.text], key))
                continue
            long = " class=long" * (len(value.text) > LONG_TEXT and " " in value.text)
            kind = " class=number" if is_number else long
            cells.append(f"<td{kind}{key}>{escape(value.text)}</td>")
        lines.append(f"<tr{' class=failed' * (number in failed)}>{''.join(cells)}</tr>")
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table'
        ' class="sortable">'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _label(whole: str, short: str, shorter: str, key: str) -> str:
    """The cell of a label. page.css shows the shorter one on a phone."""
    title = f' title="{escape(whole)}"' * (shorter != whole)
    return f'<td class=label{key}{title} data-phone="{escape(shorter)}"><i>{escape(short)}</i></td>'


def pairs(values: Iterable[tuple[str, str]]) -> str:
    """Names and values, in columns where there is room."""
    items = (
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in values
    )
    return f"<dl>{''.join(items)}</dl>"


def listing(values: Iterable[tuple[str, str]]) -> str:
    """A list of names, each with its text."""
    items = (f"<li><b>{escape(name)}</b>: {escape(text)}</li>" for name, text in values)
    return f"<ul>{''.join(items)}</ul>"


def details(summary: str, content: str) -> str:
    """Content that is hidden until the reader opens it."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"
