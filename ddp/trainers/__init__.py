"""One local epoch of training: each module one way to do it, loaded only where it is used (fused needs no torch)."""

from dataclasses import replace
from typing import Protocol

import numpy as np

from ddp.metrics import SquaredError
from ddp.options import FusedTrainer, Trainer
from ddp.parameters import Rows
from ddp.ratings import Part


class Epochs(Protocol):
    """What a trainer does."""

    def epoch(self, order: np.random.Generator) -> float:
        """Visits every rating once, in an order drawn from `order`; the mean squared error seen on the way."""


def make_trainer(options: Trainer, parameters: Rows, train: Part) -> Epochs:
    """The trainer that `options` names, over `train`, changing `parameters` in place."""
    if isinstance(options, FusedTrainer):
        from ddp.trainers.fused import Fused

        return Fused(options, parameters, train)
    from ddp.trainers.autograd import Autograd

    return Autograd(options, parameters, train)


def for_blocks(options: Trainer, num_blocks: int) -> Trainer:
    """The options for training on one of `num_blocks` blocks after another, instead of on all items at once.

    A batch of a block has `num_blocks` times as many ratings of each of its rows, and a row is in so many times fewer batches:
    weight decay, which a row has once a batch, has to be so many times larger to weigh the same. (SGD per rating needs nothing.)
    """
    if isinstance(options, FusedTrainer):
        return options
    return replace(options, weight_decay=options.weight_decay * num_blocks)


def evaluate(options: Trainer, parameters: Rows, part: Part, rating_min: float, rating_max: float) -> SquaredError:
    """The squared error on a part, predictions clipped to the scale, computed the way that the trainer computes."""
    if isinstance(options, FusedTrainer):
        from ddp.trainers.fused import evaluate as evaluate_compiled

        return evaluate_compiled(parameters, part, rating_min, rating_max)
    from ddp.trainers.autograd import evaluate as evaluate_in_torch

    return evaluate_in_torch(parameters, part, rating_min, rating_max)


def arrange(options: Trainer, dim: int, part: Part, num_users: int, num_items: int, random: np.random.Generator) -> Part:
    """The training ratings of so many users and items in the order in which the trainer wants them to lie in memory."""
    if not isinstance(options, FusedTrainer):
        return part
    from ddp.trainers.visits import arrange as arrange_in_blocks

    order = arrange_in_blocks(part.users, part.items, num_users, num_items, dim, random)
    return part.take(order)


def set_threads(options: Trainer, number: int) -> None:
    """For a worker's process: how many threads one operation of torch may take. (A compiled kernel takes one.)"""
    if not isinstance(options, FusedTrainer):
        import torch

        torch.set_num_threads(number)


def compile_kernels(options: Trainer) -> None:
    """Compiles what the trainer needs, unless it lies in the cache on disk."""
    if isinstance(options, FusedTrainer):
        import ddp.trainers.fused  # noqa: F401


def warm_up(options: Trainer) -> None:
    """Loads what the first trainer of a process loads late: compiled kernels, or torch.optim's torch._dynamo (1 to 2 s)."""
    if isinstance(options, FusedTrainer):
        from ddp.trainers import fused

        fused.warm_up()
    else:
        import torch

        torch.optim.SGD([torch.zeros(1)], lr=1.0)
