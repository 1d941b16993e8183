"""The command `python -m ddp.results DIR...`: one table over many runs, failed ones included."""

import argparse
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

from ddp.config.defaults import default_scalars
from ddp.config.metrics import is_metric
from ddp.errors import UserError
from ddp.machine.output import outlast_readers
from ddp.machine.printable import printable
from ddp.results.run_file import add_roots, runs_below
from ddp.results.screen import print_runs
from ddp.results.table import COLUMNS

SHORT = {"rmse": "valid_rmse", "seconds": "train_s"}  # for --sort and --columns


def main() -> int:
    """Runs the command; returns its exit code."""
    outlast_readers()
    arguments = _parser().parse_args()
    try:
        print_runs(
            runs_below(arguments.roots),
            arguments.csv or arguments.roots[0] / "results.csv",
            sort=arguments.sort,
            top=arguments.top,
            columns=arguments.columns,
        )
    except UserError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 2
    except OSError as error:
        message = f"{error.filename}: {error.strerror}; choose another place with --csv FILE"
        print(f"error: {printable(message)}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ddp.results", description=__doc__)
    add_roots(parser)
    parser.add_argument(
        "--sort",
        type=_column_named,
        metavar="COLUMN",
        help="sort the rows, the lowest first, of ndcg@K and recall@K the highest; rmse is"
        " valid_rmse, seconds is train_s",
    )
    parser.add_argument(
        "--top", type=_count, metavar="N", help="show the first N rows (the file has all)"
    )
    parser.add_argument(
        "--columns",
        type=_columns_named,
        default=(),
        metavar="A,B,...",
        help="show these columns of the file, as in backend,workers,rmse,seconds",
    )
    parser.add_argument(
        "--csv", type=Path, help="file of the table (default: results.csv in the first DIR)"
    )
    return parser


def _column_named(text: str) -> str:
    """The column of this name. Raises ArgumentTypeError, which names the close ones."""
    name = SHORT.get(text, text)
    if name not in COLUMNS and not is_metric(name):
        usual = default_scalars()["metrics"]
        close = difflib.get_close_matches(name, [*COLUMNS, *SHORT, *usual], n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "results.csv has all columns"
        raise argparse.ArgumentTypeError(printable(f"there is no column {text}; {hint}"))
    return name


def _columns_named(text: str) -> Sequence[str]:
    return [*dict.fromkeys(_column_named(name.strip()) for name in text.split(","))]


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(printable(f"{text} is no number of rows"))
    return int(text)
