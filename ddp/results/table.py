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

from ddp.config.schema import settings
from ddp.machine.files import atomic_file
from ddp.machine.output import outlast_readers
from ddp.machine.printable import printable
from ddp.results.fitting import Column, in_tables, least_width, print_table, that_fit
from ddp.results.run_directory import RESULT_FILE
from ddp.results.run_file import NEVER, OUTCOME, WORKER_MEANS, RunFile, find_runs, read_runs
from ddp.results.seeds import Configuration, over_seeds
from ddp.results.simplest import of_runs
from ddp.tracking.terminal import make_console

Row = dict[str, Any]  # by column

COLUMNS = ("status", *settings({}), *OUTCOME, *WORKER_MEANS, "error", "directory")
ALWAYS = ("backend", "workers")  # shown also where all runs agree
FILE_WIDTH = 200  # characters of the table in a file, at least


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

    If configurations have run with several seeds, a second table has their spread. Raises OSError.
    """
    console = make_console()
    rows = rows_of(runs)
    names = compared_columns(rows)
    columns = [_column(name, [row[name] for row in rows]) for name in names]
    if not console.is_terminal:  # in a file nothing needs to be folded
        console.width = max(FILE_WIDTH, least_width(columns))
    shown = that_fit(columns, _by_importance(names, rows), console.width)
    print_table(console, f"{len(runs)} runs", [columns[place] for place in shown])
    left_out = [name for place, name in enumerate(names) if place not in shown]
    if left_out:
        console.print(f"no room for: {', '.join(left_out)}", style="dim")
    for text in of_runs(runs):
        console.print(f"simplest predictors: {text}", markup=False)
    print_seeds(runs, console)
    if csv_path is not None:
        with atomic_file(csv_path) as file:
            file.write(_as_csv(rows).encode())
        console.print(printable(f"table: {csv_path}"), soft_wrap=True)


def _column(name: str, values: Sequence[Any]) -> Column:
    numeric = _is_numeric(values)
    return Column(
        header=name.replace("_", "\n"),
        cells=[cell(name, value) for value in values],
        right=numeric,
        folds=not numeric and name != "status",
    )


def _by_importance(names: Sequence[str], rows: Sequence[Row]) -> list[int]:
    """The places of the columns; a narrow terminal needs the first ones most."""
    agreed = agreed_settings(rows)
    steps = (
        [name for name in ("test_rmse", "status", "valid_rmse") if name in names],
        [name for name in names if name in settings({}) and name not in agreed],
        [name for name in names if name not in WORKER_MEANS],
        names,
    )
    return [names.index(name) for name in dict.fromkeys(name for step in steps for name in step)]


def print_seeds(runs: Sequence[RunFile], console: Console) -> None:
    """Prints the spread of each configuration that ran with several seeds, if there is one."""
    configurations = over_seeds(runs)
    if not configurations:
        return
    lines = [
        (configuration, name, spread)
        for configuration in configurations
        for name, spread in configuration.spreads.items()
    ]
    settings_shown = {
        name: [configuration.settings.get(name) for configuration, _, _ in lines]
        for name in differing_settings(configurations)
    }
    measures = [name.replace("_", " ") for _, name, _ in lines]
    keys = [_column(name, list(map(_known, values))) for name, values in settings_shown.items()]
    keys.append(Column(header="", cells=measures, right=False))
    figures = [Column(header="seeds", cells=[str(spread.count) for _, _, spread in lines])]
    if any(configuration.failed for configuration in configurations):
        failed = [str(configuration.failed) for configuration, _, _ in lines]
        figures.append(Column(header="failed\nruns", cells=failed))
    for header, key in (
        ("mean", "mean"),
        ("std", "std"),
        ("95 %\nlow", "low"),
        ("95 %\nhigh", "high"),
    ):
        cells = [cell(name, getattr(spread, key)) for _, name, spread in lines]
        figures.append(Column(header=header, cells=cells))
    console.print()
    title = "spread over seeds"
    for table in in_tables(keys, figures, console.width):
        print_table(console, title, table)
        title = ""
    if unknown := sum(run.settings.get("workers") is None for run in runs):
        note = f"in no row: {unknown} run{'s' * (unknown > 1)} without known settings"
        console.print(note, style="dim")


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


def differing_settings(configurations: Sequence[Configuration]) -> list[str]:
    """The settings in which configurations differ, or else those of ALWAYS."""
    return [
        name
        for name in configurations[0].settings
        if len({each.settings.get(name) for each in configurations}) > 1
    ] or [*ALWAYS]


def cell(name: str, value: Any) -> str:
    """A value of the column `name` as text for people; "-" for None."""
    if value is None:
        return "-"
    if isinstance(value, float) and name in (*OUTCOME, *WORKER_MEANS):
        digits = 4 if name.endswith("rmse") else 0 if name == "kept_round" else 2
        return f"{value:.{digits}f}"
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
