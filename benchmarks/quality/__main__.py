"""How much accuracy does averaging cost? `python -m benchmarks.quality`

The table has one worker, and ways to train with several, on MovieLens 100K with the compiled
trainer. `--peers` adds other libraries (`make benchmark-peers` installs them). Figures of two
protocols cannot be compared:

| protocol | test part                                                                          |
| -------- | ---------------------------------------------------------------------------------- |
| random   | a fifth of the ratings, drawn by `default_rng(seed)`, a seed per repeat             |
| folds    | the data's own u1 - u5 if they are there, else a seeded permutation cut in five     |
| time     | the latest fifth of each user's ratings, a seed of the model per repeat             |

Validation chooses hyper-parameters and the number of epochs, on a twentieth of the training part of
the first repeat. Then everything is trained again on the whole training part of each repeat, and
its test part is read once.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.harness import Row, Table, Unavailable, command_line, report
from benchmarks.quality.fits import GAP, TEST, add_gaps, choose, fit
from benchmarks.quality.others import RECOMMENDERS, choose_other, fit_other
from benchmarks.quality.protocols import PROTOCOLS, HeldOut, test_parts, write_parts
from benchmarks.quality.recommenders import Sizes
from benchmarks.quality.ways import BASE, ONE, WAYS, Way, told
from benchmarks.train_runs import compose_config
from ddp.config.data import MovieLensData
from ddp.ratings.arrays import IndexArray, Ratings
from ddp.ratings.load import load_ratings

SECONDS = "fit, s"


def measure(protocol: str, arguments: argparse.Namespace, folder: Path) -> list[Row]:
    """A row per way and per other library."""
    config = compose_config(BASE)
    assert isinstance(config.data, MovieLensData)
    ratings = load_ratings(config.data, config.data_seed)
    sizes = Sizes(
        num_users=ratings.num_users,
        num_items=ratings.num_items,
        rating_min=ratings.rating_min,
        rating_max=ratings.rating_max,
    )
    parts = list(test_parts(protocol, config.data, ratings, arguments.repeats))
    held_out = write_parts(protocol, ratings, parts, folder)
    rows: list[Row] = []

    def add(name: str, run: Callable[[], tuple[dict[str, list[float]], str]]) -> None:
        began = time.perf_counter()
        row = Row(labels={"protocol": protocol, "way": name, "chosen": ""})
        try:
            row.figures, chosen = run()
            row.labels = {**row.labels, "chosen": chosen}
        except Unavailable as reason:
            row.note = str(reason)
        rows.append(row)
        print(
            f"{protocol}: {name}: {row.cell(TEST)} ({time.perf_counter() - began:.0f} s)",
            file=sys.stderr,
            flush=True,
        )

    for name in arguments.ways:
        add(name, partial(_ours, WAYS[name], held_out))
    for name in arguments.peers:
        add(name, partial(_other, name, ratings, sizes, parts))
    if rows[0].labels["way"] == ONE:
        add_gaps(rows, rows[0])
    return rows


def _ours(way: Way, held_out: Sequence[HeldOut]) -> tuple[dict[str, list[float]], str]:
    values, epochs = choose(way, held_out[0])
    figures: dict[str, list[float]] = {TEST: [], SECONDS: []}
    for seed, held in enumerate(held_out):
        last = fit(way, values, held, valid_fraction=0, epochs=epochs, seed=seed)[-1]
        figures[TEST].append(last.test.rmse)
        figures[SECONDS].append(last.elapsed_s)
    return figures, told({**values, "epochs": epochs})


def _other(
    name: str, ratings: Ratings, sizes: Sizes, parts: Sequence[IndexArray]
) -> tuple[dict[str, list[float]], str]:
    everything = np.arange(len(ratings))
    values = choose_other(name, ratings, sizes, np.setdiff1d(everything, parts[0]))
    figures: dict[str, list[float]] = {TEST: [], SECONDS: []}
    for seed, rows in enumerate(parts):
        known, pairs = ratings.part(np.setdiff1d(everything, rows)), ratings.part(rows)
        rmse, seconds = fit_other(RECOMMENDERS[name], known, pairs, sizes, values, seed)
        figures[TEST].append(rmse)
        figures[SECONDS].append(seconds)
    return figures, told(values)


def _arguments() -> argparse.Namespace:
    parser = command_line("quality", __doc__)
    parser.set_defaults(repeats=3)
    parser.add_argument(
        "--protocols", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS), help="only these"
    )
    parser.add_argument(
        "--ways",
        nargs="+",
        choices=WAYS,
        default=list(WAYS),
        metavar="WAY",
        help="only these; the first should be one worker",
    )
    parser.add_argument(
        "--peers",
        nargs="*",
        choices=RECOMMENDERS,
        metavar="PEER",
        help="add other libraries: these, or all if none is named",
    )
    arguments = parser.parse_args()
    if arguments.peers is None:
        arguments.peers = ()
    elif not arguments.peers:
        arguments.peers = tuple(RECOMMENDERS)
    return arguments


def main() -> None:
    """The command."""
    arguments = _arguments()
    rows: list[Row] = []
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        for protocol in arguments.protocols:
            measured = measure(protocol, arguments, Path(folder))
            rows += measured
            cells = [
                [
                    str(row.labels["way"]),
                    row.cell(TEST),
                    row.cell(GAP),
                    row.cell(SECONDS),
                    str(row.labels["chosen"]),
                ]
                for row in measured
            ]
            tables.append(
                Table(
                    title=f"{protocol}: median (lowest - highest)",
                    header=[protocol, TEST, GAP, SECONDS, "chosen on validation"],
                    cells=cells,
                )
            )
    report("quality", arguments, rows, tables)


if __name__ == "__main__":
    main()
