"""Is the advice right? `python -m benchmarks.crossover`

The benchmark measures the machine, predicts a grid of jobs as `advise=true` does, and then runs
each job as a command of its own, all in turn. The jobs have the size of MovieLens 100K: both
trainers, batches of 128 to 8192, embedding sizes 8 to 256, 1 to 4 workers.

| column      | meaning                                                                     |
| ----------- | --------------------------------------------------------------------------- |
| [ ... %]    | error of the prediction against the measured median                         |
| recommended | the backend with the lowest prediction                                      |
| regret      | time of the recommended backend, divided by that of the fastest             |
| others      | share of the machine that other programs used before a run; above a tenth   |
|             | the runs met another machine than the constants describe                    |

The wall is that of `advise`: imports + start + train + stop + save of result.json.

--simulation adds jobs with more workers than cores, and jobs on one core. The simulation knows of
both; the constants are those of the whole machine.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.harness import (
    MISSING,
    Figures,
    Labels,
    Row,
    Table,
    Unavailable,
    add_overrides,
    command_line,
    compose_config,
    in_turn,
    report,
)
from benchmarks.harness import run_train as run_command
from ddp.advice.advise import backends
from ddp.advice.measuring.calibration import busy_share, calibrate, read
from ddp.advice.prediction import Surroundings, predict
from ddp.advice.sizes import sizes_of
from ddp.config.schema import Config
from ddp.ratings.load import load_ratings

STAGES = ("imports", "start", "train", "stop", "save")
PREDICTED, MEASURED, ERROR, OTHERS = "predicted, s", "measured, s", "error, %", "others, %"
BACKENDS = ("serial", "thread", "process", "shm")
COMMON = ("data=ml100k", "reference=false", "display=none")
GOOD_REGRET, GOOD_ERROR, GOOD_SHARE = 1.10, 15.0, 0.9  # the advice is to be this good
READ_S = 0.05  # to read the ratings from their cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One job. `cores`: the number that it may use; None: all."""

    job: str
    overrides: tuple[str, ...]
    backends: tuple[str, ...] = BACKENDS
    cores: int | None = None

    def config(self, backend: str, more: Sequence[str]) -> Config:
        """The configuration that train.py would run with."""
        return compose_config((*COMMON, *self.overrides, *more, f"backend={backend}"))


def autograd(batch: int, dim: int, workers: int, local_epochs: int) -> Cell:
    """A job of three rounds with Adam and averaged states."""
    job = f"autograd, batch {batch}, k {dim}, {workers} workers, {local_epochs} epochs"
    options = (
        "trainer=autograd",
        f"trainer.batch_size={batch}",
        "split=iid",
        "aggregation=uniform",
        "rounds=3",
    )
    return Cell(
        job=job,
        overrides=(
            *options,
            f"model.dim={dim}",
            f"workers={workers}",
            f"local_epochs={local_epochs}",
        ),
    )


def fused(split: str, dim: int, workers: int, local_epochs: int) -> Cell:
    """A job of five rounds of compiled SGD."""
    job = f"fused, {split}, k {dim}, {workers} workers, {local_epochs} epochs"
    options = ("trainer=fused", f"split={split}", "aggregation=uniform", "rounds=5")
    return Cell(
        job=job,
        overrides=(
            *options,
            f"model.dim={dim}",
            f"workers={workers}",
            f"local_epochs={local_epochs}",
        ),
    )


# Short and long jobs: start-up decides some of them, training the others.
GRID = (
    autograd(128, 8, 2, 10),
    autograd(128, 64, 4, 3),
    autograd(128, 256, 1, 3),
    autograd(1024, 8, 4, 40),
    autograd(1024, 64, 1, 10),
    autograd(1024, 256, 2, 20),
    autograd(8192, 8, 1, 20),
    autograd(8192, 64, 2, 60),
    autograd(8192, 256, 4, 10),
    fused("iid", 8, 1, 100),
    fused("iid", 64, 2, 200),
    fused("iid", 256, 4, 40),
    fused("stratified", 8, 4, 200),
    fused("stratified", 64, 2, 50),
    fused("stratified", 256, 1, 100),
)
QUICK = (fused("stratified", 8, 2, 2),)


def simulated(cell: Cell, cores: int | None) -> Cell:
    """The same job on two backends and on so many cores."""
    where = "all cores" if cores is None else f"{cores} core"
    return Cell(
        job=f"{cell.job}, {where}",
        overrides=cell.overrides,
        backends=("thread", "shm"),
        cores=cores,
    )


SIMULATION = (
    *(simulated(autograd(1024, 64, workers, 20), None) for workers in (1, 2, 4, 8)),
    *(simulated(fused("stratified", 64, workers, 200), None) for workers in (1, 2, 4, 8)),
    *(simulated(autograd(1024, 64, workers, 10), 1) for workers in (1, 2, 4)),
    *(simulated(fused("stratified", 64, workers, 100), 1) for workers in (1, 2, 4)),
)


def _arguments() -> argparse.Namespace:
    parser = command_line("crossover", __doc__)
    parser.set_defaults(repeats=3)
    parser.add_argument(
        "--quick", action="store_true", help="run one tiny job, to see that it works"
    )
    parser.add_argument(
        "--simulation",
        action="store_true",
        help="add jobs with more workers than cores, and on one core",
    )
    parser.add_argument(
        "--constants", type=Path, metavar="FILE", help="read them; do not measure the machine first"
    )
    add_overrides(parser)
    arguments = parser.parse_intermixed_args()
    if arguments.constants is not None and not read(arguments.constants)["training"]:
        parser.error(
            f"--constants {arguments.constants}: holds no constants of this machine and these"
            " versions"
        )
    return arguments


def main() -> None:
    """The command."""
    arguments = _arguments()
    more = tuple(arguments.overrides)
    grid = QUICK if arguments.quick else GRID
    beyond = (
        ()
        if not arguments.simulation
        else tuple(simulated(QUICK[0], cores) for cores in (None, 1))
        if arguments.quick
        else SIMULATION
    )
    with tempfile.TemporaryDirectory() as directory:
        file = arguments.constants or Path(directory) / "calibration.json"
        measured = [
            candidate for cell in (*grid, *beyond) for candidate in candidates(cell, more, file)
        ]
    rows = in_turn(measured, arguments.repeats)
    runs = f"median (lowest - highest) of {arguments.repeats} runs"
    tables = [
        _table(f"Predicted / measured wall, s: {runs}", [_of(rows, cell) for cell in grid]),
        _summary([_of(rows, cell) for cell in grid], advised=True),
    ]
    if beyond:
        tables.append(
            _table(f"Simulated / measured wall, s: {runs}", [_of(rows, cell) for cell in beyond])
        )
        tables.append(_summary([_of(rows, cell) for cell in beyond], advised=False))
    report("crossover", arguments, rows, tables)


def candidates(
    cell: Cell, more: Sequence[str], file: Path
) -> list[tuple[Labels, Callable[[], Figures]]]:
    """The job on each of its backends, with its prediction, which is made before anything runs."""
    config = cell.config("serial", more)
    constants = calibrate(config.trainer, file=file)
    sizes = sizes_of(config, load_ratings(config.data, config.seed))
    around = Surroundings(cores=cell.cores, data_s=READ_S)
    found: list[tuple[Labels, Callable[[], Figures]]] = []
    for backend in backends(config):
        if backend.name in cell.backends:
            wall_s = predict(cell.config(backend.name, more), sizes, constants, around).wall_s
            found.append(
                (
                    {"job": cell.job, "backend": backend.name},
                    partial(measure, cell, backend.name, more, wall_s),
                )
            )
    return found


def measure(cell: Cell, backend: str, more: Sequence[str], predicted_s: float) -> Figures:
    """Runs the command once."""
    others = busy_share()
    cores = sorted(os.sched_getaffinity(0))
    if cell.cores is not None and cell.cores > len(cores):
        raise Unavailable(f"{cell.cores} cores: this machine has no such choice")
    try:
        if cell.cores is not None:
            os.sched_setaffinity(0, cores[: cell.cores])  # the command inherits it
        result = run_command((*COMMON, *cell.overrides, *more, f"backend={backend}"))
    finally:
        if cores:
            os.sched_setaffinity(0, cores)
    wall_s = sum(result["seconds"].get(stage, 0.0) for stage in STAGES)
    return {
        PREDICTED: predicted_s,
        MEASURED: wall_s,
        ERROR: (predicted_s / wall_s - 1.0) * 100.0,
        OTHERS: others * 100.0,
    }


def error(row: Row) -> float:
    """Error of the prediction against the measured median, %."""
    return (row.figures[PREDICTED][0] / statistics.median(row.figures[MEASURED]) - 1.0) * 100.0


def recommended(rows: Sequence[Row]) -> Row:
    """The backend that `advise` names first."""
    return min(rows, key=lambda row: row.figures[PREDICTED][0])


def fastest(rows: Sequence[Row]) -> Row:
    """The backend with the lowest median."""
    return min(rows, key=lambda row: statistics.median(row.figures[MEASURED]))


def regret(rows: Sequence[Row]) -> float:
    """Time of the recommended backend, divided by that of the fastest."""
    chosen, best = (
        statistics.median(row.figures[MEASURED]) for row in (recommended(rows), fastest(rows))
    )
    return chosen / best


def _of(rows: Sequence[Row], cell: Cell) -> list[Row]:
    return [row for row in rows if row.labels["job"] == cell.job and row.figures]


def _table(title: str, cells: Sequence[Sequence[Row]]) -> Table:
    names = [
        name
        for name in BACKENDS
        if any(row.labels["backend"] == name for rows in cells for row in rows)
    ]
    body = []
    for rows in cells:
        if not rows:
            continue
        shown = {
            str(
                row.labels["backend"]
            ): f"{row.cell(PREDICTED)} / {row.cell(MEASURED)} [{error(row):+.0f} %]"
            for row in rows
        }
        best = [
            str(recommended(rows).labels["backend"]),
            str(fastest(rows).labels["backend"]),
            f"{regret(rows):.2f}",
        ]
        body.append(
            [str(rows[0].labels["job"]), *(shown.get(name, MISSING) for name in names), *best]
        )
    return Table(
        title=title, header=["job", *names, "recommended", "fastest", "regret"], cells=body
    )


def _summary(cells: Sequence[Sequence[Row]], *, advised: bool) -> Table:
    rows = [row for cell in cells for row in cell]
    if not rows:
        return Table(title="Nothing was measured", header=["", ""], cells=[])
    errors = [abs(error(row)) for row in rows]
    regrets = [regret(cell) for cell in cells if cell]
    good = sum(value <= GOOD_REGRET for value in regrets)
    others = [share for row in rows for share in row.figures[OTHERS]]
    body = [
        ["median error, %", f"{statistics.median(errors):.1f}", f"below {GOOD_ERROR:g}"],
        ["largest error, %", f"{max(errors):.1f}", ""],
        [
            "used by others before a run, median (highest), %",
            f"{statistics.median(others):.0f} ({max(others):.0f})",
            "below 10",
        ],
    ]
    if advised:
        asked = f"{GOOD_SHARE:.0%}"
        body.insert(
            2,
            [
                f"recommended is within {GOOD_REGRET - 1:.0%} of the fastest",
                f"{good} of {len(regrets)}",
                asked,
            ],
        )
    return Table(title="In short", header=["", "found", "wanted"], cells=body)


if __name__ == "__main__":
    main()
