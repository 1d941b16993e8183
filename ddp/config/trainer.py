"""The options of `trainer`: the computation of a local epoch."""

import math
from collections.abc import Sequence
from typing import ClassVar

from ddp.config.checks import Checked, above, at_least, number, one_of, options

OPTIMIZERS = ("adam", "sgd")
NOISES = ("rows", "common")
IMPLICIT = ("both", "user", "item", "none")


@options
class TrainerBase(Checked):
    """The settings that every trainer has."""

    PREFIX = "trainer."
    compiled: ClassVar[bool] = False  # True: epochs run as compiled code, without the GIL
    uses_features: ClassVar[bool] = False  # True: attributes of users and items enter the model
    sweeps: ClassVar[bool] = False  # True: an epoch makes all users anew, and then all items
    samples: ClassVar[bool] = False  # True: a state is a sample, and the run gives their mean

    name: str

    def learning_rate(self, epoch: int) -> float:
        """The learning rate of an epoch, which counts from the beginning of the run; NaN: none."""
        return math.nan

    def state_length(self, sizes: Sequence[int]) -> int:
        """The number of floats in the trainer state. `sizes`: the parameters of each block."""
        return 0


@options
class SteppingTrainer(TrainerBase):
    """The settings of a trainer that goes down a gradient step by step."""

    lr: float = above(0)

    def learning_rate(self, epoch: int) -> float:
        return self.lr


@options
class AutogradTrainer(SteppingTrainer):
    """Mini-batches through torch autograd and torch.optim."""

    optimizer: str = one_of(OPTIMIZERS)
    weight_decay: float = number(least=0)
    batch_size: int = at_least(1)

    def state_length(self, sizes: Sequence[int]) -> int:
        """Adam keeps two moments of each parameter, and its number of steps in each block."""
        return 0 if self.optimizer == "sgd" else sum(2 * size + 1 for size in sizes)


@options
class FusedTrainer(SteppingTrainer):
    """Plain SGD in place, as one compiled loop."""

    compiled = True

    lr_decay: float = above(0)
    reg_factors: float = number(least=0)
    reg_biases: float = number(least=0)

    def learning_rate(self, epoch: int) -> float:
        """Each epoch multiplies `lr` by `lr_decay`."""
        return self.lr * self.lr_decay**epoch


@options
class SweepingTrainer(TrainerBase):
    """Makes all users anew in an epoch, and then all items, as compiled code."""

    compiled = True
    sweeps = True


@options
class GibbsTrainer(SweepingTrainer):
    """Draws each row from its distribution, given all other rows: a Markov chain of models."""

    samples = True

    uses_features = True

    burn_in: int = at_least(0)
    keep_samples: int = at_least(1)
    implicit: str = one_of(IMPLICIT)
    noise: str = one_of(NOISES)


@options
class AlsTrainer(SweepingTrainer):
    """Solves for each row, given all other rows."""

    reg: float = above(0)


TrainerOptions = AutogradTrainer | FusedTrainer | GibbsTrainer | AlsTrainer
