"""The options of `aggregation`: the weight of each worker, and the step towards the mean."""

from ddp.config.checks import Checked, above, number, one_of, options
from ddp.errors import ConfigError

OUTER = ("none", "momentum", "nesterov", "adam")


@options
class Aggregation(Checked):
    """Any aggregation. Without more settings it is none, with which nothing is averaged."""

    PREFIX = "aggregation."

    name: str

    @property
    def by_loss(self) -> bool:
        """True if a worker's weight follows from the loss of its state."""
        return False


@options
class Averaging(Aggregation):
    """The settings of every other one; ddp/aggregation/outer.py reads the `outer_*`."""

    outer: str = one_of(OUTER)
    outer_lr: float = above(0)
    outer_beta1: float = number(least=0, below=1)
    outer_beta2: float = number(least=0, below=1)
    outer_tau: float = above(0)

    def check(self) -> None:
        if self.name == "ensemble" and self.outer != "none":
            raise ConfigError(
                "aggregation.outer", self.outer, "aggregation=ensemble averages no states: use none"
            )


@options
class LossAggregation(Averaging):
    """A worker's weight follows from the loss of its state."""

    @property
    def by_loss(self) -> bool:
        return True


@options
class SoftmaxAggregation(LossAggregation):
    """A worker's weight is softmax(-loss / temperature)."""

    temperature: float = above(0)


@options
class RowsAggregation(Averaging):
    """A worker's weight in a row is its number of training ratings there, to the power `power`."""

    power: float = number(least=0)
