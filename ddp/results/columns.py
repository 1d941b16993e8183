"""The columns of the table of many runs: those that tell runs apart, as many as fit."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.cells import cell_len

from ddp.config.defaults import default_scalars, default_values
from ddp.config.options import OPTIONS
from ddp.machine.printable import cut
from ddp.results.fitting import GAP, LEAST_TEXT, Column, least_width, that_fit
from ddp.results.run_file import NEVER
from ddp.results.table import (
    MAIN,
    Row,
    agreed_settings,
    cell,
    figures_of,
    is_numeric,
    telling_settings,
)

FIRST = ("valid_rmse", "test_rmse", "train_s")  # shown however narrow the terminal is
JOB = re.compile(r"(\d+)(_.*)?")  # the directory of a sweep's job begins with its number
Fitting = tuple[list[Column], list[str]]  # the columns, and the names of those without room


def column(name: str, values: Sequence[Any]) -> Column:
    """The column `name` of a table, or of a table over seeds."""
    numeric = is_numeric(values)
    return Column(
        header=name.replace("_", "\n").replace(".", ".\n"),
        cells=[cell(name, value) for value in values],
        right=numeric,
        folds=not numeric and name != "status",
    )


def told_once(rows: Sequence[Row]) -> str:
    """The settings and figures that the runs have in common, in one line; "" if there are none.

    The settings are those of MAIN, and those that are not as in conf/.
    """
    known = next((row for row in rows if row["workers"] is not None), None)
    if known is None:
        return ""
    agreed = [
        name
        for name in agreed_settings(rows)
        if name not in NEVER and known[name] not in (None, "-")
        if name in MAIN or _is_unusual(name, known)
    ]
    order = [*(name for name in MAIN if name in agreed), *agreed]
    figures = [name for name in _figures(rows) if name not in FIRST and not _varies(name, rows)]
    names = dict.fromkeys([*order, *figures])  # each once, in this order
    return "  ".join(f"{name}={cell(name, known[name])}" for name in names)


def _is_unusual(name: str, row: Row) -> bool:
    """True if the setting is not as conf/ has it."""
    group, _, key = name.partition(".")
    if not key:
        return bool(row[name] != default_scalars().get(name, row[name]))
    if row[group] not in OPTIONS[group]:
        return True
    return bool(row[name] != default_values(group, row[group]).get(key, row[name]))


def asked_columns(rows: Sequence[Row], names: Sequence[str], width: int) -> Fitting:
    """The columns that somebody asked for, the first ones if not all have room."""
    columns = [_column(name, rows) for name in names]
    places = that_fit(columns, range(len(columns)), width)
    left_out = [name for place, name in enumerate(names) if place not in places]
    return [columns[place] for place in places], left_out


def chosen_columns(rows: Sequence[Row], width: int) -> Fitting:
    """The columns that tell runs apart, and their figures.

    RMSE and seconds always show, even if they are wider than `width`. Next come the settings that
    differ; if they have no room together, the name of the run stands in their place. Last come the
    directory and the other figures.
    """
    names = [name for name in _figures(rows) if name in FIRST or _varies(name, rows)]
    figures = [_column(name, rows) for name in FIRST if name in names]
    last = _jobs(rows, _room(width, figures))
    keys = _keys(rows, _room(width, [*figures, *last]))
    left_out = []
    if not last:
        last = _text("directory", _last_parts(rows), _room(width, [*keys, *figures]))
    for name in names:
        if name not in FIRST:
            more = _column(name, rows)
            if more.least <= _room(width, [*keys, *figures, *last]):
                figures.append(more)
            else:
                left_out.append(name)
    if last:
        whole = Column(header="directory", cells=_last_parts(rows), right=False)
        last = [whole] if whole.least <= _room(width, [*keys, *figures]) else last
    return [*keys, *figures, *last], left_out


def _room(width: int, columns: Sequence[Column]) -> int:
    """The characters that a further column may have."""
    return width - least_width(columns) - GAP


def _keys(rows: Sequence[Row], room: int) -> list[Column]:
    """The columns that tell runs apart: status and settings, or status and name."""
    status = [_column("status", rows)] if _varies("status", rows) else []
    if least_width(status) > room:
        return []
    varied = [_column(name, rows) for name in telling_settings(rows)]
    if least_width([*status, *varied]) <= room:
        return [*status, *varied]
    return [*status, *_text("name", [str(row["name"]) for row in rows], _room(room, status))]


def _jobs(rows: Sequence[Row], room: int) -> list[Column]:
    """The number of each job, if all runs are jobs of one sweep; none without room."""
    jobs = [JOB.fullmatch(name) for name in _last_parts(rows)]
    column = Column(header="job", cells=[job[1] for job in jobs if job])
    return [column] if all(jobs) and column.least <= room else []


def _last_parts(rows: Sequence[Row]) -> list[str]:
    """The last part of each directory, with the part before it where two are the same."""
    paths = [Path(row["directory"]) for row in rows]
    names = [path.name for path in paths]
    return names if len({*names}) == len(names) else ["/".join(path.parts[-2:]) for path in paths]


def _text(header: str, texts: Sequence[str], room: int) -> list[Column]:
    """A column of texts without their middle, where they are too long; none without room."""
    if room < LEAST_TEXT:
        return []
    cells = []
    for text in texts:
        most = room
        while cell_len(shown := cut(text, most)) > room:  # some characters take two places
            most -= 1
        cells.append(shown)
    return [Column(header=header, cells=cells, right=False)]


def _column(name: str, rows: Sequence[Row]) -> Column:
    if name == "directory":
        return Column(header=name, cells=_last_parts(rows), right=False, folds=True)
    return column(name, [row.get(name) for row in rows])  # no run may have an asked metric


def _figures(rows: Sequence[Row]) -> list[str]:
    """The columns of figures in which a run has one."""
    return [name for name in figures_of(rows) if any(row[name] is not None for row in rows)]


def _varies(name: str, rows: Sequence[Row]) -> bool:
    """True if the runs have different texts in this column."""
    return (len(rows) == 1 and name != "status") or len({cell(name, row[name]) for row in rows}) > 1
