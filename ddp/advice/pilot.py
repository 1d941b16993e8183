"""The small real runs behind the constants: `python -m ddp.advice.pilot [exchanges] [fused|adam|sgd]` prints them as JSON.

A process of its own, so that what is imported and compiled first is so here, too; it begins as train.py does, with the server
that workers are forked from. Everything heavy is imported late, because a spawned worker imports this file.
"""

import dataclasses
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddp.config import Config
from ddp.options import (
    Aggregation,
    AutogradTrainer,
    Backend,
    FusedTrainer,
    Model,
    ProcessBackend,
    SerialBackend,
    ShmBackend,
    Split,
    SyntheticData,
    ThreadBackend,
    Trainer,
    start_methods,
)

if TYPE_CHECKING:
    from ddp.record import RunResult
    from ddp.timing import Account

EXCHANGES = "exchanges"
WORKERS = 2
DIMS = (8, 128)  # small and large states
ROUNDS, FEW, MANY = 6, 4, 40  # few and many epochs, and so messages, in a round
USERS, ITEMS, RATINGS = 943, 1682, 40_000  # as MovieLens 100K, with fewer ratings
TRAINERS: dict[str, Trainer] = {
    "fused": FusedTrainer(name="fused", lr=0.01, lr_decay=0.98, reg_factors=0.1, reg_biases=0.02),
    "adam": AutogradTrainer(name="autograd", optimizer="adam", lr=0.01, weight_decay=1e-5, batch_size=1024),
    "sgd": AutogradTrainer(name="autograd", optimizer="sgd", lr=0.01, weight_decay=1e-5, batch_size=1024),
}
SERIAL = SerialBackend(name="serial")
THREAD = ThreadBackend(name="thread", poll_interval_s=None)
PROCESS = ProcessBackend(name="process", poll_interval_s=None, start_method="spawn")
FORKED = replace(PROCESS, start_method=start_methods()[-1])  # exchanges the same, and is there at once
SHM = ShmBackend(name="shm", directory=None, start_method=None)
FEW_RATINGS = SyntheticData(name="synthetic", num_users=60, num_items=40, num_ratings=1000, rank=2, noise_std=0.5, popularity=0.3)


def pilot_config(backend: Backend, trainer: Trainer, dim: int, rounds: int, local_epochs: int) -> Config:
    """A job like those of the document, but short."""
    return Config(
        workers=WORKERS,
        rounds=rounds,
        local_epochs=local_epochs,
        seed=0,
        select_on="valid",
        agg_timeout=300.0,
        round_timeout=300.0,
        straggler_timeout=None,
        on_failure="abort",
        min_workers=1,
        max_restarts=0,
        max_norm=None,
        checkpoint_every=1,
        account=True,
        torch_threads=1,
        tensorboard=True,
        display="none",
        reference="false",
        backend=backend,
        data=SyntheticData(
            name="synthetic", num_users=USERS, num_items=ITEMS, num_ratings=RATINGS, rank=8, noise_std=0.5, popularity=0.8
        ),
        split=Split(name="iid", holdout="random", test_fraction=0.2, valid_fraction=0.05, test_file=None),
        model=Model(name="small", dim=dim, biases=True, init_std=0.01),
        trainer=trainer,
        aggregation=Aggregation(name="uniform", outer="none", outer_lr=1.0, outer_beta1=0.0, outer_beta2=0.0, outer_tau=1.0),
    )


def run_pilot(config: Config) -> "RunResult":
    """One run as the command has it, in a temporary directory."""
    from ddp.board import TensorBoard
    from ddp.config import settings
    from ddp.experiment import run

    with tempfile.TemporaryDirectory(prefix="ddp-pilot-") as directory:
        return run(config, Path(directory), [TensorBoard(Path(directory), settings(dataclasses.asdict(config)))])


# --- what runs tell -----------------------------------------------------------------------------------------------


def measure_exchanges() -> dict[str, Any]:
    """The fields of `Exchanges`."""
    runs, exchanges = {}, {}
    run_pilot(pilot_config(SHM, TRAINERS["fused"], DIMS[0], rounds=1, local_epochs=1))  # compiles, or reads what is compiled
    for backend in (SHM, SERIAL, THREAD, FORKED):
        runs[backend.name], exchanges[backend.name] = _exchange(backend)
    _, large = runs["shm"]
    sizes = [_num_floats(dim) for dim in DIMS]
    pairs = runs.values()
    checkpoint = line(sizes * len(pairs), [_median_path_s(run, "record/checkpoint") for pair in pairs for run in pair])
    save = line(sizes * len(pairs), [run.seconds["save"] for pair in pairs for run in pair])
    return {
        **exchanges,
        "average_float_s": _median_s(large.history.aggregate_rounds, "average") / (WORKERS * sizes[1]),
        "log_s": statistics.median(_median_path_s(run, "record/log") for pair in pairs for run in pair),
        "checkpoint_s": checkpoint[0],
        "checkpoint_float_s": checkpoint[1],
        "save_s": save[0],
        "save_float_s": save[1],
        "jitter": _jitter(large),
    }


def measure_start(trainer: Trainer) -> dict[str, float]:
    """Those fields of `Training` that are about how workers start."""
    cores = min(WORKERS, num_cores())
    dim, rounds = 32, 4
    first, second, in_threads, spawned = (
        run_pilot(pilot_config(backend, trainer, dim, rounds, local_epochs=2)) for backend in (SHM, SHM, THREAD, PROCESS)
    )
    return {
        "imports_s": in_threads.seconds["imports"],
        "server_s": max(0.0, first.seconds["start"] - second.seconds["start"] + first.seconds["data"]),
        "fork_s": _startup_s(second),
        "forked_s": _first_round_s(second),
        "spawn_s": _startup_s(spawned),
        "spawned_s": _first_round_s(spawned),
        "exit_s": spawned.seconds["stop"] * cores / WORKERS,
        "manager_s": max(0.0, spawned.seconds["start"] + spawned.seconds["train"] - _longest_s(spawned)),
    }


def _exchange(backend: Backend) -> tuple[list["RunResult"], dict[str, float]]:
    """Runs with a small and a large state, and the fields of `Exchange`, for which there is one with many messages as well."""
    runs, spent_s = [], []
    for dim, epochs in ((DIMS[0], FEW), (DIMS[1], FEW), (DIMS[0], MANY)):
        began = time.thread_time()
        runs.append(run_pilot(pilot_config(backend, TRAINERS["fused"], dim, rounds=ROUNDS, local_epochs=epochs)))
        spent_s.append(time.thread_time() - began)
    *pair, many = runs
    vectors = [(_num_floats(dim), run, phase) for dim, run in zip(DIMS, pair, strict=True) for phase in ("publish", "receive")]
    vector_s, float_s = line(
        [size for size, *_ in vectors], [_median_s(run.history.worker_rounds, name) for _, run, name in vectors]
    )
    rows = many.history.worker_rounds
    measured = {
        "message_s": (_median_s(rows, "tell") + _median_s(rows, "other")) / (MANY + 1),
        "heard_s": max(0.0, spent_s[2] - spent_s[0]) / (ROUNDS * WORKERS * (MANY - FEW)),
        "vector_s": vector_s,
        "float_s": float_s,
        "epoch_s": _epoch_s(backend),
    }
    return pair, measured


def _epoch_s(backend: Backend) -> float:
    """Of a worker, all but its waits: for others, and for a core."""
    config = pilot_config(backend, TRAINERS["fused"], DIMS[0], rounds=4, local_epochs=MANY)
    run = run_pilot(replace(config, data=FEW_RATINGS, split=replace(config.split, name="stratified")))
    return statistics.median(_busy_s(row.account) for row in run.history.worker_rounds if row.round_index > 0) / MANY


def _busy_s(account: "Account") -> float:
    return sum(seconds for path, seconds in account.seconds.items() if path != "wait" and not path.endswith("/run_queue"))


def _num_floats(dim: int) -> int:
    return (USERS + ITEMS) * (dim + 1) + 1


def _median_s(rows: Sequence[Any], phase: str) -> float:
    """Of a phase in the rounds after the first."""
    middle: float = statistics.median(_with_core_s(row.account, phase) for row in rows if row.round_index > 0)
    return middle


def _median_path_s(run: "RunResult", path: str) -> float:
    """Of the aggregator's rounds after the first, for one path."""
    return statistics.median(row.account.seconds.get(path, 0.0) for row in run.history.aggregate_rounds[1:])


def _with_core_s(account: "Account", phase: str) -> float:
    """What it takes with a core: without the time in which there was none, be it for our workers or for other programs."""
    return account.phase_s(phase) - account.seconds.get(f"{phase}/run_queue", 0.0)


def _startup_s(run: "RunResult") -> float:
    """Of a worker, in the mean, from when its process was started to its first round."""
    return statistics.mean(_with_core_s(account, "start") for account in run.history.started_with.values())


def _longest_s(run: "RunResult") -> float:
    """From when the first worker was started to its last row: the longest of all."""
    walls = {worker: sum(row.account.wall_s for row in run.history.worker(worker)) for worker in run.history.startup_s}
    return max(run.history.startup_s[worker] + wall_s for worker, wall_s in walls.items())


def _first_round_s(run: "RunResult") -> float:
    """What the first round of a worker takes longer than a later one, in the mean."""
    more = []
    for worker in run.history.startup_s:
        rows = run.history.worker(worker)
        first, *later = [_with_core_s(row.account, "compute") + _with_core_s(row.account, "evaluate") for row in rows]
        more.append(first - statistics.median(later))
    return max(0.0, statistics.mean(more))


def _jitter(run: "RunResult") -> float:
    """Median deviation of the logarithm of a worker's later rounds of compute, times what makes it that of a normal law."""
    deviations = []
    for worker in run.history.startup_s:
        seconds = [_with_core_s(row.account, "compute") for row in run.history.worker(worker) if row.round_index > 0]
        middle = statistics.median(seconds)
        deviations += [abs(math.log(s / middle)) for s in seconds]
    return 1.4826 * statistics.median(deviations)


def line(sizes: Sequence[float], seconds: Sequence[float]) -> tuple[float, float]:
    """Of the straight line through the points (medians of the small and of the large ones) its value at 0, and its slope."""
    small, large = min(sizes), max(sizes)
    low, high = (statistics.median(s for size, s in zip(sizes, seconds, strict=True) if size == end) for end in (small, large))
    slope = max(0.0, (high - low) / (large - small))
    return max(0.0, low - slope * small), slope


def num_cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main(*parts: str) -> None:
    """Measures, and prints `training` and `exchanges`, each if asked for. (Exchanges are measured with the fused trainer.)"""
    from ddp.forkserver import ensure_server

    names = [part for part in parts if part != EXCHANGES]
    trainer = TRAINERS[names[0] if names else "fused"]
    if start_methods()[-1] == "forkserver":
        ensure_server(trainer.name)
    import ddp.board
    import ddp.display
    import ddp.experiment  # noqa: F401  # the rest of what train.py imports, beside which the server starts
    from ddp.advice.trainer_costs import measure_trainer

    measured: dict[str, Any] = {"training": {name: measure_start(trainer) for name in names}}
    if EXCHANGES in parts:
        measured[EXCHANGES] = measure_exchanges()
    for name in names:
        measured["training"][name] |= measure_trainer(trainer, num_cores())
    print(json.dumps(measured))


if __name__ == "__main__":
    main(*sys.argv[1:])
