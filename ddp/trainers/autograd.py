"""One local epoch through torch autograd and torch.optim: the ordinary way, and the one that shows the GIL."""

import numpy as np
import torch
from torch.nn import functional

from ddp.metrics import SquaredError, squared_error
from ddp.model import CollabFiltering
from ddp.options import AutogradTrainer
from ddp.parameters import Rows
from ddp.ratings import Part


class Autograd:
    """Mini-batches in a fresh random order each epoch; the optimiser keeps its state from round to round."""

    def __init__(self, options: AutogradTrainer, parameters: Rows, train: Part) -> None:
        self.model = CollabFiltering.over(parameters)
        self.batch_size = options.batch_size
        self.users, self.items, self.ratings = (torch.from_numpy(column) for column in (train.users, train.items, train.ratings))
        tensors = list(self.model.parameters())
        self.optimizer: torch.optim.Optimizer
        if options.optimizer == "adam":
            self.optimizer = torch.optim.Adam(tensors, lr=options.lr, weight_decay=options.weight_decay, fused=True)
        else:
            self.optimizer = torch.optim.SGD(tensors, lr=options.lr, weight_decay=options.weight_decay, fused=True)

    def epoch(self, order: np.random.Generator) -> float:
        """Visits every rating once, in an order drawn from `order`; the mean squared error seen on the way."""
        permutation = torch.from_numpy(order.permutation(len(self.ratings)))
        # Gathered once, so that a batch is a slice.
        users, items, ratings = self.users[permutation], self.items[permutation], self.ratings[permutation]
        total = torch.zeros((), dtype=torch.float64)
        for start in range(0, len(ratings), self.batch_size):
            batch = slice(start, start + self.batch_size)
            self.optimizer.zero_grad(set_to_none=True)
            loss = functional.mse_loss(self.model(users[batch], items[batch]), ratings[batch])
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            total += loss.detach() * len(ratings[batch])
        return float(total) / len(ratings)


def evaluate(parameters: Rows, part: Part, rating_min: float, rating_max: float) -> SquaredError:
    """The squared error on a part, predictions clipped to the scale."""
    users, items = torch.from_numpy(part.users), torch.from_numpy(part.items)
    predictions = CollabFiltering.over(parameters).predict(users, items, rating_min, rating_max)
    return squared_error(predictions, part.ratings)
