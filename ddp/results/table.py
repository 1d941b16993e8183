"""One table over many runs: `python -m ddp.results outputs/` prints it, failed runs included, and
writes it as CSV.
"""

import argparse
import json
import math
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ddp.config.schema import settings
from ddp.machine.files import atomic_file
from ddp.results.run_directory import CONFIG_FILE, RESULT_FILE
from ddp.timing.kinds import TABLE_COLUMNS, unit_of

# Column -> where it stands in result.json.
OUTCOME = {
    "test_rmse": "rmse.test",
    "valid_rmse": "rmse.valid",
    "total_s": "seconds.total",
    "train_s": "seconds.train",
}
# Means over the workers, of the whole run: column -> (key in result.json, unit, factor to it).
WORKER_MEANS = {column: unit_of(column) for column in TABLE_COLUMNS}
COLUMNS = ("status", *settings({}), *OUTCOME, *WORKER_MEANS, "error", "directory")
ALWAYS = ("backend", "workers")  # shown also where all runs agree
NEVER = ("tensorboard", "display")  # on the terminal; the CSV has everything


def find_runs(roots: Iterable[Path]) -> list[Path]:
    """The run directories below the given ones, also those of killed runs; by path, a sweep's jobs
    by number.
    """
    marks = (
        path for root in roots for name in (RESULT_FILE, CONFIG_FILE) for path in root.rglob(name)
    )
    return sorted(
        {mark.parent for mark in marks if mark.name == RESULT_FILE or _is_claim(mark)}, key=in_order
    )


def _is_claim(path: Path) -> bool:
    """Whether this is the config.yaml that a run claims its directory with: it begins with the
    first scalar.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return path.parent.name != ".hydra" and file.readline().startswith("workers:")
    except OSError:  # a folder of this name, or not ours to read
        return False


def in_order(directory: Path) -> list[tuple[int, str]]:
    """Number by number: 10 comes after 2."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part)
        for part in re.split(r"(\d+)", str(directory))
    ]


def read_runs(directories: Iterable[Path]) -> pd.DataFrame:
    """A row per run. A directory without a readable result.json (a killed run, a refused config) is
    a row as well.
    """
    return pd.DataFrame([_read(directory) for directory in directories], columns=COLUMNS)


def _read(directory: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"directory": str(directory)}
    try:
        result = json.loads((directory / RESULT_FILE).read_text(encoding="utf-8"))
        row |= {"status": str(result["status"]), "error": result.get("error")} | settings(
            result.get("config") or {}
        )
        row |= {name: str(value) for name, value in row.items() if isinstance(value, list | dict)}
        row |= {column: _number(result, path) for column, path in OUTCOME.items()}
        if result.get("resumed"):  # they are of its last process alone
            row |= {"total_s": math.nan, "train_s": math.nan}
        for column, (key, _, factor) in WORKER_MEANS.items():
            values = [
                float(worker[key])
                for worker in result.get("workers") or []
                if worker.get(key) is not None
            ]
            row[column] = fmean(values) * factor if values else math.nan
    except FileNotFoundError:
        row |= {"status": "no result", "error": "refused before it started, killed, or not done"}
    except Exception as error:  # the file may hold anything, and none of it may cost the other rows
        row |= {"status": "unreadable", "error": f"{RESULT_FILE}: {type(error).__name__}: {error}"}
    return row


def _number(result: Any, path: str) -> float:
    for key in path.split("."):
        result = result.get(key) if isinstance(result, dict) else None
    return math.nan if result is None else float(result)


def print_runs(runs: pd.DataFrame, csv_path: Path | None) -> None:
    """Prints the table (columns in which all runs agree are left out) and writes all of it to
    `csv_path`. Raises OSError.
    """
    console = Console()
    runs = runs.map(harmless)
    shown = comparison(runs)
    table = Table(
        title=f"{len(runs)} runs",
        box=None,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="underline",
    )
    for name in shown.columns:
        numeric = pd.api.types.is_numeric_dtype(shown[name])
        table.add_column(
            name.replace("_", "\n"),
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=name == "status",
        )
    for values in shown.itertuples(index=False):
        table.add_row(
            *(Text(cell(name, value)) for name, value in zip(shown.columns, values, strict=True))
        )
    # in a file nothing needs to be folded
    wide = console if console.is_terminal else Console(width=200)
    wide.print(table)
    if csv_path is not None:
        with atomic_file(csv_path) as file:
            file.write(runs.to_csv(index=False).encode())
        console.print(f"table: {csv_path}", soft_wrap=True, highlight=False)


def agreed_settings(runs: pd.DataFrame) -> list[str]:
    """Those that are the same for all runs whose settings are known: a refused run does not say
    what it was told.
    """
    told = runs[runs["workers"].notna()]
    return [name for name in settings({}) if told[name].astype(str).nunique() <= 1]


def comparison(runs: pd.DataFrame) -> pd.DataFrame:
    """The columns that runs are compared by: without settings in which all agree, and without
    errors where there are none.
    """
    shown = runs.drop(
        columns=[name for name in {*agreed_settings(runs), *NEVER} if name not in ALWAYS]
    )
    if len(runs) == 1:
        shown = runs[["status", *ALWAYS, *OUTCOME, *WORKER_MEANS, "error", "directory"]]
    return shown.drop(columns="error") if runs["error"].isna().all() else shown


def cell(name: str, value: Any) -> str:
    """A value of the column `name`, as people read it."""
    if pd.isna(value):
        return "-"
    if isinstance(value, float) and name in (*OUTCOME, *WORKER_MEANS):
        return f"{value:.4f}" if name.endswith("rmse") else f"{value:.2f}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def harmless(value: Any) -> Any:
    """Text without what moves a cursor or ends a line of CSV; any other value as it is."""
    if not isinstance(value, str):
        return value
    return "".join(
        character if character.isprintable() or character == "\n" else "?" for character in value
    )


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m ddp.results", description=__doc__)
    parser.add_argument(
        "roots",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="directories that hold runs, at any depth",
    )
    parser.add_argument(
        "--csv", type=Path, help="where to write the table (default: results.csv in the first DIR)"
    )
    arguments = parser.parse_args()
    missing = [root for root in arguments.roots if not root.is_dir()]
    if missing:
        parser.error(f"{missing[0]} is not a directory")
    runs = read_runs(find_runs(arguments.roots))
    if runs.empty:
        parser.error(f"no {RESULT_FILE} below {', '.join(map(str, arguments.roots))}")
    try:
        print_runs(runs, arguments.csv or arguments.roots[0] / "results.csv")
    except OSError as error:
        print(
            f"error: {error.filename}: {error.strerror}; choose another place with --csv FILE",
            file=sys.stderr,
        )
        return 1
    return 0
