"""One local epoch of plain SGD as one compiled loop: in place on the parameters, without the GIL,
without gradients in memory.
"""

from collections.abc import Sequence

import numpy as np

from ddp.config.options import FusedTrainer
from ddp.model.parameters import EMPTY_VECTOR, Parameters, Rows, Vector
from ddp.ratings.arrays import Block, IndexArray, Part
from ddp.tracking.metrics import SquaredError
from ddp.trainers.sgd import Columns, SeedArray, sgd, shuffle, squared_error
from ddp.trainers.visits import chunks_of, joined

NO_BIAS: Vector = np.zeros(0, np.float32)


class Fused:
    """SGD with L2 on `parameters`; the learning rate of a block is multiplied by `lr_decay` each
       time.

    `train` is one block of all users and items, unless there are `blocks`.
    """

    def __init__(
        self, options: FusedTrainer, parameters: Rows, train: Part, blocks: Sequence[Block] = ()
    ) -> None:
        everything = slice(0, len(train))
        users, items = slice(0, parameters.num_users), slice(0, parameters.num_items)
        whole = Block(
            users=users, items=items, train=everything, valid=slice(0, 0), test=slice(0, 0)
        )
        self.blocks = tuple(blocks) or (whole,)
        self.options = options
        self.lrs = np.full(len(self.blocks), options.lr)
        self.parameters = parameters
        self.model = _arrays(parameters)
        self.train = train
        chunks = []
        for block in self.blocks:
            part = train.between(block.train).counted_from(block.users.start, block.items.start)
            rows = parameters.block(block.users, block.items)
            check_indices(rows, part)
            chunks.append(
                chunks_of(part.users, part.items, rows.num_users, rows.num_items, parameters.dim)
            )
        self.chunks = joined(chunks, [block.train.start for block in self.blocks])
        # for those of a turn
        self.room = np.empty_like(self.chunks.starts), np.empty_like(self.chunks.stops)

    def epoch(self, order: np.random.Generator) -> float:
        """Visits every rating once, in an order drawn from `order`; the mean squared error seen on
        the way.
        """
        return self.turn(0, order) / len(self.train)

    def turn(self, block: int, order: np.random.Generator) -> float:
        """Visits every rating of a block once, in an order drawn from `order`; the sum of the
        squared errors seen on the way.
        """
        chunks = self.draw(block, order)
        total: float = sgd(
            *self.model,
            self.train.users,
            self.train.items,
            self.train.ratings,
            *chunks,
            *self.rates(block),
        )
        self.lrs[block] *= self.options.lr_decay
        return total

    def state(self) -> Vector:
        """Empty: plain SGD has none."""
        return EMPTY_VECTOR

    def load_state(self, state: Vector, num_epochs: int) -> None:
        """Goes on with the learning rate that comes after so many epochs."""
        # step by step, as it is while training: a power would differ in the last bit
        for _ in range(num_epochs):
            self.lrs *= self.options.lr_decay

    def draw(self, block: int, order: np.random.Generator) -> tuple[IndexArray, IndexArray]:
        """The chunks of a block in random order: where each starts and stops. They lie there until
        the next draw.
        """
        starts, stops = self.room
        count = shuffle(self.chunks, block, seeds(order, 1)[0], starts, stops)
        return starts[:count], stops[:count]

    def rates(self, block: int) -> tuple[np.float32, np.float32, np.float32]:
        """As the kernels take them."""
        return np.float32(self.lrs[block]), *self.regularization

    @property
    def regularization(self) -> tuple[np.float32, np.float32]:
        """Of factors and of biases."""
        return np.float32(self.options.reg_factors), np.float32(self.options.reg_biases)

    def next_lrs(self, number: int) -> Vector:
        """The learning rates of so many epochs, the same for all blocks, which then are done."""
        lrs: Vector = np.empty(number, np.float32)
        for epoch in range(number):
            lrs[epoch] = self.lrs[0]
            self.lrs *= self.options.lr_decay
        return lrs


def seeds(order: np.random.Generator, count: int) -> SeedArray:
    """Of so many turns: the same, however many are drawn at a time."""
    return order.integers(0, 1 << 64, count, np.uint64)


def evaluate(parameters: Rows, part: Part, rating_min: float, rating_max: float) -> SquaredError:
    """The squared error on a part, predictions clipped to the scale."""
    check_indices(parameters, part)
    columns = (part.users, part.items, part.ratings)
    total = squared_error(
        *_arrays(parameters), *columns, np.float32(rating_min), np.float32(rating_max)
    )
    return SquaredError(total, len(part))


def columns_of(part: Part, ranges: Sequence[slice]) -> Columns:
    """A part whose blocks are these ranges, as the kernels take it."""
    bounds: IndexArray = np.array([0, *(rows.stop for rows in ranges)], np.int64)
    views = part.users.view(), part.items.view(), part.ratings.view()
    for view in views:
        view.setflags(write=False)  # in a tuple numba wants the very type that the kernel names
    return Columns(*views, bounds)


def warm_up() -> None:
    """Calls the first kernels once: the first call of a process takes 20 to 30 ms. Forked copies of
    the process inherit that.
    """
    parameters = Parameters(1, 1, 1)
    one = Part(
        users=np.zeros(1, np.int32), items=np.zeros(1, np.int32), ratings=np.zeros(1, np.float32)
    )
    options = FusedTrainer(name="fused", lr=1.0, lr_decay=1.0, reg_factors=0.0, reg_biases=0.0)
    Fused(options, parameters, one).epoch(np.random.default_rng(0))
    evaluate(parameters, one, 0.0, 1.0)


def _arrays(parameters: Rows) -> tuple[Vector, Vector, Vector, Vector, Vector]:
    """The parameters as the kernels take them."""
    views = parameters.views
    biases = (views.get("user_bias", NO_BIAS), views.get("item_bias", NO_BIAS))
    return views["user_factors"], views["item_factors"], *biases, views["global_mean"]


def check_indices(parameters: Rows, part: Part) -> None:
    """Raises IndexError for a user or item that the model does not have: the kernels would write
    into foreign memory.
    """
    for kind, column, size in (
        ("user", part.users, parameters.num_users),
        ("item", part.items, parameters.num_items),
    ):
        if len(column) and not (column.min() >= 0 and column.max() < size):
            raise IndexError(
                f"{kind} {column.min()} or {column.max()} is out of range: the model has {size}"
                f" {kind}s"
            )
