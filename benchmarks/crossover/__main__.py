"""Is the advice right? `python -m benchmarks.crossover`

The benchmark measures the machine, predicts a grid of jobs as `advise=true` does, and then runs
each job as a command of its own, all in turn. The jobs have the size of MovieLens 100K: all
trainers, batches of 128 to 8192, embedding sizes 8 to 256, 1 to 4 workers.

| column      | meaning                                                                     |
| ----------- | --------------------------------------------------------------------------- |
| [ ... %]    | error of the prediction against the measured median                         |
| recommended | the backend with the lowest prediction                                      |
| regret      | time of the recommended backend, divided by that of the fastest             |
| others      | share of the machine that other programs used before a run; above a tenth   |
|             | the runs met another machine than the constants describe                    |

The wall is that of `advise`: imports + start + train + stop + save of result.json.

--simulation adds jobs with more workers than cores, and jobs on one core. The simulation models
both, with the constants of the whole machine.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.crossover.jobs import COMMON, GRID, QUICK, SIMULATION, Cell, simulated
from benchmarks.crossover.tables import ERROR, MEASURED, OTHERS, PREDICTED, of_job, summary, table
from benchmarks.harness import (
    Figures,
    Labels,
    Unavailable,
    add_overrides,
    command_line,
    in_turn,
    report,
)
from benchmarks.train_runs import run_train
from ddp.advice.advise import backends
from ddp.advice.measuring.calibration import calibrate, read
from ddp.advice.prediction import predict
from ddp.advice.scripts import Surroundings
from ddp.advice.sizes import sizes_of
from ddp.counting import counted
from ddp.machine.load import busy_share
from ddp.ratings.load import load_ratings

STAGES = ("imports", "start", "train", "stop", "save")
READ_S = 0.05  # to read the ratings from their cache


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
    runs = f"median (lowest - highest) of {counted(arguments.repeats, 'run')}"
    tables = [
        table(f"Predicted / measured wall, s: {runs}", [of_job(rows, cell) for cell in grid]),
        summary([of_job(rows, cell) for cell in grid], advised=True),
    ]
    if beyond:
        tables.append(
            table(f"Simulated / measured wall, s: {runs}", [of_job(rows, cell) for cell in beyond])
        )
        tables.append(summary([of_job(rows, cell) for cell in beyond], advised=False))
    report("crossover", arguments, rows, tables)


def candidates(
    cell: Cell, more: Sequence[str], file: Path
) -> list[tuple[Labels, Callable[[], Figures]]]:
    """The job on each of its backends, with its prediction, which is made before anything runs."""
    config = cell.config("serial", more)
    constants = calibrate(config.trainer, file=file)
    sizes = sizes_of(config, load_ratings(config.data, config.data_seed))
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
        result = run_train((*COMMON, *cell.overrides, *more, f"backend={backend}"))
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


if __name__ == "__main__":
    main()
