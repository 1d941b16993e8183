"""One table over many runs: `python -m ddp.results outputs/` prints it, failed runs included, and writes it as CSV."""

import argparse
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from ddp.atomic import atomic_file
from ddp.run_directory import CONFIG_FILE, RESULT_FILE

# Column -> where it stands in result.json.
COLUMNS = {
    "status": "status",
    "backend": "config.backend.name",
    "workers": "config.workers",
    "rounds": "config.rounds",
    "local_epochs": "config.local_epochs",
    "seed": "config.seed",
    "data": "config.data.name",
    "split": "config.split.name",
    "dim": "config.model.dim",
    "trainer": "config.trainer.name",
    "aggregation": "config.aggregation.name",
    "test_rmse": "rmse.test",
    "valid_rmse": "rmse.valid",
    "total_s": "seconds.total",
    "train_s": "seconds.train",
}
# Means over the workers, of the whole run: column -> (key in result.json, factor to the unit).
WORKER_MEANS = {
    "startup_s": ("startup_s", 1.0),
    "compute_s": ("compute_s", 1.0),
    "wait_s": ("wait_s", 1.0),
    "lock_wait_ms": ("lock_wait_s", 1e3),
    "pickle_ms": ("pickle_s", 1e3),
    "transfer_ms": ("transfer_s", 1e3),
}
COUNTS = ("workers", "rounds", "local_epochs", "seed", "dim")
CONSTANT_HIDDEN = ("rounds", "local_epochs", "seed", "data", "split", "dim", "trainer", "aggregation")


def find_runs(roots: Iterable[Path]) -> list[Path]:
    """The run directories below the given ones, also those of killed runs; by path, a sweep's jobs by number."""
    marks = (path for root in roots for name in (RESULT_FILE, CONFIG_FILE) for path in root.rglob(name))
    return sorted({mark.parent for mark in marks if mark.parent.name != ".hydra"}, key=in_order)


def in_order(directory: Path) -> list[tuple[int, str]]:
    """Number by number: 10 comes after 2."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(directory))]


def read_runs(directories: Iterable[Path]) -> pd.DataFrame:
    """A row per run. A directory without a readable result.json (a killed run, a refused config) is a row as well."""
    rows = [_read(directory) for directory in directories]
    return pd.DataFrame(rows, columns=[*COLUMNS, *WORKER_MEANS, "error", "directory"])


def _read(directory: Path) -> dict[str, Any]:
    try:
        result = json.loads((directory / RESULT_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"status": "no result", "error": "refused before it started, killed, or not done", "directory": str(directory)}
    except (OSError, ValueError) as error:
        return {"status": "unreadable", "error": str(error), "directory": str(directory)}
    if not isinstance(result, dict):
        return {"status": "unreadable", "error": f"{RESULT_FILE} holds no result", "directory": str(directory)}
    row = {column: _at(result, path) for column, path in COLUMNS.items()}
    for column, (key, factor) in WORKER_MEANS.items():
        row[column] = pd.Series([worker.get(key) for worker in result.get("workers", [])], dtype=float).mean() * factor
    return {**row, "error": result.get("error"), "directory": str(directory)}


def _at(result: Any, path: str) -> Any:
    for key in path.split("."):
        result = result.get(key) if isinstance(result, dict) else None
    return result


def print_runs(runs: pd.DataFrame, csv_path: Path | None) -> None:
    """Prints the table (columns in which all runs agree are left out) and writes all of it to `csv_path`."""
    console = Console()
    shown = runs.drop(columns=[name for name in CONSTANT_HIDDEN if len(runs) > 1 and runs[name].nunique(dropna=False) == 1])
    if runs["error"].isna().all():
        shown = shown.drop(columns="error")
    table = Table(title=f"{len(runs)} runs", box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="underline")
    for name in shown.columns:
        numeric = pd.api.types.is_numeric_dtype(shown[name])
        table.add_column(
            name.replace("_", "\n"), justify="right" if numeric else "left", overflow="fold", no_wrap=name == "status"
        )
    for values in shown.itertuples(index=False):
        table.add_row(*(_cell(name, value) for name, value in zip(shown.columns, values, strict=True)))
    wide = console if console.is_terminal else Console(width=200)  # in a file nothing needs to be folded
    wide.print(table)
    if csv_path is not None:
        with atomic_file(csv_path) as file:
            file.write(runs.to_csv(index=False).encode())
        console.print(f"table: {csv_path}", soft_wrap=True, highlight=False)


def _cell(name: str, value: Any) -> str:
    if pd.isna(value):
        return "-"
    if name in COUNTS:  # pandas makes floats of them where a failed run has none
        return f"{value:.0f}"
    if isinstance(value, float):
        return f"{value:.4f}" if name.endswith("rmse") else f"{value:.2f}"
    return str(value)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m ddp.results", description=__doc__)
    parser.add_argument("roots", nargs="+", type=Path, metavar="DIR", help="directories that hold runs, at any depth")
    parser.add_argument("--csv", type=Path, help="where to write the table (default: results.csv in the first DIR)")
    arguments = parser.parse_args()
    missing = [root for root in arguments.roots if not root.is_dir()]
    if missing:
        parser.error(f"{missing[0]} is not a directory")
    runs = read_runs(find_runs(arguments.roots))
    if runs.empty:
        parser.error(f"no {RESULT_FILE} below {', '.join(map(str, arguments.roots))}")
    print_runs(runs, arguments.csv or arguments.roots[0] / "results.csv")
    return 0


if __name__ == "__main__":
    sys.exit(main())
