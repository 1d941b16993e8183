"""Many runs as rows with one set of columns, failed runs included, and their CSV."""

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ddp.config.metrics import is_metric, is_ranking
from ddp.config.schema import settings
from ddp.machine.printable import printable
from ddp.results.run_file import NEVER, OUTCOME, WORKER_MEANS, RunFile
from ddp.results.seeds import Configuration

Row = dict[str, Any]  # by column

COLUMNS = ("status", *settings({}), *OUTCOME, *WORKER_MEANS, "error", "directory")
MAIN = (
    *("backend", "workers", "data", "split", "aggregation", "trainer", "model"),
    *("rounds", "local_epochs", "seed"),
)
ALWAYS = ("backend", "workers")  # shown also where all runs agree


def rows_of(runs: Sequence[RunFile]) -> list[Row]:
    """A row per run, with a value for each column; None where it is missing.

    The columns are COLUMNS, and after OUTCOME the metrics that a run has. Text is harmless. A
    column of numbers has one type: float if a number is missing or a float.
    """
    rows = [
        {**run.settings, **run.outcome, **run.metrics, **run.worker_means}
        | {"status": run.status, "error": run.error, "directory": str(run.directory)}
        for run in runs
    ]
    place = COLUMNS.index([*OUTCOME][-1]) + 1
    metrics = dict.fromkeys(name for run in runs for name in run.metrics)
    names = (*COLUMNS[:place], *metrics, *COLUMNS[place:])
    columns = [_uniform([known(row.get(name)) for row in rows]) for name in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def known(value: Any) -> Any:
    """The value without control characters; None for NaN."""
    return None if isinstance(value, float) and math.isnan(value) else harmless(value)


def _uniform(column: list[Any]) -> list[Any]:
    if is_numeric(column) and any(value is None or type(value) is float for value in column):
        with suppress(OverflowError):  # an integer that no float holds stays as it is
            return [None if value is None else float(value) for value in column]
    return column


def is_numeric(column: Sequence[Any]) -> bool:
    """True if no value is a text."""
    return all(value is None or type(value) in (int, float) for value in column)


def sort_key(name: str) -> Callable[[Row], tuple[bool, bool, Any]]:
    """The key to sort rows by the column `name`: numbers, then texts, then rows without a value.

    The best rows come first: those with the lowest number, or with the highest ranking metric.
    """
    sign = -1 if is_ranking(name) else 1

    def key(row: Row) -> tuple[bool, bool, Any]:
        value = row.get(name)
        if isinstance(value, str):
            return False, True, value
        return value is None, False, 0 if value is None else sign * value

    return key


def as_csv(rows: Sequence[Row]) -> str:
    """All columns of the rows."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0] if rows else COLUMNS, lineterminator="\n")
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


def telling_settings(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The settings, and the machine, that tell rows apart; those of MAIN come first.

    A setting is left out if all rows that have it agree: then the option of its group tells it.
    Rows of runs whose settings are not known do not count.
    """
    told = [row for row in rows if row.get("workers") is not None]
    names = dict.fromkeys([*MAIN, *settings({}), "machine"])
    values = {name: {str(row.get(name)) for row in told} - {"-"} for name in names}
    return [name for name in names if name not in NEVER and len(values[name]) > 1]


def differing_settings(configurations: Sequence[Configuration]) -> list[str]:
    """The settings in which configurations differ, or else those of ALWAYS."""
    return [
        name
        for name in configurations[0].settings
        if len({each.settings.get(name) for each in configurations}) > 1
    ] or [*ALWAYS]


def figures_of(rows: Sequence[Row]) -> list[str]:
    """The columns of figures: outcome, metrics, and means over the workers."""
    return [name for name in rows[0] if _is_figure(name)]


def _is_figure(name: str) -> bool:
    return name in OUTCOME or name in WORKER_MEANS or is_metric(name)


def cell(name: str, value: Any) -> str:
    """A value of the column `name` as text for people; "-" for None."""
    if value is None:
        return "-"
    if isinstance(value, float) and _is_figure(name):
        is_error = name.endswith("rmse") or is_metric(name)
        digits = 4 if is_error else 0 if name == "kept_round" else 2
        return f"{value:.{digits}f}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def harmless(value: Any) -> Any:
    """Text without control characters; any other value stays as it is."""
    return printable(value) if isinstance(value, str) else value
