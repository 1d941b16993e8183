"""One local epoch of plain SGD as one compiled loop: in place on the parameters, without the GIL, without gradients in memory."""

import numpy as np

from ddp.metrics import SquaredError
from ddp.options import FusedTrainer
from ddp.parameters import Parameters, Rows, Vector
from ddp.ratings import Part
from ddp.trainers.kernels import sgd, squared_error
from ddp.trainers.visits import Visits

NO_BIAS: Vector = np.zeros(0, np.float32)


class Fused:
    """SGD with L2 on `parameters`, whose learning rate is multiplied by `lr_decay` after each epoch."""

    def __init__(self, options: FusedTrainer, parameters: Rows, train: Part) -> None:
        _check_indices(parameters, train)
        self.options = options
        self.lr = options.lr
        self.model = _arrays(parameters)
        self.train = train
        self.visits = Visits(train.users, train.items, parameters.num_users, parameters.num_items, parameters.dim)

    def epoch(self, order: np.random.Generator) -> float:
        """Visits every rating once, in an order drawn from `order`; the mean squared error seen on the way."""
        starts, stops = self.visits.shuffled(order)
        ratings = (self.train.users, self.train.items, self.train.ratings)
        rates = (np.float32(self.lr), np.float32(self.options.reg_factors), np.float32(self.options.reg_biases))
        total = sgd(*self.model, *ratings, starts, stops, *rates)
        self.lr *= self.options.lr_decay
        return total / len(self.train)


def evaluate(parameters: Rows, part: Part, rating_min: float, rating_max: float) -> SquaredError:
    """The squared error on a part, predictions clipped to the scale."""
    _check_indices(parameters, part)
    columns = (part.users, part.items, part.ratings)
    total = squared_error(*_arrays(parameters), *columns, np.float32(rating_min), np.float32(rating_max))
    return SquaredError(total, len(part))


def warm_up() -> None:
    """Calls each kernel once: the first call of a process takes 20 to 30 ms. Forked copies of the process inherit that."""
    parameters = Parameters(1, 1, 1)
    one = Part(users=np.zeros(1, np.int32), items=np.zeros(1, np.int32), ratings=np.zeros(1, np.float32))
    options = FusedTrainer(name="fused", lr=1.0, lr_decay=1.0, reg_factors=0.0, reg_biases=0.0)
    Fused(options, parameters, one).epoch(np.random.default_rng(0))
    evaluate(parameters, one, 0.0, 1.0)


def _arrays(parameters: Rows) -> tuple[Vector, Vector, Vector, Vector, Vector]:
    """The parameters as the kernels take them."""
    views = parameters.views
    biases = (views.get("user_bias", NO_BIAS), views.get("item_bias", NO_BIAS))
    return views["user_factors"], views["item_factors"], *biases, views["global_mean"]


def _check_indices(parameters: Rows, part: Part) -> None:
    """Raises IndexError for a user or item that the model does not have: the kernels would write into foreign memory."""
    for kind, column, size in (("user", part.users, parameters.num_users), ("item", part.items, parameters.num_items)):
        if len(column) and not (column.min() >= 0 and column.max() < size):
            raise IndexError(f"{kind} {column.min()} or {column.max()} is out of range: the model has {size} {kind}s")
