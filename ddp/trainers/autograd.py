"""One local epoch through torch autograd and torch.optim: the ordinary way, and the one that shows
the GIL.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ddp.config.options import AutogradTrainer
from ddp.model.parameters import EMPTY_VECTOR, Rows, Vector
from ddp.model.torch_module import CollabFiltering
from ddp.ratings.arrays import Block, Part
from ddp.tracking.metrics import SquaredError, squared_error


class Autograd:
    """Mini-batches in a fresh random order each epoch; the optimiser keeps its state from round to
    round.
    """

    def __init__(self, options: AutogradTrainer, parameters: Rows, train: Part) -> None:
        self.model = CollabFiltering.over(parameters)
        self.batch_size = options.batch_size
        self.users, self.items, self.ratings = (
            torch.from_numpy(column) for column in (train.users, train.items, train.ratings)
        )
        tensors = list(self.model.parameters())
        self.optimizer: torch.optim.Optimizer
        if options.optimizer == "adam":
            self.optimizer = torch.optim.Adam(
                tensors, lr=options.lr, weight_decay=options.weight_decay, fused=True
            )
        else:
            self.optimizer = torch.optim.SGD(
                tensors, lr=options.lr, weight_decay=options.weight_decay, fused=True
            )

    def epoch(self, order: np.random.Generator) -> float:
        """Visits every rating once, in an order drawn from `order`; the mean squared error seen on
        the way.
        """
        permutation = torch.from_numpy(order.permutation(len(self.ratings)))
        # Gathered once, so that a batch is a slice.
        users, items, ratings = (
            self.users[permutation],
            self.items[permutation],
            self.ratings[permutation],
        )
        total = torch.zeros((), dtype=torch.float64)
        for start in range(0, len(ratings), self.batch_size):
            batch = slice(start, start + self.batch_size)
            self.optimizer.zero_grad(set_to_none=True)
            loss = functional.mse_loss(self.model(users[batch], items[batch]), ratings[batch])
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            total += loss.detach() * len(ratings[batch])
        return float(total) / len(ratings)

    def state(self) -> Vector:
        """Adam's number of steps, and its two moments of each parameter; of SGD nothing."""
        if not isinstance(self.optimizer, torch.optim.Adam):
            return EMPTY_VECTOR
        size = sum(parameter.numel() for parameter in self.model.parameters())
        state: Vector = np.zeros(1 + 2 * size, np.float32)
        for kept, views in self._adam_states(state):
            if kept:  # there is none before the first step
                state[0] = kept["step"]
                for name, view in views.items():
                    view[...] = kept[name].numpy()
        return state

    def load_state(self, state: Vector, num_epochs: int) -> None:
        """Continues with the moments in `state`."""
        if len(state) == 0 or state[0] == 0:
            return
        for kept, views in self._adam_states(state):
            kept["step"] = torch.tensor(state[0])
            kept |= {name: torch.from_numpy(view.copy()) for name, view in views.items()}

    def _adam_states(self, state: Vector) -> Iterator[tuple[dict[str, Tensor], dict[str, Vector]]]:
        """Of each parameter: what torch keeps, and where its two moments lie in `state`."""
        start = 1
        for parameter in self.model.parameters():
            views = {}
            for name in ("exp_avg", "exp_avg_sq"):
                views[name] = state[start : start + parameter.numel()].reshape(parameter.shape)
                start += parameter.numel()
            yield self.optimizer.state[parameter], views


class AutogradInBlocks:
    """A model and an optimizer for each block, so that its rows are all that a step changes."""

    def __init__(
        self, options: AutogradTrainer, parameters: Rows, train: Part, blocks: Sequence[Block]
    ) -> None:
        self.sizes = [block.train.stop - block.train.start for block in blocks]
        self.blocks = [
            Autograd(
                options,
                parameters.block(block.users, block.items),
                train.between(block.train).counted_from(block.users.start, block.items.start),
            )
            if size > 0
            else None
            for block, size in zip(blocks, self.sizes, strict=True)
        ]

    def state(self) -> Vector:
        """Those of the blocks one after another; a block without ratings has none."""
        states = [trainer.state() for trainer in self.blocks if trainer is not None]
        return np.concatenate([EMPTY_VECTOR, *states])

    def load_state(self, state: Vector, num_epochs: int) -> None:
        """Hands each block's trainer its part of `state`."""
        start = 0
        for trainer in self.blocks:
            if trainer is not None:
                length = len(trainer.state())
                trainer.load_state(state[start : start + length], num_epochs)
                start += length

    def turn(self, block: int, order: np.random.Generator) -> float:
        """Visits every rating of a block once, in an order drawn from `order`; the sum of the
        squared errors seen on the way.
        """
        trainer = self.blocks[block]
        return 0.0 if trainer is None else trainer.epoch(order) * self.sizes[block]


def evaluate(parameters: Rows, part: Part, rating_min: float, rating_max: float) -> SquaredError:
    """The squared error on a part, predictions clipped to the scale."""
    users, items = torch.from_numpy(part.users), torch.from_numpy(part.items)
    predictions = CollabFiltering.over(parameters).predict(users, items, rating_min, rating_max)
    return squared_error(predictions, part.ratings)
