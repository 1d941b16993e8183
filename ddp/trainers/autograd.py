"""The ordinary trainer: mini-batches through torch autograd and torch.optim.

Its steps run Python code, so workers on threads wait for the GIL.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ddp.config.trainer import AutogradTrainer
from ddp.model.parameters import EMPTY_VECTOR, Rows, Vector
from ddp.model.torch_module import CollabFiltering
from ddp.ratings.arrays import Part
from ddp.tracking.metrics import SquaredError, squared_error
from ddp.trainers.trainer import Scale, Trainer


class Autograd(Trainer):
    """Trains on mini-batches, in a new random order in each epoch.

    Each block has a model and an optimizer of its own, so a step changes only rows of its block.
    With n blocks, weight decay is n times as large: a step decays each row of its block once, and a
    row takes part in n times fewer steps than if all ratings were one block.
    """

    options: AutogradTrainer

    def __post_init__(self) -> None:
        super().__post_init__()
        weight_decay = self.options.weight_decay * len(self.blocks)
        self._batches = [
            _Batches(
                self.options,
                weight_decay,
                self.parameters.block(block.users, block.items),
                self.train.between(block.train).counted_from(block.users.start, block.items.start),
            )
            for block in self.blocks
        ]

    def turn(self, block: int, order: np.random.Generator) -> float:
        """Trains one epoch on a block; a block without ratings has no steps."""
        return self._batches[block].epoch(order)

    def state(self) -> Vector:
        """The states of the blocks' optimizers, one after another."""
        return np.concatenate([batches.state() for batches in self._batches])

    def load_state(self, state: Vector, num_epochs: int) -> None:
        """Gives each optimizer its part of `state`."""
        start = 0
        for batches in self._batches if len(state) else ():
            batches.load_state(state[start : start + batches.state_length])
            start += batches.state_length

    @staticmethod
    def evaluate(parameters: Rows, part: Part, scale: Scale) -> SquaredError:
        """Predicts with torch, at most EVALUATION_CHUNK ratings at a time."""
        users, items = torch.from_numpy(part.users), torch.from_numpy(part.items)
        predictions = CollabFiltering.over(parameters).predict(users, items, *scale)
        return squared_error(predictions, part.ratings)

    @staticmethod
    def set_threads(number: int) -> None:
        """Sets the number of threads of one torch operation."""
        torch.set_num_threads(number)

    @staticmethod
    def num_threads() -> int | None:
        """The number of threads of one torch operation."""
        return torch.get_num_threads()

    @staticmethod
    def warm_up() -> None:
        """Makes an optimizer: the first one imports torch._dynamo, which takes 1 to 2 s."""
        torch.optim.SGD([torch.zeros(1)], lr=1.0)


class _Batches:
    """The model of a block, its optimizer and its ratings."""

    def __init__(
        self, options: AutogradTrainer, weight_decay: float, rows: Rows, train: Part
    ) -> None:
        self.model = CollabFiltering.over(rows)
        self.batch_size = options.batch_size
        self.users, self.items, self.ratings = (
            torch.from_numpy(column) for column in (train.users, train.items, train.ratings)
        )
        self.learned = list(self.model.parameters())
        sizes = [sum(parameter.numel() for parameter in self.learned)]
        self.state_length = options.state_length(sizes) if len(train) else 0
        optimizer: Callable[..., torch.optim.Optimizer] = (
            torch.optim.Adam if options.optimizer == "adam" else torch.optim.SGD
        )
        self.optimizer = optimizer(
            self.learned, lr=options.lr, weight_decay=weight_decay, fused=True
        )

    def epoch(self, order: np.random.Generator) -> float:
        """Trains one epoch; returns the sum of the squared errors of its steps."""
        if len(self.ratings) == 0:
            return 0.0
        permutation = torch.from_numpy(order.permutation(len(self.ratings)))
        # One gather per epoch: each batch is then a slice.
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
        return float(total)

    def state(self) -> Vector:
        """Adam's number of steps, then its two moments of each parameter; SGD has no state."""
        if self.state_length == 0:
            return EMPTY_VECTOR
        state: Vector = np.zeros(self.state_length, np.float32)
        for kept, views in self._adam_states(state):
            if kept:  # torch makes it in the first step
                state[0] = kept["step"]
                for name, view in views.items():
                    view[...] = kept[name].numpy()
        return state

    def load_state(self, state: Vector) -> None:
        """Continues with this state of the optimizer."""
        if self.state_length == 0 or state[0] == 0:
            return
        for kept, views in self._adam_states(state):
            kept["step"] = torch.tensor(state[0])
            kept |= {name: torch.from_numpy(view.copy()) for name, view in views.items()}

    def _adam_states(self, state: Vector) -> Iterator[tuple[dict[str, Tensor], dict[str, Vector]]]:
        """For each parameter: torch's state, and views of its two moments in `state`."""
        start = 1
        for parameter in self.learned:
            views = {}
            for name in ("exp_avg", "exp_avg_sq"):
                views[name] = state[start : start + parameter.numel()].reshape(parameter.shape)
                start += parameter.numel()
            yield self.optimizer.state[parameter], views
