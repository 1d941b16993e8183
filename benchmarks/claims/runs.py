"""Whole runs of the two seed systems and of small variations of them, and their figures."""

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import Figures, Labels
from benchmarks.headline import SEEDS, SYSTEMS
from benchmarks.train_runs import (
    compose_config,
    last_of_each,
    per_worker,
    read_run,
    run_train,
    training_s,
)
from ddp.counting import counted
from ddp.experiment import run

WORKERS = (1, 2, 4)
ROUNDS = 6  # of runs that give the cost of a round
BATCHES = (128, 512, 1024, 2048, 4096, 8192)
BATCH_WORKERS = 2
QUIET = ("tensorboard=false",)
# The seed systems without their polling, and the serial reference.
BY = {
    "serial": SYSTEMS["serial + autograd"],
    "thread": (*SEEDS["seed_thread"], "backend.poll_interval_s=null"),
    "process": (*SEEDS["seed_process"], "backend.poll_interval_s=null"),
}

COMMAND, BEGIN, ROUND = "whole command, s", "to begin and to end, s", "a round, s"
TRAINING = "training, s"
PUBLISH, EXCHANGE = "publish, ms per round", "publish and receive, ms per round"
GIL_WAIT = "waiting for the GIL, part of a worker's time"
MEMORY = "memory of all processes, MB"

Candidate = tuple[Labels, Callable[[], Figures]]


def run_name(by: str, workers: int) -> str:
    """The name of a run that is measured for more and more rounds."""
    return f"{by}, {worker_count(workers)}"


def worker_count(workers: int) -> str:
    """A number of workers in words."""
    return counted(workers, "worker")


def batch_name(by: str, batch: int) -> str:
    """The name of a run with that batch."""
    return f"{by}, batch {batch}"


def candidates(more: Sequence[str] = ()) -> list[Candidate]:
    """All runs. `more`: options for all of them."""
    found: list[Candidate] = [
        ({"what": name}, partial(command, (*seed, *more))) for name, seed in SEEDS.items()
    ]
    for workers in WORKERS:
        for by, options in BY.items():
            overrides = (*options, f"workers={workers}", f"rounds={ROUNDS}", *more)
            found.append(({"what": run_name(by, workers)}, partial(command, overrides)))
    for batch in BATCHES:
        for by in ("serial", "thread"):
            overrides = (
                *BY[by],
                f"workers={BATCH_WORKERS}",
                "rounds=2",
                f"trainer.batch_size={batch}",
                *more,
            )
            epochs = min(16, max(2, batch // 64))  # small batches take longer
            found.append(
                (
                    {"what": batch_name(by, batch)},
                    partial(here, (*overrides, f"local_epochs={epochs}")),
                )
            )
    return found


def command(overrides: Sequence[str]) -> Figures:
    """Figures of one `python train.py`."""
    result = run_train((*overrides, *QUIET))
    return figures(result) | beginning(result["command_s"], result["elapsed_s"])


def here(overrides: Sequence[str]) -> Figures:
    """Seconds of training of one run in this process."""
    with tempfile.TemporaryDirectory() as directory:
        run(
            compose_config((*last_of_each((*overrides, *QUIET)), "display=none")),
            Path(directory) / "run",
            [],
        )
        return {TRAINING: training_s(read_run(Path(directory) / "run"))}


def figures(result: dict[str, Any]) -> dict[str, float]:
    """Figures of the exchange, of the waits for the GIL, and of memory."""
    per_round_ms = 1e3 / result["rounds_completed"]
    # the last lane is the aggregator's
    workers = [lane["seconds"] for lane in result["account"][:-1]]
    found = {
        TRAINING: training_s(result),
        PUBLISH: per_worker(result, "publish_s") * per_round_ms,
        EXCHANGE: (per_worker(result, "publish_s") + per_worker(result, "receive_s"))
        * per_round_ms,
        GIL_WAIT: sum(lane.get("gil_wait", 0.0) for lane in workers)
        / sum(sum(lane.values()) for lane in workers),
    }
    sizes = [
        part["pss_bytes"] for part in (*result["account"][:-1], *result["memory"]["processes"])
    ]
    if result["config"]["backend"]["name"] != "process":
        sizes = sizes[-1:]  # workers have no processes of their own
    return found if None in sizes else found | {MEMORY: sum(sizes) / 1e6}


def beginning(wall_s: float, elapsed_s: Sequence[float]) -> dict[str, float]:
    """The cost of a round and of all else, from two lengths of one run.

    One length is up to its first round, the other up to its last.
    """
    if len(elapsed_s) == 1:
        return {COMMAND: wall_s}
    round_s = (elapsed_s[-1] - elapsed_s[0]) / (len(elapsed_s) - 1)
    return {COMMAND: wall_s, ROUND: round_s, BEGIN: wall_s - round_s * len(elapsed_s)}
