"""The interface of a trainer, the loops that most trainers have, and the registry of all trainers.

| call | split | the trainer does |
| --- | --- | --- |
| `epochs` | all but the others | the next local epochs; it keeps the best state |
| `turns` | stratified | the next local epochs, one block of ratings after another |
| `sweeps` | both | the next local epochs, each half in step with all others (sweeper.py) |

The loops here are Python and call `turn`, which trains one epoch on one block. A compiled trainer
overrides them: one of its calls trains several epochs without the GIL.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from dataclasses import KW_ONLY, dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ddp.config.trainer import TrainerOptions
from ddp.errors import LateRows
from ddp.model.parameters import EMPTY_VECTOR, Parameters, Rows, Vector
from ddp.ratings.arrays import Block, IndexArray, IntArray, Part
from ddp.timing.spans import Spans
from ddp.tracking.metrics import SquaredError

if TYPE_CHECKING:
    from ddp.machine.compiled.gates import Gates

Scale = tuple[float, float]  # the least and the greatest rating; predictions are clipped to them
UNBOUNDED: Scale = (-math.inf, math.inf)

# Trainer -> module and class. A module imports torch or numba, so a worker process loads only the
# one that it needs.
TRAINERS = {
    "autograd": ("ddp.trainers.autograd", "Autograd"),
    "fused": ("ddp.trainers.fused", "Fused"),
    "gibbs": ("ddp.trainers.sweeper", "Sweeper"),
    "als": ("ddp.trainers.sweeper", "Sweeper"),
}


@dataclass(slots=True)
class Best:
    """The best state of a round so far, with its RMSE on the held-out part.

    `epoch`: the local epoch of the state; None as long as the round has kept no state.
    """

    parameters: Parameters
    rmse: float = math.inf
    epoch: int | None = None

    @property
    def vector(self) -> Vector:
        """The state, float32 (num_floats,)."""
        return self.parameters.vector

    def forget(self) -> None:
        """Begins a new round, which has kept no state yet."""
        self.rmse, self.epoch = math.inf, None

    def keep(self, vector: Vector, epoch: int, rmse: float = math.inf) -> None:
        """Copies `vector`, the state after this local epoch, as the best so far."""
        np.copyto(self.parameters.vector, vector)
        self.rmse, self.epoch = rmse, epoch


@dataclass(frozen=True, slots=True)
class TurnErrors:
    """The squared errors of some epochs: `train` by epoch, `held_out` by held-out part.

    A trainer evaluates only in the last epoch of a round: each block at the end of its turn.
    """

    train: list[SquaredError]
    held_out: list[SquaredError] = field(default_factory=list)


class Turns(Protocol):
    """The turns of a worker: it takes the rows of each turn, and hands them on after it.

    `gates`: the counters on which workers with shared memory wait; None: they share no memory.
    """

    gates: "Gates | None"
    timeout_s: float

    def block(self, turn: int) -> int:
        """The index of the block of this turn."""

    def take(self, turn: int) -> None:
        """Waits for the rows of the turn. Raises LateRows after `timeout_s` seconds."""

    def hand_on(self, turn: int) -> None:
        """Passes the rows of the turn to the worker that holds them next."""

    def waited(self, turn: int, seconds: float) -> None:
        """Notes that the worker has waited `seconds` for the rows of the turn."""

    def late(self, turn: int) -> LateRows:
        """The error for rows that did not come in time."""


class AnyTrainer(ABC):
    """The part of a trainer that needs no ratings to train on."""

    @staticmethod
    @abstractmethod
    def evaluate(parameters: Rows, part: Part, scale: Scale) -> SquaredError:
        """The squared error of the predictions for a part, clipped to `scale`.

        Each trainer predicts with its own arithmetic.
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
        """The fastest order of the training ratings, int64 (n,); None if any order will do."""
        return None

    @staticmethod  # noqa: B027  # optional
    def set_threads(number: int) -> None:
        """Sets the number of threads for one operation of this process."""

    @staticmethod
    def num_threads() -> int | None:
        """The number that `set_threads` has set; None: its operations are not torch's."""
        return None

    @staticmethod  # noqa: B027  # optional
    def warm_up() -> None:
        """Does the work that the first use of the trainer in a process costs, ahead of that use."""


@dataclass(eq=False, repr=False)
class Trainer(AnyTrainer):
    """Trains `parameters` in place, on the ratings of one worker.

    | field | meaning |
    |---|---|
    | `held_out` | for `epochs` the part that selects the best state, an empty one if none does; |
    |            | for `turns` validation and test |
    | `blocks` | users, items and ratings to train on in turn; if empty, all ratings are one block |
    | `scale` | the trainer clips predictions to it |

    A subclass narrows the type of `options`, and sets its own attributes in `__post_init__`.
    """

    options: TrainerOptions
    parameters: Parameters
    train: Part
    _: KW_ONLY
    held_out: Sequence[Part] = ()
    blocks: Sequence[Block] = ()
    scale: Scale = UNBOUNDED

    def __post_init__(self) -> None:
        everything = Block(
            users=slice(0, self.parameters.num_users),
            items=slice(0, self.parameters.num_items),
            train=slice(0, len(self.train)),
            valid=slice(0, sum(map(len, self.held_out[:1]))),
            test=slice(0, 0),
        )
        self.blocks = self.blocks or (everything,)

    @abstractmethod
    def turn(self, block: int, order: np.random.Generator) -> float:
        """Trains one epoch on a block: one visit of each rating, in an order drawn from `order`.

        Returns the sum of the squared errors of all steps.
        """

    def epoch(self, order: np.random.Generator) -> float:
        """Trains one epoch on all ratings. Returns the mean squared error of all steps."""
        return self.turn(0, order) / len(self.train)

    def epochs(
        self, epochs: range, order: np.random.Generator, best: Best, spans: Spans
    ) -> list[float]:
        """Trains at least the first of these local epochs.

        After an epoch it copies the state to `best` if its RMSE on the held-out part is the lowest
        so far. Returns the mean squared error of each epoch that it trained.
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
        """Trains at least the first epoch of these turns, which are the rest of a round.

        An epoch has a turn for each block. The trainer yields before it waits for the rows of a
        turn. After each turn but the last of the round it passes the rows on.
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
                break  # training has diverged: the worker will end
            if epoch == turns:
                with spans("evaluate"):
                    for n, own in enumerate((block.valid, block.test)):
                        part = self.held_out[n].between(own)
                        held_out[n] += self.evaluate(self.parameters, part, self.scale)
            if turn != turns[-1]:
                rows.hand_on(turn)
        return TurnErrors([train], held_out)

    def state(self) -> Vector:
        """The trainer state after an epoch, a new float32 (n,); `options.state_length` gives n."""
        return EMPTY_VECTOR

    @abstractmethod
    def load_state(self, state: Vector, num_epochs: int) -> None:
        """Continues after `num_epochs` epochs with this trainer state; empty: the initial one."""


def trainer_for(options: TrainerOptions) -> type[AnyTrainer]:
    """The trainer class for `options`. Its import loads torch, or compiles uncached kernels."""
    module, name = TRAINERS[options.name]
    found: type[AnyTrainer] = getattr(import_module(module), name)
    return found


def stepping_trainer(options: TrainerOptions) -> type[Trainer]:
    """The same for a trainer that has `epochs` and `turns`."""
    found = trainer_for(options)
    assert issubclass(found, Trainer)
    return found
