"""Local epochs: in torch (autograd), or compiled (fused; several at once: in_turns, selecting).
Each is loaded only where it is used: fused needs no torch.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ddp.config.options import AutogradTrainer, FusedTrainer, Trainer
from ddp.model.parameters import Rows, Vector
from ddp.ratings.arrays import Block, IndexArray, IntArray, Part
from ddp.tracking.metrics import SquaredError

if TYPE_CHECKING:
    from ddp.machine.compiled.gates import Gates
    from ddp.trainers.epochs import InTurns, Selecting


class Trains(Protocol):
    """What trainers of both kinds do so that a run can go on from where it was."""

    def state(self) -> Vector:
        """The state that the trainer keeps from epoch to epoch, besides the number of epochs; float32
        (`state_length`,).
        """

    def load_state(self, state: Vector, num_epochs: int) -> None:
        """Continues like a trainer that had this state after `num_epochs` epochs; an empty state is
        that of a new trainer.
        """


class Epochs(Trains, Protocol):
    """What a trainer does."""

    def epoch(self, order: np.random.Generator) -> float:
        """Visits every rating once, in an order drawn from `order`; the mean squared error seen on
        the way.
        """


class Turns(Trains, Protocol):
    """What a trainer of blocks does."""

    def turn(self, block: int, order: np.random.Generator) -> float:
        """Visits every rating of a block once, in an order drawn from `order`; the sum of the
        squared errors seen on the way.
        """


def make_trainer(options: Trainer, parameters: Rows, train: Part) -> Epochs:
    """The trainer that `options` names, over `train`, changing `parameters` in place."""
    if isinstance(options, FusedTrainer):
        from ddp.trainers.fused import Fused

        return Fused(options, parameters, train)
    from ddp.trainers.autograd import Autograd

    return Autograd(options, parameters, train)


def make_block_trainer(
    options: Trainer, parameters: Rows, train: Part, blocks: Sequence[Block]
) -> Turns:
    """The same, for one block of `train` at a time."""
    if isinstance(options, FusedTrainer):
        from ddp.trainers.fused import Fused

        return Fused(options, parameters, train, blocks)
    from ddp.trainers.autograd import AutogradInBlocks

    return AutogradInBlocks(for_blocks(options, len(blocks)), parameters, train, blocks)


def state_length(options: Trainer, sizes: Sequence[int]) -> int:
    """Floats of a trainer's state. `sizes`: of the parameters of each block, of the only one if
       there are none.

    Adam keeps two moments of each parameter, and how many steps it has made.
    """
    return (
        0
        if isinstance(options, FusedTrainer) or options.optimizer == "sgd"
        else sum(2 * size + 1 for size in sizes)
    )


def learning_rate(options: Trainer, epoch: int) -> float:
    """That of an epoch, counted from the beginning of the run."""
    return options.lr * options.lr_decay**epoch if isinstance(options, FusedTrainer) else options.lr


def for_blocks(options: AutogradTrainer, num_blocks: int) -> AutogradTrainer:
    """The options for training on one of `num_blocks` blocks after another, instead of on all items
       at once.

    A batch of a block has `num_blocks` times as many ratings of each of its rows, and a row is in
    so many times fewer batches: weight decay, which a row has once a batch, has to be so many times
    larger to weigh the same. (SGD per rating needs nothing.)
    """
    return replace(options, weight_decay=options.weight_decay * num_blocks)


def make_turns(
    options: Trainer,
    trainer: Turns,
    gates: "Gates | None",
    valid: Part,
    test: Part,
    scale: tuple[float, float],
) -> "InTurns | None":
    """The turns of an epoch as one compiled loop, if the trainer is compiled and the workers have
    gates between them.
    """
    if gates is None or not isinstance(options, FusedTrainer):
        return None
    from ddp.trainers.epochs import InTurns
    from ddp.trainers.fused import Fused

    assert isinstance(trainer, Fused)
    return InTurns(trainer, gates, valid, test, scale)


def make_selecting(
    options: Trainer, trainer: Epochs, vector: Vector, held_out: Part, scale: tuple[float, float]
) -> "Selecting | None":
    """The epochs of a round as one compiled loop, if the trainer is compiled. `vector`: of the
    parameters that it trains.
    """
    if not isinstance(options, FusedTrainer):
        return None
    from ddp.trainers.epochs import Selecting
    from ddp.trainers.fused import Fused

    assert isinstance(trainer, Fused)
    return Selecting(trainer, vector, held_out, scale)


def evaluate(
    options: Trainer, parameters: Rows, part: Part, rating_min: float, rating_max: float
) -> SquaredError:
    """The squared error on a part, predictions clipped to the scale, computed the way that the
    trainer computes.
    """
    if isinstance(options, FusedTrainer):
        from ddp.trainers.fused import evaluate as evaluate_compiled

        return evaluate_compiled(parameters, part, rating_min, rating_max)
    from ddp.trainers.autograd import evaluate as evaluate_in_torch

    return evaluate_in_torch(parameters, part, rating_min, rating_max)


def arrange(
    options: Trainer,
    users: IntArray,
    items: IntArray,
    num_users: int,
    num_items: int,
    dim: int,
    random: np.random.Generator,
) -> IndexArray | None:
    """The permutation (n,) that brings training ratings into the order in which the trainer wants
    them to lie in memory; None: they may lie as they are.
    """
    if not isinstance(options, FusedTrainer):
        return None
    from ddp.trainers.visits import arrange as arrange_in_cells

    return arrange_in_cells(users, items, num_users, num_items, dim, random)


def set_threads(options: Trainer, number: int) -> None:
    """For a worker's process: how many threads one operation of torch may take. (A compiled kernel
    takes one.)
    """
    if not isinstance(options, FusedTrainer):
        import torch

        torch.set_num_threads(number)


def compile_kernels(options: Trainer) -> None:
    """Compiles what the trainer needs, unless it lies in the cache on disk."""
    if isinstance(options, FusedTrainer):
        import ddp.trainers.fused  # noqa: F401


def warm_up(options: Trainer) -> None:
    """Loads what the first trainer of a process loads late: compiled kernels, or torch.optim's
    torch._dynamo (1 to 2 s).
    """
    if isinstance(options, FusedTrainer):
        from ddp.trainers import fused

        fused.warm_up()
    else:
        import torch

        torch.optim.SGD([torch.zeros(1)], lr=1.0)
