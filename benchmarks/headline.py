"""How fast is the seed job on every system? `python -m benchmarks.headline`

The job: MovieLens 100K, 5 workers, 5 rounds of 10 local epochs. It runs as `experiment=seed_thread`
and as `experiment=seed_process`, which poll, and on each backend with each trainer, where nobody
polls. Every run is a whole `python train.py` in a process of its own; all take turns. Figures per
worker are means over the workers of a run.

shm forks its workers from a server, which train.py starts while it still imports torch. In `run
with all start-up` the run itself starts the server, so that no part of the start is hidden.

A second table shows the time of plain `python train.py`, beside that of importing its packages.
"""

import argparse
import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import (
    Figures,
    Row,
    Table,
    Unavailable,
    add_overrides,
    add_ratio,
    command_line,
    in_turn,
    report,
)
from benchmarks.train_runs import (
    REPOSITORY,
    compose_config,
    of_lanes,
    per_worker,
    run_train,
    timed_command,
    training_s,
)
from ddp.counting import counted
from ddp.experiment import run

# The values that the two seed experiments pin, without the polling.
JOB = (
    "data=ml100k",
    "split=iid",
    "split.holdout=random",
    "split.test_fraction=0.2",
    "split.valid_fraction=0",
    "model=small",
    "aggregation=inverse_loss",
    "model.init_std=0.05",
    "workers=5",
    "rounds=5",
    "local_epochs=10",
    "seed=0",
    "select_on=test",
    "torch_threads=1",
    "reference=false",
    "checkpoint_every=0",
    "max_norm=null",
)
TRAINERS = {
    "autograd": (
        "trainer=autograd",
        "trainer.optimizer=adam",
        "trainer.lr=0.01",
        "trainer.weight_decay=1e-5",
    ),
    # Chosen on validation for this job: a mean of five needs larger steps than one worker.
    "fused": (
        "trainer=fused",
        "trainer.lr=0.14",
        "trainer.lr_decay=0.98",
        "trainer.reg_factors=0.1",
        "trainer.reg_biases=0.02",
    ),
}
BACKENDS = ("serial", "thread", "process", "shm")
SEEDS = {name: (f"experiment={name}",) for name in ("seed_thread", "seed_process")}
SYSTEMS = SEEDS | {
    f"{backend} + {trainer}": (*JOB, f"backend={backend}", *overrides)
    for trainer, overrides in TRAINERS.items()
    for backend in BACKENDS
}

COMMAND = "whole command, s"
RUN = "run without imports, s"
WITH_START = "run with all start-up, s"


def _per_round_ms(key: str) -> Callable[[dict[str, Any]], float]:
    return lambda result: per_worker(result, key) * 1e3 / result["rounds_completed"]


FIGURES: dict[str, Callable[[dict[str, Any]], float]] = {
    COMMAND: lambda result: result["command_s"],
    RUN: lambda result: result["seconds"]["total"],
    "start, until all have their job, s": lambda result: result["seconds"]["start"],
    "start-up of a worker, s": lambda result: per_worker(result, "startup_s"),
    "training, all started, s": training_s,
    "compute per worker, s": lambda result: per_worker(result, "compute_s"),
    "waiting for the GIL, s per worker": lambda result: of_lanes(result, "gil_wait"),
    "waiting for a core, s per worker": lambda result: of_lanes(result, "run_queue"),
    "end of a worker, s": lambda result: of_lanes(result, "exit"),
    "peak memory, MB": lambda result: result["peak_rss_bytes"] / 1e6,
    "aggregated test RMSE": lambda result: result["rmse"]["test"],
    "publish, ms per round": _per_round_ms("publish_s"),
    "receive, ms per round": _per_round_ms("receive_s"),
    "lock wait, ms per round": _per_round_ms("lock_wait_s"),
    "pickle, ms per round": _per_round_ms("pickle_s"),
    "transfer, ms per round": _per_round_ms("transfer_s"),
    "pickled, kB per round": lambda result: (
        per_worker(result, "pickled_bytes") / 1e3 / result["rounds_completed"]
    ),
    "wait for the aggregate, ms per round": _per_round_ms("wait_s"),
}
JOB_FIGURES, EXCHANGE_FIGURES = tuple(FIGURES)[2:11], tuple(FIGURES)[11:]
OF_IMPORTS = "times the imports"

MODULES = ("torch", "pandas", "numba", "hydra", "torch.utils.tensorboard")
IMPORTS = "importing " + ", ".join(MODULES)
DEFAULTS = "python train.py"


def run_system(overrides: tuple[str, ...]) -> Figures:
    """Runs a system once."""
    result = run_train(overrides)
    figures = {name: figure(result) for name, figure in FIGURES.items()}
    if result["config"]["backend"]["name"] != "shm":
        return figures | {WITH_START: figures[RUN]}
    # Not by multiprocessing: the workers of its process would import this module as well.
    command = [
        sys.executable,
        "-c",
        "from benchmarks.headline import print_run_s as run; run()",
        *overrides,
    ]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    return figures | {WITH_START: float(done.stdout)}


def print_run_s() -> None:
    """Prints the wall of a run without imports, s, in a process that has only imported."""
    config = compose_config((*sys.argv[1:], "display=none"))
    with tempfile.TemporaryDirectory() as directory:
        print(run(config, Path(directory), []).seconds["total"])


def import_modules() -> Figures:
    """The least time that a program with these packages takes."""
    if missing := [name for name in MODULES if importlib.util.find_spec(name) is None]:
        raise Unavailable(f"{' and '.join(missing)}: not installed")
    return {COMMAND: timed_command([sys.executable, "-c", f"import {', '.join(MODULES)}"])}


def _arguments() -> argparse.Namespace:
    parser = command_line("headline", __doc__)
    parser.add_argument(
        "--systems",
        nargs="+",
        metavar="SYSTEM",
        choices=SYSTEMS,
        default=list(SYSTEMS),
        help="measure only these",
    )
    add_overrides(parser)
    return parser.parse_intermixed_args()


def main() -> None:
    """The command."""
    arguments = _arguments()
    more = tuple(arguments.overrides)
    run_train((*JOB, *more, "rounds=1"))  # fetches the data and fills the caches
    rows = in_turn(
        [
            *(
                ({"system": name}, partial(run_system, (*SYSTEMS[name], *more)))
                for name in arguments.systems
            ),
            ({"system": IMPORTS}, import_modules),
            (
                {"system": " ".join([DEFAULTS, *more])},
                lambda: {COMMAND: run_train(more)["command_s"]},
            ),
        ],
        arguments.repeats,
    )
    systems, (imports, defaults) = rows[:-2], rows[-2:]
    ratios = []
    for seed in [row for row in systems if row.labels["system"] in SEEDS]:
        ratios.append(f"times as fast as {seed.labels['system']}")
        add_ratio(systems, ratios[-1], WITH_START, seed, faster=True)
    add_ratio([imports, defaults], OF_IMPORTS, COMMAND, imports, faster=False)
    runs = f"median (lowest - highest) of {counted(arguments.repeats, 'run')}"
    tables = [
        _answer(systems),
        _table(f"The job: {runs}", systems, [COMMAND, RUN, WITH_START, *ratios, *JOB_FIGURES]),
        _table(f"The exchange: {runs}", systems, EXCHANGE_FIGURES),
        _table(f"What a user waits for: {runs}", [imports, defaults], [COMMAND, OF_IMPORTS]),
    ]
    report("headline", arguments, rows, tables)


def _answer(systems: Sequence[Row]) -> Table:
    """The medians that README shows."""
    figures = {
        "whole command, s": COMMAND,
        "training, s": "training, all started, s",
        "test RMSE": "aggregated test RMSE",
        "memory, MB": "peak memory, MB",
    }
    return Table(
        title="The answer: medians",
        header=["system", *figures],
        cells=[
            [
                str(row.labels["system"]),
                *(row.cell(name, spread=False) for name in figures.values()),
            ]
            for row in systems
        ],
    )


def _table(title: str, rows: Sequence[Row], figures: Sequence[str]) -> Table:
    return Table(
        title=title,
        header=["", *figures],
        cells=[
            [str(row.labels["system"]), *(row.cell(figure) for figure in figures)] for row in rows
        ],
    )


if __name__ == "__main__":
    main()
