"""One table over many runs, failed ones included.

`python -m ddp.results outputs/` prints it, and writes it as CSV.
"""

import argparse
import csv
import io
import math
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ddp.config.schema import settings
from ddp.machine.files import atomic_file
from ddp.machine.output import outlast_readers
from ddp.machine.printable import printable
from ddp.results.run_directory import RESULT_FILE
from ddp.results.run_file import OUTCOME, WORKER_MEANS, RunFile, find_runs, read_runs

Row = dict[str, Any]  # by column

COLUMNS = ("status", *settings({}), *OUTCOME, *WORKER_MEANS, "error", "directory")
ALWAYS = ("backend", "workers")  # shown also where all runs agree
NEVER = ("tensorboard", "display")  # left out on the terminal; the CSV has every column


def rows_of(runs: Sequence[RunFile]) -> list[Row]:
    """A row per run, with a value for each of COLUMNS; None where it is missing.

    Text is harmless. A column of numbers has one type: float if a number is missing or a float.
    """
    rows = [
        {**run.settings, **run.outcome, **run.worker_means}
        | {"status": run.status, "error": run.error, "directory": str(run.directory)}
        for run in runs
    ]
    columns = [_uniform([_known(row.get(name)) for row in rows]) for name in COLUMNS]
    return [dict(zip(COLUMNS, values, strict=True)) for values in zip(*columns, strict=True)]


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else harmless(value)


def _uniform(column: list[Any]) -> list[Any]:
    if _is_numeric(column) and any(value is None or type(value) is float for value in column):
        with suppress(OverflowError):  # an integer that no float holds stays as it is
            return [None if value is None else float(value) for value in column]
    return column


def _is_numeric(column: Sequence[Any]) -> bool:
    return all(value is None or type(value) in (int, float) for value in column)


def print_runs(runs: Sequence[RunFile], csv_path: Path | None) -> None:
    """Prints the columns in which runs differ, and writes all columns to `csv_path`.

    Raises OSError.
    """
    console = Console()
    rows = rows_of(runs)
    table = Table(
        title=f"{len(runs)} runs",
        box=None,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="underline",
    )
    shown = compared_columns(rows)
    for name in shown:
        table.add_column(
            name.replace("_", "\n"),
            justify="right" if _is_numeric([row[name] for row in rows]) else "left",
            overflow="fold",
            no_wrap=name == "status",
        )
    for row in rows:
        table.add_row(*(Text(cell(name, row[name])) for name in shown))
    # in a file nothing needs to be folded
    wide = console if console.is_terminal else Console(width=200)
    wide.print(table)
    if csv_path is not None:
        with atomic_file(csv_path) as file:
            file.write(_as_csv(rows).encode())
        place = f"table: {printable(csv_path)}"
        console.print(place, soft_wrap=True, highlight=False, markup=False)


def _as_csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def agreed_settings(rows: Sequence[Row]) -> list[str]:
    """The settings that are the same in all rows, where None is the same as "-".

    Rows of runs whose settings are not known do not count.
    """
    told = [row for row in rows if row["workers"] is not None]
    return [
        name
        for name in settings({})
        if len({"-" if row[name] is None else row[name] for row in told}) <= 1
    ]


def compared_columns(rows: Sequence[Row]) -> list[str]:
    """The columns that tell runs apart.

    It leaves out settings in which all agree, and errors where there are none.
    """
    if len(rows) == 1:
        shown = ["status", *ALWAYS, *OUTCOME, *WORKER_MEANS, "error", "directory"]
    else:
        left_out = {*agreed_settings(rows), *NEVER} - {*ALWAYS}
        shown = [name for name in COLUMNS if name not in left_out]
    if all(row["error"] is None for row in rows):
        shown.remove("error")
    return shown


def cell(name: str, value: Any) -> str:
    """A value of the column `name` as text for people; "-" for None."""
    if value is None:
        return "-"
    if isinstance(value, float) and name in (*OUTCOME, *WORKER_MEANS):
        return f"{value:.4f}" if name.endswith("rmse") else f"{value:.2f}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def harmless(value: Any) -> Any:
    """Text without control characters; any other value stays as it is."""
    return printable(value) if isinstance(value, str) else value


def main() -> int:
    """Runs the command `python -m ddp.results`; returns its exit code."""
    outlast_readers()
    parser = argparse.ArgumentParser(prog="python -m ddp.results", description=__doc__)
    parser.add_argument(
        "roots",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="directories that hold runs, at any depth",
    )
    parser.add_argument(
        "--csv", type=Path, help="file of the table (default: results.csv in the first DIR)"
    )
    arguments = parser.parse_args()
    missing = [root for root in arguments.roots if not root.is_dir()]
    if missing:
        parser.error(printable(f"{missing[0]} is not a directory"))
    runs = read_runs(find_runs(arguments.roots))
    if not runs:
        parser.error(printable(f"no {RESULT_FILE} below {', '.join(map(str, arguments.roots))}"))
    try:
        print_runs(runs, arguments.csv or arguments.roots[0] / "results.csv")
    except OSError as error:
        message = f"{error.filename}: {error.strerror}; choose another place with --csv FILE"
        print(f"error: {printable(message)}", file=sys.stderr)
        return 1
    return 0
