"""The screen about many runs: facts, a table that fits the terminal, and the lines below it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ddp.counting import counted
from ddp.machine.files import atomic_file
from ddp.machine.printable import printable
from ddp.results.best import REPEAT, best_and_fastest
from ddp.results.columns import asked_columns, chosen_columns, column, told_once
from ddp.results.fitting import Column, in_tables, natural_width, print_table
from ddp.results.run_file import RunFile
from ddp.results.seeds import over_seeds
from ddp.results.simplest import of_runs
from ddp.results.table import (
    Row,
    as_csv,
    cell,
    differing_settings,
    harmless,
    known,
    rows_of,
    sort_key,
)
from ddp.tracking.terminal import make_console, print_facts

FILE_WIDTH = 200  # characters of the table in a file, at least
WHOLE = 100_000  # characters that hold every column


def print_runs(
    runs: Sequence[RunFile],
    csv_path: Path | None,
    *,
    sort: str | None = None,
    top: int | None = None,
    columns: Sequence[str] = (),
) -> None:
    """Prints the columns in which runs differ, and writes all columns to `csv_path`.

    If configurations have run with several seeds, a second table has their spread. Below it stand
    the best run and the fastest. `sort`: the column to sort by, the best first. `top`: shows so
    many rows. `columns`: shows these. The file has all rows and columns in the order of the runs.
    Raises OSError.
    """
    console = make_console()
    rows = rows_of(runs)
    shown = [row | {"name": harmless(run.name)} for run, row in zip(runs, rows, strict=True)]
    if sort is not None:
        shown.sort(key=sort_key(sort))
    _print_table(shown[:top], len(runs), columns, console)
    print_facts([("simplest", text) for text in of_runs(runs)], console)
    print_seeds(runs, console)
    _print_best(runs, console)
    if csv_path is not None:
        with atomic_file(csv_path) as file:
            file.write(as_csv(rows).encode())
        console.print(printable(f"table: {csv_path}"), soft_wrap=True)


def _print_table(
    rows: Sequence[Row], num_runs: int, asked: Sequence[str], console: Console
) -> None:
    """Prints these rows of all: their common settings, the table, and their errors."""
    console.print(_title(rows, num_runs), soft_wrap=True)
    common = told_once(rows)
    print_facts([("in all", common)] if common else [], console)
    width = console.width if console.is_terminal else WHOLE  # a file has room for all
    columns, left_out = asked_columns(rows, asked, width) if asked else chosen_columns(rows, width)
    if not console.is_terminal:
        console.width = max(FILE_WIDTH, natural_width(columns))
    console.print()
    print_table(console, "", columns)
    if left_out:
        console.print(f"no room for: {', '.join(left_out)}", style="dim")
    failures = [
        (row["status"], f"{Path(row['directory']).name}: {' '.join(row['error'].split())}")
        for row in rows
        if row["error"] is not None
    ]
    print_facts(failures, console)


def _title(rows: Sequence[Row], num_runs: int) -> str:
    statuses = Counter(row["status"] for row in rows)
    told = ", ".join(f"{count} {status}" for status, count in statuses.items())
    if len(statuses) == 1:
        told = ("all " if len(rows) > 1 else "") + rows[0]["status"]
    whole = counted(num_runs, "run")
    return f"{whole}: {told}" if len(rows) == num_runs else f"{len(rows)} of {whole}: {told}"


def _print_best(runs: Sequence[RunFile], console: Console) -> None:
    """Prints the best run and the fastest; a command stands in one line, to be copied."""
    if lines := best_and_fastest(runs):
        console.print()
    for label, text in lines:
        if label == REPEAT:
            line = f"{label + ':':12}{text}"
            console.print(line, soft_wrap=True)
        else:
            print_facts([(label, text)], console)


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
    keys = [
        column(name, [known(value) for value in values]) for name, values in settings_shown.items()
    ]
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
        note = f"in no row: {counted(unknown, 'run')} without known settings"
        console.print(note, style="dim")
