"""One local epoch through torch autograd and torch.optim: the ordinary way, and the one that shows the GIL."""

import numpy as np
import torch
from torch.nn import functional

from ddp.datasets.ratings import Part
from ddp.model import CollabFiltering
from ddp.options import AutogradTrainer


class Autograd:
    """Mini-batches in a fresh random order each epoch; the optimiser keeps its state from round to round."""

    def __init__(self, options: AutogradTrainer, model: CollabFiltering, train: Part) -> None:
        self.model = model
        self.batch_size = options.batch_size
        self.users, self.items, self.ratings = (torch.from_numpy(column) for column in (train.users, train.items, train.ratings))
        parameters = list(model.parameters())
        self.optimizer: torch.optim.Optimizer
        if options.optimizer == "adam":
            self.optimizer = torch.optim.Adam(parameters, lr=options.lr, weight_decay=options.weight_decay, fused=True)
        else:
            self.optimizer = torch.optim.SGD(parameters, lr=options.lr, weight_decay=options.weight_decay, fused=True)

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
