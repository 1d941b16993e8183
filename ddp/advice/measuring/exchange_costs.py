"""Measures the constants in `Exchange` and `Exchanges`, with small runs of every backend.

A small and a large run differ in the dimension of the model. A turns run has split=stratified, many
local epochs and hardly any ratings. The spans of the rounds after the first give the seconds, as
medians; of several runs of the same config the least counts. A line has the size of the vector, of
the checkpoint or of the model as its variable (`line`).

| constants | measured as |
|---|---|
| `message_s` | small run: spans `tell` and `other` of a worker's round, per message |
| `vector_s`, `float_s` | small and large run: spans `publish` and `receive`, as a line |
| `epoch_s` | turns run: a worker's round without its waits, per local epoch |
| `heard_s` | turns run of process: CPU seconds of the main thread, minus those of a run with few |
|           | local epochs, per message that it has more |
| `average_float_s` | large run of shm: span `average`, per float of all states |
| `log_s` | small and large runs: span `record/log` |
| `checkpoint_s`, `checkpoint_float_s` | small and large runs: span `record/checkpoint`, as a line |
| `save_s`, `save_float_s` | small and large runs: `save` of result.json, as a line |
| `jitter` | large run of shm: how unequal a worker's seconds of `compute` are (`_jitter`) |
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ddp.advice.measuring.pilot import (
    FORKED,
    ITEMS,
    SERIAL,
    SHM,
    THREAD,
    TRAINERS,
    USERS,
    WORKERS,
    Pilots,
    least,
    pilot_config,
    with_core_s,
)
from ddp.config.aggregation import Aggregation
from ddp.config.data import SyntheticData
from ddp.config.schema import Config

if TYPE_CHECKING:
    from ddp.results.run_result import RunResult
    from ddp.timing.account import Account
    from ddp.tracking.messages import WorkerRound


DIMS = {"small": 8, "large": 128}  # dimensions of the model
ROUNDS, EPOCHS = 6, 4
MESSAGES = 2  # of a worker per round: one about all its epochs, which are short, and one at the end
# Turns runs: rounds, and local epochs of runs with few and with many messages.
TURNS_ROUNDS, FEW, MANY = 4, 8, 40
FEW_RATINGS = SyntheticData(
    name="synthetic",
    num_users=60,
    num_items=40,
    num_ratings=1000,
    rank=2,
    noise_std=0.5,
    popularity=0.3,
)


def exchange_configs() -> dict[str, Config]:
    """The runs to measure with: a small, a large and a turns run per backend.

    FORKED has a second turns run, with few local epochs.
    """
    configs, fused = {}, TRAINERS["fused"]
    for backend in (SERIAL, THREAD, SHM, FORKED):
        for size, dim in DIMS.items():
            configs[f"{backend.name}, {size}"] = pilot_config(backend, fused, dim, ROUNDS, EPOCHS)
        for number, epochs in (("few", FEW), ("many", MANY)):
            if number == "many" or backend is FORKED:
                turns = pilot_config(backend, fused, DIMS["small"], TURNS_ROUNDS, epochs)
                turns = replace(
                    turns,
                    data=FEW_RATINGS,
                    split=replace(turns.split, name="stratified"),
                    aggregation=Aggregation(name="none"),
                )
                configs[f"{backend.name}, {number} turns"] = turns
    return configs


def exchange_constants(pilots: Mapping[str, Pilots]) -> dict[str, Any]:
    """The fields of `Exchanges`. `pilots`: the runs of each of `exchange_configs`."""
    names = [backend.name for backend in (SERIAL, THREAD, SHM, FORKED)]
    both = [(size, pilots[f"{name}, {size}"]) for name in names for size in DIMS]
    sizes: list[float] = [_num_floats(DIMS[size]) for size, _ in both]
    checkpoint_s, checkpoint_float_s = line(
        sizes, [least(runs, _median_of_rounds("record/checkpoint")) for _, runs in both]
    )
    save_s, save_float_s = line(
        sizes, [least(runs, lambda run: run.seconds["save"]) for _, runs in both]
    )
    large = pilots["shm, large"]
    few, many = (pilots[f"process, {number} turns"] for number in ("few", "many"))
    # A worker sends a message about each epoch, and one about each turn.
    more_messages = TURNS_ROUNDS * WORKERS * (1 + WORKERS) * (MANY - FEW)
    return {
        **{name: _exchange(name, pilots) for name in names},
        "heard_s": max(0.0, min(p.main_s for p in many) - min(p.main_s for p in few))
        / more_messages,
        "average_float_s": least(
            large, lambda run: _median_s(run.history.aggregate_rounds, "average")
        )
        / (WORKERS * _num_floats(DIMS["large"])),
        "log_s": statistics.median(
            least(runs, _median_of_rounds("record/log")) for _, runs in both
        ),
        "checkpoint_s": checkpoint_s,
        "checkpoint_float_s": checkpoint_float_s,
        "save_s": save_s,
        "save_float_s": save_float_s,
        "jitter": least(large, _jitter),
    }


def _exchange(name: str, pilots: Mapping[str, Pilots]) -> dict[str, float]:
    """The fields of `Exchange` for the backend `name`."""
    ends = [(size, phase) for size in DIMS for phase in ("publish", "receive")]
    seconds = [least(pilots[f"{name}, {size}"], _median_of_workers(phase)) for size, phase in ends]
    vector_s, float_s = line([_num_floats(DIMS[size]) for size, _ in ends], seconds)
    messages_s = least(
        pilots[f"{name}, small"],
        lambda run: _median_of_workers("tell")(run) + _median_of_workers("other")(run),
    )
    turns = pilots[f"{name}, many turns"]
    return {
        "message_s": messages_s / MESSAGES,
        "vector_s": vector_s,
        "float_s": float_s,
        "epoch_s": least(
            turns, lambda run: statistics.median(_busy_s(row.account) for row in _later_rounds(run))
        )
        / MANY,
    }


def _median_of_workers(phase: str) -> "Callable[[RunResult], float]":
    """A function of a run: the median seconds of a phase in the workers' later rounds."""
    return lambda run: _median_s(run.history.worker_rounds, phase)


def _median_of_rounds(path: str) -> "Callable[[RunResult], float]":
    """A function of a run: the median seconds of a path in the aggregator's later rounds."""
    return lambda run: statistics.median(
        row.account.seconds.get(path, 0.0) for row in run.history.aggregate_rounds[1:]
    )


def _median_s(rows: Sequence[Any], phase: str) -> float:
    """The median seconds of a phase in the rounds after the first."""
    middle: float = statistics.median(
        with_core_s(row.account, phase) for row in rows if row.round_index > 0
    )
    return middle


def _later_rounds(run: "RunResult") -> "list[WorkerRound]":
    """All rounds of workers after their first."""
    return [row for row in run.history.worker_rounds if row.round_index > 0]


def _busy_s(account: "Account") -> float:
    """Seconds of a worker without its waits for other workers and for a core."""
    return sum(
        seconds
        for path, seconds in account.seconds.items()
        if path != "wait" and not path.endswith("/run_queue")
    )


def _jitter(run: "RunResult") -> float:
    """The standard deviation of the logarithm of the seconds that equal work takes.

    The equal work is `compute` in a worker's rounds after its first. A single slow round hardly
    changes the estimate: 1.4826 times the median absolute deviation, as for a normal distribution.
    """
    deviations = []
    for worker in run.history.startup_s:
        seconds = [
            with_core_s(row.account, "compute")
            for row in run.history.worker(worker)
            if row.round_index > 0
        ]
        middle = statistics.median(seconds)
        deviations += [abs(math.log(s / middle)) for s in seconds]
    return 1.4826 * statistics.median(deviations)


def _num_floats(dim: int) -> int:
    return (USERS + ITEMS) * (dim + 1) + 1


def line(sizes: Sequence[float], seconds: Sequence[float]) -> tuple[float, float]:
    """The straight line through the points (size, seconds): its value at size 0, and its slope.

    It goes through the medians at the smallest and at the largest size. A number below 0 becomes 0.
    """
    small, large = min(sizes), max(sizes)
    low, high = (
        statistics.median(s for size, s in zip(sizes, seconds, strict=True) if size == end)
        for end in (small, large)
    )
    slope = max(0.0, (high - low) / (large - small))
    return max(0.0, low - slope * small), slope
