"""The RMSEs of the simplest predictors, which say whether a model has learnt anything.

| predictor             | its prediction for a user and an item                                    |
|-----------------------|--------------------------------------------------------------------------|
| `mean`                | the mean of the training ratings                                         |
| `user and item means` | that mean, plus how far the item's ratings lie from it on average, plus  |
|                       | how far the user's lie from both; few ratings pull these towards 0       |
"""

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ddp.ratings.arrays import Ratings
from ddp.ratings.holdout import PARTS
from ddp.ratings.splits import Deal

MEAN, MEANS = "mean", "user and item means"
CHUNK = 1 << 18  # ratings at a time
# A user or item counts as if it had so many more ratings, all average. The validation part of
# MovieLens 100K chose it.
PULL = 3.0

Floats = npt.NDArray[np.float64]
Baselines = dict[str, dict[str, float]]  # predictor -> part (valid, test) -> RMSE


def baselines(ratings: Ratings, deal: Deal) -> Baselines:
    """The RMSEs of both predictors on the validation and test part; NaN for an empty part.

    Predictions are clipped to the scale, as those of a model are.
    """
    mean, items, users = _fitted(ratings, deal)
    told: Baselines = {MEAN: {}, MEANS: {}}
    for part in ("valid", "test"):
        count, plain, additive = 0, 0.0, 0.0
        for chunk in _chunks(ratings):
            rows = np.flatnonzero(deal.part[chunk] == PARTS.index(part))
            values = ratings.ratings[chunk][rows].astype(np.float64)
            count += len(values)
            plain += _squares(values - mean)
            predicted = items[ratings.items[chunk][rows]]
            predicted += users[ratings.users[chunk][rows]]
            predicted += mean
            np.clip(predicted, ratings.rating_min, ratings.rating_max, out=predicted)
            additive += _squares(values - predicted)
        told[MEAN][part] = math.sqrt(plain / count) if count else math.nan
        told[MEANS][part] = math.sqrt(additive / count) if count else math.nan
    return told


def _fitted(ratings: Ratings, deal: Deal) -> tuple[float, Floats, Floats]:
    """The mean of the training ratings, and the offsets of the items and of the users."""
    num_items, num_users = ratings.num_items, ratings.num_users
    item_sums, item_counts = np.zeros(num_items), np.zeros(num_items)
    user_sums, user_counts = np.zeros(num_users), np.zeros(num_users)
    for chunk, users, items, is_train in _training(ratings, deal):
        values = ratings.ratings[chunk] * is_train
        item_sums += np.bincount(items, values, num_items)
        item_counts += np.bincount(items, is_train, num_items)
        user_sums += np.bincount(users, values, num_users)
        user_counts += np.bincount(users, is_train, num_users)
    mean = float(item_sums.sum() / item_counts.sum())
    offsets = (item_sums - mean * item_counts) / (item_counts + PULL)
    user_sums -= mean * user_counts
    for _, users, items, is_train in _training(ratings, deal):
        user_sums -= np.bincount(users, offsets[items] * is_train, num_users)
    return mean, offsets, user_sums / (user_counts + PULL)


def _training(
    ratings: Ratings, deal: Deal
) -> Iterator[tuple[slice, npt.NDArray[np.intp], npt.NDArray[np.intp], Floats]]:
    """Some ratings at a time: their place, users, items, and 1.0 where one is for training.

    Ratings of other parts get the weight 0: to take them out would need a copy of all others.
    """
    for chunk in _chunks(ratings):
        yield (
            chunk,
            ratings.users[chunk].astype(np.intp),
            ratings.items[chunk].astype(np.intp),
            (deal.part[chunk] == PARTS.index("train")).astype(np.float64),
        )


def _chunks(ratings: Ratings) -> Iterator[slice]:
    """Ranges of ratings: temporary copies of all of them would take RAM."""
    return (slice(start, start + CHUNK) for start in range(0, len(ratings), CHUNK))


def _squares(differences: Floats) -> float:
    return float(np.einsum("i,i->", differences, differences))  # np.dot would start threads of BLAS
