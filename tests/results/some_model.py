"""A small model, its data, and its predictions by a second implementation."""

import numpy as np

from ddp.config.model import Model
from ddp.model.parameters import parameter_shapes
from ddp.ratings.arrays import Ratings

INT_IDS = np.array([3, 20, 100, 1000])  # as text they would be in another order
TEXT_IDS = np.array(["Zoë", "ann", "bob", "x" * 40])
ITEM_IDS = np.array([7, 10, 11, 200, 3000])
TITLES = np.array(["Amélie", "", "Heat (1995)", "I, Robot", "M"])
# user position -> positions of the items that it has rated; the last one has rated all
SEEN = {0: [1, 3], 1: [0], 2: [4, 2, 0], 3: [0, 1, 2, 3, 4]}


def some_ratings(user_ids=INT_IDS, item_ids=ITEM_IDS, titles=TITLES) -> Ratings:
    pairs = [(user, item) for user, items in SEEN.items() for item in items]
    pairs = pairs[::2] + pairs[1::2]  # not in the order of users, as in a real file
    users, items = (np.array(column, np.int32) for column in zip(*pairs, strict=True))
    return Ratings(
        name="made",
        users=users,
        items=items,
        ratings=np.full(len(pairs), 3, np.float32),
        user_ids=user_ids,
        item_ids=item_ids,
        titles=titles,
        rating_min=0.5,
        rating_max=5.0,
    )


def options(biases=True) -> Model:
    return Model(name="tiny", dim=3, biases=biases, init_std=0.05)


def some_vector(biases=True, scale=2.0) -> np.ndarray:
    length = sum(int(np.prod(shape)) for shape in parameter_shapes(4, 5, 3, biases).values())
    vector = np.random.default_rng(1).normal(0, scale, length).astype(np.float32)
    vector[-1] = 3
    return vector


def expected(vector: np.ndarray, biases=True) -> np.ndarray:
    """Predictions (users, items) by the model's formula, clipped to the scale."""
    user_factors, item_factors = vector[:12].reshape(4, 3), vector[12:27].reshape(5, 3)
    predictions = user_factors @ item_factors.T + vector[-1]
    if biases:
        predictions = predictions + vector[27:31, None] + vector[None, 31:36]
    return np.clip(predictions, 0.5, 5.0)
