"""Holds out the test part, and then a validation part of the ratings that remain."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ddp.config.seeding import stream
from ddp.config.split import FOLDS, NAMED_BY, Split
from ddp.counting import counted
from ddp.errors import ConfigError, DataError
from ddp.ratings.arrays import IndexArray, Ratings

PARTS = ("train", "valid", "test")
CANONICAL_ROWS = 100_000  # of MovieLens 100K, which alone has canonical folds


@dataclass(slots=True, kw_only=True)
class Parts:
    """Rows of the training, validation and test part: int64, ascending, disjoint."""

    train: IndexArray
    valid: IndexArray
    test: IndexArray


def hold_out(
    ratings: Ratings, split: Split, seed: int, test_rows: IndexArray | None = None
) -> Parts:
    """Cuts the ratings into the three parts; training and test have at least one row each.

    `test_rows`: the test part of `split.holdout=files`. Draws only from the stream "holdout", under
    `split.seed` or else the run's `seed`.
    Raises ConfigError or DataError where the ratings cannot be cut in this way.
    """
    if len(ratings) < 2:
        raise DataError(
            f"{ratings.name} holds {counted(len(ratings), 'rating')}: a training and a test part"
            " need at least 2"
        )
    rng = stream(split.seed_or(seed), "holdout")
    rows = np.arange(len(ratings), dtype=np.int64)
    if split.holdout == "canonical":
        test_rows = _fold(ratings, split)
    if split.holdout in NAMED_BY:
        assert test_rows is not None, "split.holdout=files needs test_rows"
        rest, test = _cut(rows, test_rows)
        rule = HOLDOUT_RULES["random"]
    else:
        rule = HOLDOUT_RULES[split.holdout]
        rest, test = _cut(rows, rule(ratings, rows, split.test_fraction, rng))
    if not len(test) and split.holdout == "user":
        raise ConfigError(
            "split.holdout",
            "user",
            "every user has one rating, which stays in training: use split.holdout=random",
        )
    if not len(test) or not len(rest):
        holds = "every rating, which leaves none for training" if len(test) else "no rating"
        raise DataError(
            f"split.test_file={split.test_file} holds {holds}: name a file with some of the ratings"
        )
    train, valid = rest, rest[:0]
    if split.valid_fraction > 0:
        train, valid = _cut(rest, rule(ratings, rest, split.valid_fraction, rng))
    return Parts(train=train, valid=valid, test=test)


def _fold(ratings: Ratings, split: Split) -> IndexArray:
    """The rows of uN.test, which is one fifth of the lines of u.data, in their order."""
    if len(ratings) != CANONICAL_ROWS:
        raise DataError(
            f"{ratings.name} holds {counted(len(ratings), 'rating')}, and canonical folds are those"
            f" of the {CANONICAL_ROWS:,} of MovieLens 100K: choose another split.holdout"
        )
    assert split.fold is not None, "split.holdout=canonical needs a fold"
    return np.array_split(np.arange(len(ratings)), FOLDS)[split.fold - 1]


def _cut(rows: IndexArray, chosen: IndexArray) -> tuple[IndexArray, IndexArray]:
    """The rows that remain and the rows at the positions `chosen`, both in the order of `rows`."""
    held = np.zeros(len(rows), dtype=np.bool_)
    held[chosen] = True
    return rows[~held], rows[held]


def _share(num_rows: int, fraction: float) -> int:
    """The number of rows to hold out: at least one, and never all."""
    return min(max(round(fraction * num_rows), 1), num_rows - 1)


# A rule chooses about `fraction` of `rows`, as positions in `rows`, and leaves at least one.


def _choose_random(
    ratings: Ratings, rows: IndexArray, fraction: float, rng: np.random.Generator
) -> IndexArray:
    return rng.choice(len(rows), size=_share(len(rows), fraction), replace=False, shuffle=False)


def _choose_latest(
    ratings: Ratings, rows: IndexArray, fraction: float, rng: np.random.Generator
) -> IndexArray:
    return time_order(ratings, rows, "split.holdout")[len(rows) - _share(len(rows), fraction) :]


def _choose_per_user(
    ratings: Ratings, rows: IndexArray, fraction: float, rng: np.random.Generator
) -> IndexArray:
    """A share of each user's rows, never all of them; none if every user has one row."""
    users = ratings.users[rows]
    # User by user, in random order within each user. This is three times as fast as a shuffle and a
    # sort when the source is sorted by user.
    order = np.argsort(
        (users.astype(np.int64) << 32) | rng.integers(2**32, size=len(rows)), kind="stable"
    )
    counts = np.bincount(users, minlength=ratings.num_users)
    # Rounds up at random, as often as the fraction says. Rounding to the nearest number would take
    # no row from users with few ratings.
    shares = np.floor(fraction * counts + rng.random(len(counts))).astype(np.int64)
    shares = np.minimum(shares, np.maximum(counts - 1, 0))
    if not shares.any() and counts.max() > 1:
        shares[counts.argmax()] = 1
    rank_in_user = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return order[rank_in_user < np.repeat(shares, counts)]


def time_order(ratings: Ratings, rows: IndexArray, key: str) -> IndexArray:
    """Positions in `rows`, earliest first; equal times stay in the order of `rows`."""
    if ratings.timestamps is None:
        raise ConfigError(
            key, "time", f"needs timestamps, and {ratings.name} has none: choose another {key}"
        )
    return np.argsort(ratings.timestamps[rows], kind="stable")


HOLDOUT_RULES: dict[
    str, Callable[[Ratings, IndexArray, float, np.random.Generator], IndexArray]
] = {
    "random": _choose_random,
    "user": _choose_per_user,
    "time": _choose_latest,
}
