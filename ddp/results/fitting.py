"""Tables that fit the terminal: a narrow one folds texts, and neither cuts nor folds a number."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ddp.machine.printable import cut

GAP = 1  # characters between two columns
LEAST_TEXT = 12  # a text is folded to this width, no further
LEAST_HEADER = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table. `folds`: its cells may take several lines; its header always may."""

    header: str
    cells: Sequence[str]
    right: bool = True
    folds: bool = False

    @property
    def least(self) -> int:
        """The smallest width that it can have, in characters."""
        cells = _width(self.cells)
        return max(min(cells, LEAST_TEXT) if self.folds else cells, min(self._header, LEAST_HEADER))

    @property
    def natural(self) -> int:
        """The width at which nothing folds."""
        return max(_width(self.cells), self._header)

    @property
    def _header(self) -> int:
        return _width([self.header])


def _width(texts: Sequence[str]) -> int:
    return max((cell_len(line) for text in texts for line in text.split("\n")), default=0)


def least_width(columns: Sequence[Column]) -> int:
    """The smallest width of a table of these columns."""
    return sum(column.least + GAP for column in columns) - GAP


def natural_width(columns: Sequence[Column]) -> int:
    """The width at which nothing in a table of these columns folds."""
    return sum(column.natural + GAP for column in columns) - GAP


def in_tables(keys: Sequence[Column], others: Sequence[Column], width: int) -> list[list[Column]]:
    """The columns of as many tables as fit into `width`, in order; each begins with the `keys`.

    A table has at least one of the others, even if it is wider than `width`.
    """
    tables = [[*keys]]
    for column in others:
        if len(tables[-1]) > len(keys) and least_width([*tables[-1], column]) > width:
            tables.append([*keys])
        tables[-1].append(column)
    return tables


def that_fit(columns: Sequence[Column], importance: Sequence[int], width: int) -> list[int]:
    """The places of columns that fit into `width` together; the first of `importance` always do."""
    chosen: list[int] = []
    for place in importance:
        if not chosen or least_width([columns[at] for at in (*chosen, place)]) <= width:
            chosen.append(place)
    return sorted(chosen)


def print_table(
    console: Console, title: str, columns: Sequence[Column], styles: Sequence[str] = ()
) -> None:
    """Prints one table. `styles`: of the rows. It is wider than the console if it has to be.

    A line of the title that is wider than the table has no middle.
    """
    width = max(least_width(columns), min(natural_width(columns), console.width))
    table = Table(
        title="\n".join(cut(line, width) for line in title.splitlines()) or None,
        width=width,
        box=None,
        pad_edge=False,
        padding=(0, GAP, 0, 0),
        header_style="underline",
    )
    spare = width - least_width(columns)
    for column in columns:
        extra = min(column.natural - column.least, spare)
        spare -= extra
        table.add_column(
            column.header,
            width=column.least + extra,
            justify="right" if column.right else "left",
            overflow="fold",
        )
    rows = zip(*(column.cells for column in columns), strict=True)
    for number, row in enumerate(rows):
        style = styles[number] if number < len(styles) else None
        table.add_row(*map(Text, row), style=style)
    console.print(table, crop=False)
