"""How much does each way of averaging cost? `python -m benchmarks.quality.grid`

local_epochs x workers x aggregation x split on MovieLens 100K with the compiled trainer, and
stratified beside it. A fifth is the test part, drawn by `default_rng(seed)`. All visit each rating
60 times. Validation, on a twentieth of the training part, chooses the learning rate of each; the
test part is read once, after the last round.

`rounds` and `seconds` are those until the validation RMSE is within 0.005 of the best that one
worker reaches with the same test part; "-" if one of the repeats misses it. Two plots beside the
JSON show validation RMSE against seconds and against bytes that are exchanged. Averaged, each
worker's state goes both ways once a round. Stratified, items go to the next worker in each turn,
and every row goes to the aggregator once a round.
"""

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from benchmarks.harness import Labels, Row, command_line, report, table_of
from benchmarks.peers import INSTALL
from benchmarks.quality.fits import GAP, TEST, add_gaps, fit, fit_to_choose
from benchmarks.quality.grid_cells import LEARNING_RATES, Cell, cells
from benchmarks.quality.grid_plots import plot
from benchmarks.quality.protocols import VALID_FRACTION, HeldOut, test_parts, write_parts
from benchmarks.quality.ways import BASE, Way
from benchmarks.train_runs import compose_config
from ddp.config.data import MovieLensData
from ddp.ratings.load import load_ratings
from ddp.tracking.messages import AggregateRound

MARGIN = 0.005
ROUNDS, SECONDS = "rounds", "seconds"


def measure(
    cell: Cell, held_out: Sequence[HeldOut], targets: Sequence[float]
) -> tuple[Row, list[list[AggregateRound]]]:
    """The figures of a cell, and the aggregates of its runs.

    `targets`: the validation RMSE that each repeat is to reach.
    """
    lr, fits = _fits(cell.way(), held_out)
    figures: dict[str, list[float]] = {TEST: [rows[-1].test.rmse for rows in fits]}
    near = [
        row
        for rows, target in zip(fits, targets, strict=True)
        if (row := next((row for row in rows if row.valid.rmse <= target + MARGIN), None))
        is not None
    ]
    if len(near) == len(fits):
        figures |= {
            ROUNDS: [row.round_index + 1 for row in near],
            SECONDS: [row.elapsed_s for row in near],
        }
    labels: Labels = {
        "workers": cell.workers,
        "local_epochs": cell.local_epochs,
        "split": cell.split,
        "by": cell.averaged or "-",
        "lr": f"{lr:g}",
    }
    return Row(labels=labels, figures=figures), fits


def _fits(way: Way, held_out: Sequence[HeldOut]) -> tuple[float, list[list[AggregateRound]]]:
    """The learning rate that validation chooses, and the aggregates of a run per repeat with it."""
    runs = {
        lr: rows
        for lr in LEARNING_RATES
        if (rows := fit_to_choose(way, {"trainer.lr": lr}, held_out[0])) is not None
    }
    lr = min(runs, key=lambda lr: runs[lr][-1].valid.mse)
    fits = [runs[lr]]
    for seed, held in enumerate(held_out[1:], 1):
        rows = fit(
            way,
            {"trainer.lr": lr},
            held,
            valid_fraction=VALID_FRACTION,
            epochs=way.epochs,
            seed=seed,
        )
        fits.append(rows)
    return lr, fits


def _arguments() -> argparse.Namespace:
    parser = command_line("quality.grid", __doc__)
    parser.set_defaults(repeats=3)
    parser.add_argument(
        "--workers",
        nargs="+",
        type=int,
        default=[1, 2, 5, 16],
        metavar="N",
        help="numbers of workers",
    )
    parser.add_argument(
        "--local-epochs",
        nargs="+",
        type=int,
        default=[1, 2, 5, 10],
        metavar="E",
        help="numbers of local epochs",
    )
    return parser.parse_args()


def main() -> None:
    """The command."""
    arguments = _arguments()
    if find_spec("matplotlib") is None:
        sys.exit(f"the plots need matplotlib: {INSTALL}")
    config = compose_config(BASE)
    assert isinstance(config.data, MovieLensData)
    ratings = load_ratings(config.data, config.data_seed)
    with tempfile.TemporaryDirectory() as folder:
        parts = list(test_parts("random", config.data, ratings, arguments.repeats))
        held_out = write_parts("random", ratings, parts, Path(folder))
        one_worker = Cell(workers=1, local_epochs=1, split="stratified", averaged=None)
        _, alone = measure(one_worker, held_out, [math.nan] * len(held_out))
        targets = [min(row.valid.rmse for row in rows) for rows in alone]
        table, curves = [], []
        for cell in cells(arguments.workers, arguments.local_epochs):
            began = time.perf_counter()
            row, fits = measure(cell, held_out, targets)
            table.append(row)
            curves.append((cell, fits[0]))
            print(
                *row.labels.values(),
                row.cell(TEST),
                f"({time.perf_counter() - began:.0f} s)",
                file=sys.stderr,
                flush=True,
            )
    add_gaps(table, next((row for row in table if row.labels["workers"] == 1), table[0]))
    columns = ("workers", "local_epochs", "split", "by", "lr"), (TEST, GAP, ROUNDS, SECONDS)
    title = "median (lowest - highest)"
    report("quality.grid", arguments, table, [table_of(title, table, *columns)])
    sizes = (ratings.num_users, ratings.num_items, config.model.dim + config.model.biases)
    for file in plot(curves, sizes, arguments.output.parent):
        print(f"written: {file}")


if __name__ == "__main__":
    main()
