"""One local epoch of training: each module one way to do it."""

from ddp.config import AutogradTrainer
from ddp.datasets.ratings import Part
from ddp.model import CollabFiltering
from ddp.trainers.autograd import Autograd


def make_trainer(options: AutogradTrainer, model: CollabFiltering, train: Part) -> Autograd:
    """The trainer that `options` names, over `train`, changing `model` in place."""
    return Autograd(options, model, train)
