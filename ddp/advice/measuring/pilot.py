"""A small real run, as the command has it: what it costs tells of the machine.

Everything heavy is imported late, because a spawned worker imports this file.
"""

import dataclasses
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ddp.config.checks import start_methods
from ddp.config.data import SyntheticData
from ddp.config.options import (
    Aggregation,
    AutogradTrainer,
    Backend,
    FusedTrainer,
    Model,
    ProcessBackend,
    SerialBackend,
    ShmBackend,
    Split,
    ThreadBackend,
    Trainer,
)
from ddp.config.schema import Config

if TYPE_CHECKING:
    from ddp.results.run_result import RunResult
    from ddp.timing.spans import Account


WORKERS = 2
USERS, ITEMS, RATINGS = 943, 1682, 40_000  # as MovieLens 100K, with fewer ratings
TRAINERS: dict[str, Trainer] = {
    "fused": FusedTrainer(name="fused", lr=0.01, lr_decay=0.98, reg_factors=0.1, reg_biases=0.02),
    "adam": AutogradTrainer(
        name="autograd", optimizer="adam", lr=0.01, weight_decay=1e-5, batch_size=1024
    ),
    "sgd": AutogradTrainer(
        name="autograd", optimizer="sgd", lr=0.01, weight_decay=1e-5, batch_size=1024
    ),
}
SERIAL = SerialBackend(name="serial")
THREAD = ThreadBackend(name="thread", poll_interval_s=None)
PROCESS = ProcessBackend(name="process", poll_interval_s=None, start_method="spawn")
# exchanges the same, and is there at once
FORKED = replace(PROCESS, start_method=start_methods()[-1])
SHM = ShmBackend(name="shm", directory=None, start_method=None)


def pilot_config(
    backend: Backend, trainer: Trainer, dim: int, rounds: int, local_epochs: int
) -> Config:
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
            name="synthetic",
            num_users=USERS,
            num_items=ITEMS,
            num_ratings=RATINGS,
            rank=8,
            noise_std=0.5,
            popularity=0.8,
        ),
        split=Split(
            name="iid", holdout="random", test_fraction=0.2, valid_fraction=0.05, test_file=None
        ),
        model=Model(name="small", dim=dim, biases=True, init_std=0.01),
        trainer=trainer,
        aggregation=Aggregation(
            name="uniform",
            outer="none",
            outer_lr=1.0,
            outer_beta1=0.0,
            outer_beta2=0.0,
            outer_tau=1.0,
        ),
    )


def run_pilot(config: Config) -> "Pilot":
    """One run as the command has it, in a temporary directory."""
    from ddp.config.schema import settings
    from ddp.experiment import run
    from ddp.tracking.tensorboard import TensorBoard

    with tempfile.TemporaryDirectory(prefix="ddp-pilot-") as directory:
        board, began = (
            TensorBoard(Path(directory), settings(dataclasses.asdict(config))),
            time.thread_time(),
        )
        return Pilot(run(config, Path(directory), [board]), time.thread_time() - began)


@dataclass(frozen=True, slots=True)
class Pilot:
    """`main_s`: CPU seconds of the thread that ran it, the aggregator's."""

    run: "RunResult"
    main_s: float


Pilots = Sequence[Pilot]  # of the same config, of several sittings


def least(pilots: Pilots, seconds: "Callable[[RunResult], float]") -> float:
    """What it took in the best of the sittings."""
    return min(seconds(pilot.run) for pilot in pilots)


def with_core_s(account: "Account", phase: str) -> float:
    """What it takes with a core: without the time in which there was none, be it for our workers or
    for other programs.
    """
    return account.phase_s(phase) - account.seconds.get(f"{phase}/run_queue", 0.0)
