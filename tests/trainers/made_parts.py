"""Made-up ratings and models for the compiled trainer, and the order of its visits."""

import numpy as np

from ddp.config.trainer import FusedTrainer
from ddp.model.parameters import Parameters
from ddp.ratings.arrays import Part
from ddp.trainers.kernel_arguments import seeds
from ddp.trainers.sgd import shuffle


def options(**changes):
    """Options of the compiled trainer."""
    values = {"name": "fused", "lr": 0.05, "lr_decay": 1.0, "reg_factors": 0.03, "reg_biases": 0.01}
    return FusedTrainer(**(values | changes))


def random_part(num_users=5, num_items=4, count=30, seed=0):
    """Ratings of random pairs; a pair may come twice."""
    rng = np.random.default_rng(seed)
    return Part(
        users=rng.integers(0, num_users, count).astype(np.int32),
        items=rng.integers(0, num_items, count).astype(np.int32),
        ratings=rng.uniform(1, 5, count).astype(np.float32),
    )


def start(num_users=5, num_items=4, dim=3, *, biases=True):
    """Parameters that are random, and the same each time."""
    parameters = Parameters(num_users, num_items, dim, biases=biases)
    parameters.vector[:] = np.random.default_rng(0).normal(0, 0.3, len(parameters.vector))
    return parameters


def visited(trainer, order):
    """The rows in the order in which the next epoch under `order` will visit them."""
    return rows_of(*trainer.draw(0, order))


def rows_of(starts, stops):
    """The rows of chunks, one chunk after another."""
    return np.concatenate(
        [np.arange(0), *(np.arange(a, b) for a, b in zip(starts, stops, strict=True))]
    )


def shuffled(chunks, seed, block=0):
    """The starts and stops of a block's chunks, as the kernel shuffles them."""
    starts, stops = np.empty_like(chunks.starts), np.empty_like(chunks.stops)
    count = shuffle(chunks, block, seeds(np.random.default_rng(seed), 1)[0], starts, stops)
    return starts[:count], stops[:count]
