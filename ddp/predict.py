"""`python -m ddp.predict RUN_DIR`: predicts ratings with the model of a finished run, as CSV."""

import argparse
import io
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ddp.errors import DataError
from ddp.machine.files import atomic_file
from ddp.machine.printable import printable
from ddp.ratings.arrays import IndexArray
from ddp.ratings.sources.pairs import Pairs, read_pairs
from ddp.results.predicting import NO_SAMPLES, Deviation, SavedModel
from ddp.results.saved_model import load_model

EXAMPLES = """examples:
  python -m ddp.predict RUN_DIR --user 196 --top 10     item,title,prediction of the best items
  python -m ddp.predict RUN_DIR --pairs FILE.csv        user,item,prediction of each row of the file
"""
_NEEDS_QUOTES = re.compile('[",\r\n]')


def main() -> int:
    """Runs the command; returns its exit code."""
    arguments = _parse()
    refuse = arguments.unknown == "error"
    try:
        model = load_model(arguments.run_dir)
        if arguments.std is not None and model.noise is None:
            raise DataError(f"{arguments.run_dir}: --std: {NO_SAMPLES}")
        if arguments.pairs is None:
            rows = _best_items(model, arguments.user, arguments.top or 10, refuse, arguments.std)
        else:
            rows = _predictions(model, read_pairs(arguments.pairs), refuse, arguments.std)
        _write("".join(f"{','.join(map(_quoted, row))}\n" for row in rows), arguments.output)
    except BrokenPipeError:  # `| head` has read enough
        return 0
    except DataError as error:
        return _refuse(str(error))
    except OSError as error:
        place = error.filename or "standard output"
        return _refuse(f"{place}: {error.strerror}; choose another place with --output FILE")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m ddp.predict",
        description="Predicts ratings with the model of a finished run, and prints CSV.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="the directory of the run")
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument(
        "--user", metavar="ID", help="list the best items that this user has not rated"
    )
    wanted.add_argument(
        "--pairs", type=Path, metavar="FILE", help="predict for each user and item in the file"
    )
    parser.add_argument(
        "--top", type=int, metavar="N", help="number of items for --user (default: 10)"
    )
    parser.add_argument(
        "--unknown",
        choices=("partial", "error"),
        default="partial",
        help="for an id that the model's data does not have, predict from the other of the pair, or"
        " end with an error (default: partial)",
    )
    parser.add_argument(
        "--std",
        nargs="?",
        const="prediction",
        choices=("prediction", "rating"),
        help="add a column with the standard deviation of each prediction, or of a rating, which"
        " has noise on top (trainer=gibbs; without a value: prediction)",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write to the file (default: standard output)"
    )
    arguments = parser.parse_args()
    if arguments.top is not None and arguments.pairs is not None:
        parser.error("--top goes with --user; --pairs predicts for every row of the file")
    if arguments.top is not None and arguments.top < 1:
        parser.error(f"--top {arguments.top}: must be at least 1")
    return arguments


def _best_items(
    model: SavedModel, user: str, n: int, refuse: bool, std: Deviation | None
) -> Iterable[Sequence[str]]:
    if model.known_users.rows(user) < 0:
        trouble = f"user {user} is not in the data that the model was trained on"
        if refuse:
            raise DataError(trouble)
        _note(f"{trouble}; the list is the same for every unknown user")
    titled = model.titles is not None
    yield ["item", *["title"] * titled, "prediction", *["std"] * bool(std)]
    best = model.top_items(user, n)
    rows = model.known_items.rows([item for item, _, _ in best])
    deviations = _deviations(model, np.full(len(best), model.known_users.rows(user)), rows, std)
    for (item, title, prediction), more in zip(best, deviations, strict=True):
        yield [str(item), *[title] * titled, str(np.float32(prediction)), *more]


def _deviations(
    model: SavedModel, users: IndexArray, items: IndexArray, std: Deviation | None
) -> list[list[str]]:
    """The last cell of each row; none without `std`, and an empty one for an unknown id."""
    if std is None:
        return [[] for _ in users]
    deviations = model.deviations(users, items, std)
    return [["" if np.isnan(deviation) else str(deviation)] for deviation in deviations]


def _predictions(
    model: SavedModel, pairs: Pairs, refuse: bool, std: Deviation | None
) -> Iterable[Sequence[str]]:
    user_rows, item_rows = model.known_users.rows(pairs.users), model.known_items.rows(pairs.items)
    unknown = np.flatnonzero((user_rows < 0) | (item_rows < 0))
    if unknown.size:
        first = int(unknown[0])
        kind, ids = ("user", pairs.users) if user_rows[first] < 0 else ("item", pairs.items)
        place, which = f"{pairs.path}:{pairs.lines[first]}", f"{kind} {ids[first]}"
        if refuse:
            raise DataError(f"{place}: {which} is not in the data that the model was trained on")
        _note(
            f"{len(unknown)} of {len(user_rows)} pairs have an unknown user or item, the first in"
            f" {place}: {which}"
        )
    numbers = model.predict_rows(user_rows, item_rows).astype(str).tolist()
    yield "user", "item", "prediction", *["std"] * bool(std)
    deviations = _deviations(model, user_rows, item_rows, std)
    for *cells, more in zip(pairs.users, pairs.items, numbers, deviations, strict=True):
        yield [*cells, *more]


def _note(text: str) -> None:
    print(f"note: {printable(text)}", file=sys.stderr)


def _quoted(field: str) -> str:
    # csv.writer leaves a lone carriage return without quotes, and csv.reader then refuses it
    return '"' + field.replace('"', '""') + '"' if _NEEDS_QUOTES.search(field) else field


def _write(text: str, path: Path | None) -> None:
    """Raises OSError."""
    if path is not None:
        with atomic_file(path) as file:
            file.write(text.encode(errors="backslashreplace"))
        return
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        print(text, end="", flush=True)
    except OSError:
        # or Python tries again at its end, and complains
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def _refuse(message: str) -> int:
    print(f"error: {printable(message)}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
