"""Makes a pilot: a small real run, as `python train.py` makes it, to measure constants with.

It imports heavy modules late, because a spawned worker imports this file.
"""

import dataclasses
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ddp.config.backend import Backend, ProcessBackend, SerialBackend, ShmBackend, ThreadBackend
from ddp.config.checks import start_methods
from ddp.config.metrics import RMSE
from ddp.config.schema import Config
from ddp.config.trainer import (
    AlsTrainer,
    AutogradTrainer,
    FusedTrainer,
    GibbsTrainer,
    TrainerOptions,
)

if TYPE_CHECKING:
    from ddp.results.run_result import RunResult
    from ddp.timing.account import Account


WORKERS = 2
USERS, ITEMS, RATINGS = 943, 1682, 40_000  # as MovieLens 100K, with fewer ratings
TRAINERS: dict[str, TrainerOptions] = {
    "fused": FusedTrainer(name="fused", lr=0.01, lr_decay=0.98, reg_factors=0.1, reg_biases=0.02),
    "adam": AutogradTrainer(
        name="autograd", optimizer="adam", lr=0.01, weight_decay=1e-5, batch_size=1024
    ),
    "sgd": AutogradTrainer(
        name="autograd", optimizer="sgd", lr=0.01, weight_decay=1e-5, batch_size=1024
    ),
    "gibbs": GibbsTrainer(name="gibbs", burn_in=0, keep_samples=1, implicit="none", noise="rows"),
    "als": AlsTrainer(name="als", reg=0.1),
}
SERIAL = SerialBackend(name="serial")
THREAD = ThreadBackend(name="thread", poll_interval_s=None)
PROCESS = ProcessBackend(name="process", poll_interval_s=None, start_method="spawn")
# It exchanges as PROCESS does, and starts faster.
FORKED = replace(PROCESS, start_method=start_methods()[-1])
SHM = ShmBackend(name="shm", directory=None, start_method=None)


def pilot_config(
    backend: Backend, trainer: TrainerOptions, dim: int, rounds: int, local_epochs: int
) -> Config:
    """A job like those of the seed systems, but short.

    It sets every setting that the constants depend on. The others are as in conf/.
    """
    from ddp.config.defaults import default_config, default_option  # these read files

    ratings = default_option("data", "synthetic")
    split, aggregation = ("both", "none") if trainer.sweeps else ("iid", "uniform")
    usual = default_config(
        trainer=trainer.name, split=split, model="small", aggregation=aggregation
    )
    return replace(
        usual,
        workers=WORKERS,
        rounds=rounds,
        local_epochs=local_epochs,
        select_on="valid",
        checkpoint_every=1,
        account=True,
        display="none",
        metrics=[RMSE],  # the threads of BLAS that rank items spin after it, like other programs
        reference="false",
        backend=backend,
        data=replace(ratings, num_users=USERS, num_items=ITEMS, num_ratings=RATINGS),
        model=replace(usual.model, dim=dim),
        trainer=trainer,
    )


def run_pilot(config: Config) -> "Pilot":
    """Makes one run in a temporary directory."""
    from ddp.config.schema import settings
    from ddp.experiment import run
    from ddp.tracking.tensorboard import TensorBoard
    from ddp.tracking.tracker import RunFacts

    with tempfile.TemporaryDirectory(prefix="ddp-pilot-") as directory:
        row = settings(dataclasses.asdict(config))
        board = TensorBoard(RunFacts(directory=Path(directory), settings=row))
        began = time.thread_time()
        return Pilot(run(config, Path(directory), [board]), time.thread_time() - began)


@dataclass(frozen=True, slots=True)
class Pilot:
    """A small run. `main_s`: CPU seconds of its main thread, which is the aggregator."""

    run: "RunResult"
    main_s: float


Pilots = Sequence[Pilot]  # runs of one config, from several sittings


def least(pilots: Pilots, seconds: "Callable[[RunResult], float]") -> float:
    """The smallest value of `seconds` among the runs."""
    return min(seconds(pilot.run) for pilot in pilots)


def with_core_s(account: "Account", phase: str) -> float:
    """Seconds of a phase, without the waits for a core."""
    return account.phase_s(phase) - account.seconds.get(f"{phase}/run_queue", 0.0)
