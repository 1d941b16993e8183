"""One local epoch of training: each module one way to do it."""

import torch

from ddp.datasets.ratings import Part
from ddp.model import CollabFiltering
from ddp.options import AutogradTrainer
from ddp.trainers.autograd import Autograd


def warm_up() -> None:
    """Loads what the first trainer of a process loads late: torch.optim imports torch._dynamo, 1 to 2 s."""
    torch.optim.SGD([torch.zeros(1)], lr=1.0)


def make_trainer(options: AutogradTrainer, model: CollabFiltering, train: Part) -> Autograd:
    """The trainer that `options` names, over `train`, changing `model` in place."""
    return Autograd(options, model, train)
