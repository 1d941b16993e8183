"""Measures the cost of exchanging states, rows and messages, of averaging and of recording."""

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
from ddp.config.data import SyntheticData
from ddp.config.schema import Config

if TYPE_CHECKING:
    from ddp.results.run_result import RunResult
    from ddp.timing.account import Account
    from ddp.tracking.messages import WorkerRound


DIMS = {"small": 8, "large": 128}  # dimensions of the model
ROUNDS, EPOCHS = 6, 4
MESSAGES = 2  # of a worker in such a round: one about all its epochs, which are short, and one row
# With split=stratified: rounds, and local epochs of runs with few and with many messages.
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
    """The runs to measure with: for each backend one with small and one with large states.

    More runs per backend pass rows on (split=stratified).
    """
    configs, fused = {}, TRAINERS["fused"]
    for backend in (SERIAL, THREAD, SHM, FORKED):
        for size, dim in DIMS.items():
            configs[f"{backend.name}, {size}"] = pilot_config(backend, fused, dim, ROUNDS, EPOCHS)
        for number, epochs in (("few", FEW), ("many", MANY)):
            if number == "many" or backend is FORKED:
                turns = pilot_config(backend, fused, DIMS["small"], TURNS_ROUNDS, epochs)
                turns = replace(
                    turns, data=FEW_RATINGS, split=replace(turns.split, name="stratified")
                )
                configs[f"{backend.name}, {number} turns"] = turns
    return configs


def exchange_constants(pilots: Mapping[str, Pilots]) -> dict[str, Any]:
    """The fields of `Exchanges`, from these runs."""
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
    # Messages: one about each epoch, and one about each turn.
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
    """The fields of `Exchange` of a backend, from these runs."""
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
    """The median seconds of a phase in the workers' rounds after the first."""
    return lambda run: _median_s(run.history.worker_rounds, phase)


def _median_of_rounds(path: str) -> "Callable[[RunResult], float]":
    """The median seconds of a path in the aggregator's rounds after the first."""
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
    """How unequal equal work is: the standard deviation of the logarithm of its seconds.

    It is estimated robustly from compute in the rounds after a worker's first: 1.4826 times the
    median absolute deviation, as for a normal distribution.
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

    It goes through the medians at the smallest and at the largest size. Neither number is below 0.
    """
    small, large = min(sizes), max(sizes)
    low, high = (
        statistics.median(s for size, s in zip(sizes, seconds, strict=True) if size == end)
        for end in (small, large)
    )
    slope = max(0.0, (high - low) / (large - small))
    return max(0.0, low - slope * small), slope
