"""The options of the config groups: one dataclass each, and the rules that its values keep.

The YAML files in conf/<group>/ hold the values, these dataclasses the names, types and rules. No
field has a default.
"""

from collections.abc import Sequence
from typing import ClassVar

from ddp.config.checks import (
    Checked,
    above,
    at_least,
    file_name,
    number,
    one_of,
    options,
    safe_start_method,
    start_methods,
)
from ddp.config.data import CsvData, DirichletSplit, MovieLensData, Split, SyntheticData
from ddp.errors import ConfigError

OPTIMIZERS = ("adam", "sgd")
OUTER = ("none", "momentum", "nesterov", "adam")


# --- backend: the way workers run, and exchange vectors ---


@options
class BackendBase(Checked):
    PREFIX = "backend."
    in_processes: ClassVar[bool] = False  # True: each worker has a process of its own

    name: str


@options
class SerialBackend(BackendBase):
    pass


@options
class PollingBackend(BackendBase):
    """`poll_interval_s`: seconds from one look into the shared dict to the next, as in the seed
    systems; null: workers are notified.
    """

    poll_interval_s: float | None = above(0)


@options
class ThreadBackend(PollingBackend):
    pass


@options
class ProcessBackend(PollingBackend):
    """`start_method`: how Python starts the process of a worker."""

    in_processes = True

    start_method: str = safe_start_method()

    @property
    def chosen_start_method(self) -> str:
        return self.start_method


@options
class ShmBackend(BackendBase):
    """`directory`: where the shared memory lies, null: /dev/shm; `start_method`: null: forkserver
    where the platform has it.
    """

    in_processes = True

    directory: str | None = file_name()
    start_method: str | None = safe_start_method()

    @property
    def chosen_start_method(self) -> str:
        return self.start_method or start_methods()[-1]


# --- model, trainer, aggregation ---


@options
class Model(Checked):
    """`dim`: embedding size; `init_std`: of the first factors, which are normal (biases: 0)."""

    PREFIX = "model."

    name: str
    dim: int = at_least(1)
    biases: bool
    init_std: float = above(0)


@options
class TrainerBase(Checked):
    """The settings that every trainer has."""

    PREFIX = "trainer."
    compiled: ClassVar[bool] = False  # True: epochs run as compiled code, without the GIL

    name: str
    lr: float = above(0)

    def learning_rate(self, epoch: int) -> float:
        """The learning rate of an epoch, which counts from the beginning of the run."""
        return self.lr

    def state_length(self, sizes: Sequence[int]) -> int:
        """The floats that the trainer keeps from epoch to epoch. `sizes`: parameters by block."""
        return 0


@options
class AutogradTrainer(TrainerBase):
    optimizer: str = one_of(OPTIMIZERS)
    weight_decay: float = number(least=0)
    batch_size: int = at_least(1)

    def state_length(self, sizes: Sequence[int]) -> int:
        """Adam keeps two moments of each parameter, and its number of steps in each block."""
        return 0 if self.optimizer == "sgd" else sum(2 * size + 1 for size in sizes)


@options
class FusedTrainer(TrainerBase):
    """Each epoch multiplies `lr` by `lr_decay`; `reg_*`: L2 on the rows of each visited rating."""

    compiled = True

    lr_decay: float = above(0)
    reg_factors: float = number(least=0)
    reg_biases: float = number(least=0)

    def learning_rate(self, epoch: int) -> float:
        """Falls with every epoch."""
        return self.lr * self.lr_decay**epoch


@options
class Aggregation(Checked):
    """`outer`: the optimizer that takes a step along the change that the mean makes. `outer_*`:
    ddp/aggregation/outer.py says which of them it reads.
    """

    PREFIX = "aggregation."

    name: str
    outer: str = one_of(OUTER)
    outer_lr: float = above(0)
    outer_beta1: float = number(least=0, below=1)
    outer_beta2: float = number(least=0, below=1)
    outer_tau: float = above(0)

    @property
    def by_loss(self) -> bool:
        """True if a worker counts by the loss of its state."""
        return False

    def check(self) -> None:
        if self.name == "ensemble" and self.outer != "none":
            raise ConfigError(
                "aggregation.outer", self.outer, "aggregation=ensemble averages no states: use none"
            )


@options
class LossAggregation(Aggregation):
    """A worker counts by the loss of its state."""

    @property
    def by_loss(self) -> bool:
        return True


@options
class SoftmaxAggregation(LossAggregation):
    """`temperature`: of softmax(-loss / temperature). A large one weighs all workers alike; one so
    small that a weight underflows to 0 ends the run.
    """

    temperature: float = above(0)


@options
class RowsAggregation(Aggregation):
    """`power`: a worker counts in a row by its number of ratings there to this power."""

    power: float = number(least=0)


# --- with advise=true ---


@options
class Simulate(Checked):
    """Another machine than this one. `cores`, `bandwidth` (of memory, GB/s): null: as here;
    `straggler`: how many times as long the slowest worker computes.
    """

    PREFIX = "simulate."

    cores: int | None = at_least(1, off=None)
    bandwidth: float | None = above(0, off=None)
    straggler: float = number(least=1, off=1.0)


Backend = SerialBackend | ThreadBackend | ProcessBackend | ShmBackend
TrainerOptions = AutogradTrainer | FusedTrainer

# Closed sets: group -> option -> its dataclass. conf/<group>/<option>.yaml holds the values.
OPTIONS: dict[str, dict[str, type]] = {
    "backend": {
        "serial": SerialBackend,
        "thread": ThreadBackend,
        "process": ProcessBackend,
        "shm": ShmBackend,
    },
    "data": {
        **dict.fromkeys(("ml100k", "ml1m", "ml_latest_small", "ml25m", "ml32m"), MovieLensData),
        "csv": CsvData,
        "synthetic": SyntheticData,
    },
    "split": {
        **dict.fromkeys(("iid", "user", "item", "time", "files", "stratified", "copies"), Split),
        "dirichlet": DirichletSplit,
    },
    "model": dict.fromkeys(("tiny", "small", "medium", "large"), Model),
    "trainer": {"autograd": AutogradTrainer, "fused": FusedTrainer},
    "aggregation": {
        "uniform": Aggregation,
        "samples": Aggregation,
        "inverse_loss": LossAggregation,
        "ensemble": Aggregation,
        "softmax_loss": SoftmaxAggregation,
        "rows": RowsAggregation,
    },
}
