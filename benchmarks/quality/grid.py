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
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from benchmarks.harness import Labels, Row, Table, command_line, compose_config, report
from benchmarks.quality.__main__ import (
    BASE,
    MOMENTUM,
    VALID_FRACTION,
    Way,
    fit,
    test_parts,
    write_rows,
)
from benchmarks.quality.contenders import INSTALL
from ddp.config.data import MovieLensData
from ddp.errors import AggregationError, WorkerError
from ddp.ratings.load import load_ratings
from ddp.tracking.messages import AggregateRound

EPOCHS = 60
MARGIN = 0.005
LEARNING_RATES = (0.015, 0.05, 0.1)
AGGREGATIONS = {
    "uniform": ("aggregation=uniform",),
    "inverse_loss": ("aggregation=inverse_loss",),
    "rows": ("aggregation=rows",),
    "rows + momentum": ("aggregation=rows", *MOMENTUM, "aggregation.outer_beta1=0.5"),
}
SPLITS = ("iid", "user", "item")
TEST, GAP, ROUNDS, SECONDS = "test RMSE", "gap to one worker", "rounds", "seconds"
FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of the grid. `averaged`: the aggregation, None = stratified; `split`: the deal of
    the ratings.
    """

    workers: int
    local_epochs: int
    split: str
    averaged: str | None

    def way(self) -> Way:
        """The way to train it."""
        how = () if self.averaged is None else AGGREGATIONS[self.averaged]
        overrides = (f"workers={self.workers}", f"split={self.split}", *how)
        return Way(
            overrides=overrides,
            tried={"trainer.lr": LEARNING_RATES},
            local_epochs=self.local_epochs,
            epochs=EPOCHS,
        )

    def bytes_per_round(self, num_users: int, num_items: int, width: int) -> int:
        """Bytes of all workers together. `width`: floats of a row."""
        state = (num_users + num_items) * width * FLOAT_BYTES
        if self.averaged is not None:
            return 2 * self.workers * state
        turns = self.local_epochs * self.workers if self.workers > 1 else 0
        return turns * num_items * width * FLOAT_BYTES + state


Curve = tuple[Cell, list[AggregateRound]]


def cells(workers: Sequence[int], local_epochs: Sequence[int]) -> list[Cell]:
    """All cells. One worker has nothing to average: one cell per number of local epochs."""
    found = []
    for number in workers:
        for epochs in local_epochs:
            found.append(
                Cell(workers=number, local_epochs=epochs, split="stratified", averaged=None)
            )
            if number > 1:
                found += [
                    Cell(workers=number, local_epochs=epochs, split=split, averaged=averaged)
                    for split in SPLITS
                    for averaged in AGGREGATIONS
                ]
    return found


def _runs_by_learning_rate(way: Way, file: Path) -> dict[float, list[AggregateRound]]:
    """The rounds of a run for each learning rate with which it does not diverge."""
    runs = {}
    for lr in LEARNING_RATES:
        try:
            runs[lr] = fit(
                way,
                {"trainer.lr": lr},
                file,
                valid_fraction=VALID_FRACTION,
                epochs=EPOCHS,
                seed=0,
            )
        except AggregationError:  # the run diverges
            continue
        except WorkerError as error:
            if not error.diverged:
                raise
            continue
    return runs


def measure(
    cell: Cell, files: Sequence[Path], targets: Sequence[float]
) -> tuple[Row, list[list[AggregateRound]]]:
    """The figures of a cell, and the rounds of its runs. `targets`: validation RMSE that each
    repeat is to reach.
    """
    way, runs = cell.way(), _runs_by_learning_rate(cell.way(), files[0])
    lr = min(runs, key=lambda lr: runs[lr][-1].valid.mse)
    values = {"trainer.lr": lr}
    fits = [runs[lr]]
    for seed, file in enumerate(files[1:], 1):
        fits.append(fit(way, values, file, valid_fraction=VALID_FRACTION, epochs=EPOCHS, seed=seed))
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
        **{"workers": cell.workers, "local_epochs": cell.local_epochs},
        **{"split": cell.split, "by": cell.averaged or "-", "lr": f"{lr:g}"},
    }
    return Row(labels=labels, figures=figures), fits


def plot(curves: Sequence[Curve], sizes: tuple[int, int, int], folder: Path) -> list[Path]:
    """Plots validation RMSE against seconds and against bytes, a panel per number of workers: iid,
    with the most local epochs.
    """
    from matplotlib.figure import Figure

    written = []
    for what in ("seconds", "MB exchanged"):
        most = max(cell.local_epochs for cell, _ in curves)
        numbers = sorted({cell.workers for cell, _ in curves} - {1})
        figure = Figure(figsize=(4.5 * len(numbers), 4), layout="constrained")
        for panel, number in enumerate(numbers):
            axes = figure.add_subplot(1, len(numbers), panel + 1)
            for cell, rows in curves:
                if (
                    cell.workers not in (1, number)
                    or cell.split not in ("stratified", "iid")
                    or cell.local_epochs != most
                ):
                    continue
                per_round = cell.bytes_per_round(*sizes) / 1e6
                x = [
                    row.elapsed_s if what == "seconds" else per_round * (row.round_index + 1)
                    for row in rows
                ]
                label = "one worker" if cell.workers == 1 else cell.averaged or "stratified"
                axes.plot(x, [row.valid.rmse for row in rows], label=label, marker=".")
            axes.set(title=f"{number} workers", xlabel=what, xscale="log")
            axes.set_ylabel("validation RMSE" if panel == 0 else "")
            axes.grid(alpha=0.3)
            axes.legend(frameon=False, fontsize="small")
        written.append(folder / f"quality_{what.split()[0].lower()}.png")
        figure.savefig(written[-1], dpi=120)
    return written


def _table(rows: Sequence[Row]) -> Table:
    labels, figures = ["workers", "local_epochs", "split", "by", "lr"], [TEST, GAP, ROUNDS, SECONDS]
    cells = [
        [*(str(row.labels[key]) for key in labels), *(row.cell(figure) for figure in figures)]
        for row in rows
    ]
    return Table(title="median (lowest - highest)", header=[*labels, *figures], cells=cells)


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
    ratings = load_ratings(config.data, config.seed)
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for seed, rows in enumerate(test_parts("random", config.data, ratings, arguments.repeats)):
            files.append(Path(folder) / f"{seed}.tsv")
            write_rows(ratings, rows, files[-1])
        one_worker = Cell(workers=1, local_epochs=1, split="stratified", averaged=None)
        _, alone = measure(one_worker, files, [math.nan] * len(files))
        targets = [min(row.valid.rmse for row in rows) for rows in alone]
        table, curves = [], []
        for cell in cells(arguments.workers, arguments.local_epochs):
            began = time.perf_counter()
            row, fits = measure(cell, files, targets)
            table.append(row)
            curves.append((cell, fits[0]))
            print(
                *row.labels.values(),
                row.cell(TEST),
                f"({time.perf_counter() - began:.0f} s)",
                file=sys.stderr,
                flush=True,
            )
    one = next((row for row in table if row.labels["workers"] == 1), table[0])
    for row in table:
        row.figures[GAP] = [
            own - best for own, best in zip(row.figures[TEST], one.figures[TEST], strict=True)
        ]
    report("quality.grid", arguments, table, [_table(table)])
    sizes = (ratings.num_users, ratings.num_items, config.model.dim + config.model.biases)
    for file in plot(curves, sizes, arguments.output.parent):
        print(f"written: {file}")


if __name__ == "__main__":
    main()
