"""Measures the fields of `Training` about the start and end of workers, with small runs.

| constants | measured as |
|---|---|
| `imports_s` | `imports` of the first run with threads |
| `server_s` | `start` and `data` of the first run with forked workers, minus a later `start` |
| `fork_s`, `spawn_s` | span `start` of a worker, the mean of all workers |
| `forked_s`, `spawned_s` | `compute` and `evaluate` of a worker's first round, minus a later one |
| `exit_s` | `stop` of a run with spawned workers, as if each worker had a core |
| `manager_s` | `start` and `train` of a run with spawned workers, minus its slowest worker's time |
"""

import statistics
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ddp.advice.measuring.pilot import (
    PROCESS,
    SHM,
    THREAD,
    WORKERS,
    Pilot,
    Pilots,
    least,
    pilot_config,
    with_core_s,
)
from ddp.config.backend import Backend
from ddp.config.schema import Config
from ddp.config.trainer import TrainerOptions
from ddp.machine.cores import num_cores

if TYPE_CHECKING:
    from ddp.results.run_result import RunResult


def start_configs(trainer: TrainerOptions) -> dict[str, Config]:
    """The runs to measure with."""
    kinds: dict[str, Backend] = {"forked": SHM, "in threads": THREAD, "spawned": PROCESS}
    return {
        kind: pilot_config(backend, trainer, dim=32, rounds=4, local_epochs=2)
        for kind, backend in kinds.items()
    }


def start_constants(firsts: Mapping[str, Pilot], pilots: Mapping[str, Pilots]) -> dict[str, float]:
    """The fields of `Training` about the start and end of workers.

    `firsts`: the first runs of this process, which waited for the forkserver and imported modules.
    """
    forked, spawned, cores = pilots["forked"], pilots["spawned"], min(WORKERS, num_cores())
    waited_s = firsts["forked"].run.seconds["start"] + firsts["forked"].run.seconds["data"]
    return {
        "imports_s": firsts["in threads"].run.seconds["imports"],
        "server_s": max(0.0, waited_s - least(forked, lambda run: run.seconds["start"])),
        "fork_s": least(forked, _startup_s),
        "forked_s": least(forked, _first_round_s),
        "spawn_s": least(spawned, _startup_s),
        "spawned_s": least(spawned, _first_round_s),
        "exit_s": least(spawned, lambda run: run.seconds["stop"]) * cores / WORKERS,
        "manager_s": least(
            spawned,
            lambda run: max(0.0, run.seconds["start"] + run.seconds["train"] - _longest_s(run)),
        ),
    }


def _startup_s(run: "RunResult") -> float:
    """Mean seconds from a worker's start to its first epoch."""
    return statistics.mean(
        with_core_s(account, "start") for account in run.history.started_with.values()
    )


def _longest_s(run: "RunResult") -> float:
    """Seconds from the first start of a worker to the last row of the slowest worker."""
    walls = {
        worker: sum(row.account.wall_s for row in run.history.worker(worker))
        for worker in run.history.startup_s
    }
    return max(run.history.startup_s[worker] + wall_s for worker, wall_s in walls.items())


def _first_round_s(run: "RunResult") -> float:
    """Mean seconds by which the first round of a worker takes longer than a later one."""
    more = []
    for worker in run.history.startup_s:
        rows = run.history.worker(worker)
        first, *later = [
            with_core_s(row.account, "compute") + with_core_s(row.account, "evaluate")
            for row in rows
        ]
        more.append(first - statistics.median(later))
    return max(0.0, statistics.mean(more))
