"""Parts of all benchmarks: candidates in turn, medians, paired ratios, tables, and JSON."""

import argparse
import json
import math
import shlex
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.machine import machine
from benchmarks.tables import markdown

OUTPUTS = Path("outputs/benchmarks")
MISSING = "-"

Figures = Mapping[str, float]  # of one measurement: name, with its unit -> value
Labels = Mapping[str, str | int]  # they name a candidate


class Unavailable(Exception):  # no error: the table has a gap, and a note says why
    """A candidate cannot be measured here."""


@dataclass(slots=True, kw_only=True)
class Row:
    """One candidate.

    `figures` holds one value per repeat. A candidate that cannot be measured has none, and `note`
    says why.
    """

    labels: Labels
    figures: dict[str, list[float]] = field(default_factory=dict)
    note: str | None = None

    def cell(self, name: str, *, spread: bool = True) -> str:
        """A figure as a table shows it, with or without its range."""
        values = self.figures.get(name)
        if not values:
            return MISSING
        return shown(
            values if spread else [statistics.median(values)],
            4 if "RMSE" in name or "gap" in name else None,
        )


@dataclass(slots=True, kw_only=True)
class Table:
    """A table. `cells`: its body, line by line; the first column names the line."""

    title: str
    header: Sequence[str]
    cells: Sequence[Sequence[str]]


def table_of(
    title: str, rows: Sequence[Row], labels: Sequence[str], figures: Sequence[str]
) -> Table:
    """A table with a line per row: these labels of it, and these figures."""
    return Table(
        title=title,
        header=[*labels, *figures],
        cells=[
            [*(str(row.labels[name]) for name in labels), *(row.cell(name) for name in figures)]
            for row in rows
        ],
    )


def in_turn(candidates: Sequence[tuple[Labels, Callable[[], Figures]]], repeats: int) -> list[Row]:
    """Measures every candidate `repeats` times.

    They take turns, so that a noisy minute hits each of them.
    """
    rows = [Row(labels=labels) for labels, _ in candidates]
    for repeat in range(repeats):
        for row, (labels, measure) in zip(rows, candidates, strict=True):
            if row.note is not None:
                continue
            print(f"{repeat + 1}/{repeats}", *labels.values(), file=sys.stderr, flush=True)
            try:
                for name, value in measure().items():
                    row.figures.setdefault(name, []).append(value)
            except Unavailable as reason:
                row.note = str(reason)
    return rows


def add_ratio(rows: Sequence[Row], name: str, figure: str, baseline: Row, *, faster: bool) -> None:
    """Adds the ratio `name` of a row's `figure` to the baseline's.

    With `faster` it is the baseline's over the row's. Each ratio is of two measurements of one
    repeat, which are neighbours in time.
    """
    for row in rows:
        pairs = list(
            zip(row.figures.get(figure, []), baseline.figures.get(figure, []), strict=False)
        )
        if pairs:
            row.figures[name] = [base / own if faster else own / base for own, base in pairs]


def shown(values: Sequence[float], decimals: int | None = None) -> str:
    """The median to three digits (or to so many decimals), and the range if the values differ."""
    median = statistics.median(values)
    if decimals is None:
        decimals = min(max(2 - math.floor(math.log10(abs(median))), 0), 3) if median else 0
    middle, low, high = (f"{value:.{decimals}f}" for value in (median, min(values), max(values)))
    return middle if low == high else f"{middle} ({low} - {high})"


def command_line(name: str, doc: str | None) -> argparse.ArgumentParser:
    """A parser with the options that every benchmark has."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--repeats", type=int, default=5, help="measurements of each figure (default: %(default)s)"
    )
    parser.add_argument(
        "--output", type=Path, default=OUTPUTS / f"{name}.json", help="file (default: %(default)s)"
    )
    parser.add_argument("--markdown", action="store_true", help="print tables as Markdown")
    return parser


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """Adds options of train.py. Read the command line with `parse_intermixed_args`."""
    parser.add_argument(
        "overrides",
        nargs="*",
        default=[],
        metavar="OVERRIDE",
        help="options of train.py for all runs; they follow after --",
    )


def report(
    name: str, arguments: argparse.Namespace, rows: Sequence[Row], tables: Sequence[Table]
) -> None:
    """Prints the tables and the reasons of gaps in them, and writes all of it to `--output`."""
    for table in tables:
        _print_markdown(table) if arguments.markdown else _print_rich(table)
    for note in _notes(rows):
        print(note)
    document = {
        "benchmark": name,
        "command": shlex.join(["python", "-m", f"benchmarks.{name}", *sys.argv[1:]]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "repeats": arguments.repeats,
        "rows": [_as_json(row) for row in rows],
        "tables": [asdict(table) for table in tables],
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(document, indent=1), encoding="utf-8")
    print(f"written: {arguments.output}")


def _as_json(row: Row) -> dict[str, Any]:
    figures = {
        name: {
            "median": statistics.median(values),
            "low": min(values),
            "high": max(values),
            "values": values,
        }
        for name, values in row.figures.items()
    }
    return {**row.labels, "note": row.note, "figures": figures}


def _notes(rows: Sequence[Row]) -> Iterator[str]:
    yield from dict.fromkeys(f"{MISSING}: {row.note}" for row in rows if row.note is not None)


def _print_markdown(table: Table) -> None:
    print(f"\n{table.title}\n\n{markdown([table.header, *table.cells])}\n")


def _print_rich(table: Table) -> None:
    shape = RichTable(title=table.title, box=box.SIMPLE)
    for number, name in enumerate(table.header):
        shape.add_column(name, justify="right" if number else "left")
    for cells in table.cells:
        shape.add_row(*cells)
    Console(width=200).print(shape)
