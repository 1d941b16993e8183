"""The part "All runs": a table with a row per run, and the errors of those that failed."""

import os
from collections.abc import Mapping, Sequence

from ddp.counting import counted
from ddp.report.markup import Value, details, listing, pairs, table
from ddp.report.overview import MAX_LISTED, value_of
from ddp.report.reading import Run
from ddp.results.run_file import NEVER
from ddp.results.table import Row, figures_of, telling_settings

NAME = "name"
# in the order of the columns: what a reader came for stands before the settings
FIRST = ("test_rmse", "valid_rmse", "train_s", "total_s")


def runs_table(rows: Sequence[Row], runs: Sequence[Run], place: str) -> str:
    """All runs, with paths relative to `place`; `rows` are theirs, of `ddp.results.table.rows_of`.

    Above it stand the errors of failed runs and the settings that do not tell runs apart.
    """
    full: list[Row] = [
        row
        | {NAME: run.label, "directory": os.path.relpath(run.directory, place)}
        | {"machine": run.settings.get("machine")}
        for row, run in zip(rows, runs, strict=True)
    ]
    settings = telling_settings(full)
    figures = [name for name in figures_of(rows) if _is_known(name, full)]
    before = [name for name in FIRST if name in figures]
    after = [name for name in figures if name not in before]
    error = ["error"] if _is_known("error", full) else []
    columns = ["status", NAME, *before, *settings, *after, *error, "directory"]
    cells = [[_cell(name, row) for name in columns] for row in full]
    headers = [name.replace("_", " ").replace(".", " ") for name in columns]
    failed = {index for index, run in enumerate(runs) if run.status != "ok"}
    return (
        _failures(rows, runs)
        + '<p class="lead">Press on a header to sort by it.</p>'
        + _in_common(runs, settings)
        + table("All runs", headers, cells, failed)
    )


def _is_known(name: str, rows: Sequence[Row]) -> bool:
    return any(row[name] is not None for row in rows)


def _cell(name: str, row: Mapping[str, object]) -> Value:
    value = value_of(name, row[name])
    return Value(text=value.text, key=value.key, label=True) if name == NAME else value


def _in_common(runs: Sequence[Run], varied: Sequence[str]) -> str:
    """The settings that the table does not show, in a box; a run may lack some of them."""
    told = {
        name: value
        for run in reversed(runs)
        for name, value in run.settings.items()
        if name not in (*varied, *NEVER, "machine") and value != "-"
    }
    if not told:
        return ""
    summary = f"{counted(len(told), 'setting')}, the same in all runs"
    return details(summary if len(runs) > 1 else "Its settings", pairs(sorted(told.items())))


def _failures(rows: Sequence[Row], runs: Sequence[Run]) -> str:
    """The first errors, at the top; the table has all of them."""
    errors = [
        (run.label, row["error"])
        for run, row in zip(runs, rows, strict=True)
        if row["error"] is not None
    ]
    more = [("and", f"{len(errors) - MAX_LISTED} more")] if len(errors) > MAX_LISTED else []
    return listing(errors[:MAX_LISTED] + more) if errors else ""
