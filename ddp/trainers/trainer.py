"""The interface of a trainer, with the loops that every trainer has, and the registry of all
trainers.

| call | split | the trainer does |
| --- | --- | --- |
| `epochs` | all but stratified | the next local epochs; it keeps the best state |
| `turns` | stratified | the next local epochs, one block of ratings after another |

Both loops stand here in Python, over `turn`: one epoch on one block. A compiled trainer overrides
them, so that one call does several epochs without the GIL.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ddp.config.options import TrainerOptions
from ddp.errors import LateRows
from ddp.model.parameters import EMPTY_VECTOR, Parameters, Rows, Vector
from ddp.ratings.arrays import Block, IndexArray, IntArray, Part
from ddp.timing.spans import Spans
from ddp.tracking.metrics import SquaredError

if TYPE_CHECKING:
    from ddp.machine.compiled.gates import Gates

Scale = tuple[float, float]  # the least and the greatest rating; predictions are clipped to them
UNBOUNDED: Scale = (-math.inf, math.inf)

# trainer -> its module and its class there. A module imports torch or numba, so that it is loaded
# only where a run needs it.
TRAINERS = {
    "autograd": ("ddp.trainers.autograd", "Autograd"),
    "fused": ("ddp.trainers.fused", "Fused"),
}


@dataclass(slots=True)
class Best:
    """The best state of a round so far, its RMSE on the held-out part, and the local epoch after
    which it was there; None: no epoch was better than `rmse` yet.
    """

    parameters: Parameters
    rmse: float = math.inf
    epoch: int | None = None

    @property
    def vector(self) -> Vector:
        """The state, float32 (num_floats,)."""
        return self.parameters.vector

    def forget(self) -> None:
        """A new round begins: any state will be better."""
        self.rmse, self.epoch = math.inf, None

    def keep(self, vector: Vector, epoch: int, rmse: float = math.inf) -> None:
        """Copies the state after this epoch: it is the best so far."""
        np.copyto(self.parameters.vector, vector)
        self.rmse, self.epoch = rmse, epoch


@dataclass(frozen=True, slots=True)
class TurnErrors:
    """Of some epochs: the errors seen while training, by epoch; and those on each held-out part,
    which a trainer takes in the last epoch of a round only, each block's at the end of its turn.
    """

    train: list[SquaredError]
    held_out: list[SquaredError] = field(default_factory=list)


class Turns(Protocol):
    """The way in which a worker comes to the rows of a turn, and passes them on.

    `gates`: where workers share memory, the counters by which they wait for each other.
    """

    gates: "Gates | None"
    timeout_s: float

    def block(self, turn: int) -> int:
        """The index of the block of this turn."""

    def take(self, turn: int) -> None:
        """Waits for the rows of the turn. Raises LateRows after `timeout_s`."""

    def hand_on(self, turn: int) -> None:
        """Passes the rows of the turn to the worker that holds them next."""

    def waited(self, turn: int, seconds: float) -> None:
        """Notes that the worker has waited so long for the rows of the turn."""

    def late(self, turn: int) -> LateRows:
        """The error for rows that did not come in time."""


class Trainer(ABC):
    """Trains `parameters` in place, on the ratings of one worker.

    `blocks`: ranges of users and items whose ratings are trained on in turn; without them all
    ratings are one block. `held_out`: the parts to evaluate on; for `epochs` the one that chooses
    the best state (empty: none does), for `turns` validation and test. `scale`: clips predictions.
    """

    def __init__(
        self,
        options: TrainerOptions,
        parameters: Parameters,
        train: Part,
        *,
        held_out: Sequence[Part] = (),
        blocks: Sequence[Block] = (),
        scale: Scale = UNBOUNDED,
    ) -> None:
        everything = Block(
            users=slice(0, parameters.num_users),
            items=slice(0, parameters.num_items),
            train=slice(0, len(train)),
            valid=slice(0, sum(map(len, held_out[:1]))),
            test=slice(0, 0),
        )
        self.parameters = parameters
        self.train = train
        self.held_out = held_out
        self.blocks = tuple(blocks) or (everything,)
        self.scale = scale

    @abstractmethod
    def turn(self, block: int, order: np.random.Generator) -> float:
        """Visits every rating of a block once, in an order drawn from `order`. Gives the sum of the
        squared errors seen on the way.
        """

    def epoch(self, order: np.random.Generator) -> float:
        """Visits every rating once, in an order drawn from `order`. Gives the mean squared error
        seen on the way.
        """
        return self.turn(0, order) / len(self.train)

    def epochs(
        self, epochs: range, order: np.random.Generator, best: Best, spans: Spans
    ) -> list[float]:
        """Trains at least the first of these local epochs; keeps in `best` each state whose RMSE on
        the held-out part is below all before. Gives the mean squared error of each epoch done.
        """
        with spans("compute"):
            loss = self.epoch(order)
        if len(self.held_out[0]) and math.isfinite(loss):
            with spans("evaluate"):
                rmse = self.evaluate(self.parameters, self.held_out[0], self.scale).rmse
                if rmse < best.rmse:
                    with spans("copy"):
                        best.keep(self.parameters.vector, epochs[0], rmse)
        return [loss]

    def turns(
        self, turns: range, order: np.random.Generator, rows: Turns, spans: Spans
    ) -> Generator[None, None, TurnErrors]:
        """Trains at least the first epoch of these turns, which are the rest of a round; every
        epoch has a turn for each block. Passes the rows of each turn on, but those of the last turn
        of the round. Yields before it waits.
        """
        epoch = turns[: len(self.blocks)]
        train, held_out = SquaredError(), [SquaredError() for _ in self.held_out]
        for turn in epoch:
            block = self.blocks[rows.block(turn)]
            waited_s = spans.so_far("wait")
            with spans("wait"):
                yield
                rows.take(turn)
            rows.waited(turn, spans.so_far("wait") - waited_s)
            with spans("compute"):
                total = self.turn(rows.block(turn), order)
                train += SquaredError(total, block.train.stop - block.train.start)
            if turn == epoch[-1] and not math.isfinite(train.total):
                break  # the worker ends here
            if epoch == turns:
                with spans("evaluate"):
                    for n, own in enumerate((block.valid, block.test)):
                        part = self.held_out[n].between(own)
                        held_out[n] += self.evaluate(self.parameters, part, self.scale)
            if turn != turns[-1]:
                rows.hand_on(turn)
        return TurnErrors([train], held_out)

    def state(self) -> Vector:
        """The state that the trainer keeps from epoch to epoch, besides the number of epochs:
        float32 (`options.state_length`,).
        """
        return EMPTY_VECTOR

    @abstractmethod
    def load_state(self, state: Vector, num_epochs: int) -> None:
        """Continues like a trainer that had this state after `num_epochs` epochs; an empty state is
        that of a new trainer.
        """

    @staticmethod
    @abstractmethod
    def evaluate(parameters: Rows, part: Part, scale: Scale) -> SquaredError:
        """The squared error on a part, computed the way that the trainer computes; predictions are
        clipped to the scale.
        """

    @staticmethod
    def arrange(
        users: IntArray,
        items: IntArray,
        num_users: int,
        num_items: int,
        dim: int,
        random: np.random.Generator,
    ) -> IndexArray | None:
        """The permutation (n,) that brings training ratings into the order in which the trainer
        wants them to lie in memory; None: they may lie as they are.
        """
        return None

    @staticmethod  # noqa: B027  # most trainers need nothing here
    def set_threads(number: int) -> None:
        """Says how many threads one operation of this process may take."""

    @staticmethod  # noqa: B027  # most trainers need nothing here
    def warm_up() -> None:
        """Loads what the first use of the trainer in a process would load late."""


def trainer_for(options: TrainerOptions) -> type[Trainer]:
    """The class of the trainer that the options are for. Its module is loaded here: that imports
    torch, or compiles kernels unless they lie in the cache on disk.
    """
    module, name = TRAINERS[options.name]
    found: type[Trainer] = getattr(import_module(module), name)
    return found


def arrange(
    options: TrainerOptions,
    users: IntArray,
    items: IntArray,
    num_users: int,
    num_items: int,
    dim: int,
    random: np.random.Generator,
) -> IndexArray | None:
    """`Trainer.arrange` of a compiled trainer. Any other trainer takes the ratings as they lie, and
    is not loaded for that: torch would take seconds.
    """
    if not options.compiled:
        return None
    return trainer_for(options).arrange(users, items, num_users, num_items, dim, random)
