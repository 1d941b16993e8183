"""data=synthetic: ratings of a known model, so the lowest error that a model can reach is known."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ddp.config.data import SyntheticData
from ddp.config.seeding import stream
from ddp.errors import DataError
from ddp.ratings.arrays import FloatArray, Ratings
from ddp.ratings.telling import Tell, nobody

# The true ratings have mean 3.5 and, over independent users and items, standard deviation 1:
# a quarter of the variance from either bias, half of it from the factors.
_MEAN = 3.5
_BIAS_STD = 0.5
_FACTOR_VARIANCE = 0.5

# the factors of 25 million ratings would not fit into memory; those of this many fit into a cache
_CHUNK_ROWS = 1 << 18
_MAX_REFILLS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """The model behind the ratings. Biases: float32 (num,); factors: float32 (num, rank)."""

    user_bias: FloatArray
    item_bias: FloatArray
    user_factors: FloatArray
    item_factors: FloatArray

    def ratings(
        self,
        users: npt.NDArray[np.integer],
        items: npt.NDArray[np.integer],
        tell: Tell = nobody,
    ) -> FloatArray:
        """float32 (n,): the ratings that these users give these items, without noise."""
        result = np.empty(len(users), np.float32)
        for start in range(0, len(users), _CHUNK_ROWS):
            tell("making ratings", start, len(users), "ratings")
            rows = slice(start, start + _CHUNK_ROWS)
            user, item = users[rows], items[rows]
            result[rows] = np.einsum("nr,nr->n", self.user_factors[user], self.item_factors[item])
            result[rows] += _MEAN + self.user_bias[user] + self.item_bias[item]
        return result


def truth(data: SyntheticData, seed: int) -> Truth:
    """The true model that `load(data, seed)` draws ratings from."""
    rng = stream(seed, "data", 0)
    factor_std = np.float32((_FACTOR_VARIANCE / data.rank) ** 0.25)
    return Truth(
        user_bias=np.float32(_BIAS_STD) * rng.standard_normal(data.num_users, np.float32),
        item_bias=np.float32(_BIAS_STD) * rng.standard_normal(data.num_items, np.float32),
        user_factors=factor_std * rng.standard_normal((data.num_users, data.rank), np.float32),
        item_factors=factor_std * rng.standard_normal((data.num_items, data.rank), np.float32),
    )


def load(data: SyntheticData, seed: int, tell: Tell = nobody) -> Ratings:
    """`data.num_ratings` ratings, sorted by user and item, each pair once.

    They are neither rounded nor clipped. The ids are 0..n-1, and some may have no rating. Raises
    DataError when `data.popularity` leaves too few pairs to draw.
    """
    tell("drawing pairs of users and items")
    keys = _distinct_pairs(data, stream(seed, "data", 1))
    users, items = (
        (keys // data.num_items).astype(np.int32),
        (keys % data.num_items).astype(np.int32),
    )
    del keys  # as large as users and items together
    ratings = truth(data, seed).ratings(users, items, tell)
    ratings += np.float32(data.noise_std) * stream(seed, "data", 2).standard_normal(
        len(ratings), np.float32
    )
    return Ratings(
        name=data.name,
        users=users,
        items=items,
        ratings=ratings,
        user_ids=np.arange(data.num_users),
        item_ids=np.arange(data.num_items),
        rating_min=float(ratings.min()),
        rating_max=float(ratings.max()),
        noise_floor=data.noise_std,
    )


def _distinct_pairs(data: SyntheticData, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """int64 (num_ratings,), sorted: user * num_items + item of pairs drawn by popularity."""
    user_shares = _popularity(data.num_users, data.popularity, rng)
    item_shares = _popularity(data.num_items, data.popularity, rng)
    keys = np.empty(0, np.int64)
    num_drawn = data.num_ratings
    for _ in range(_MAX_REFILLS):
        # Independent draws: counts per user and per item, then a shuffle. No draw needs a search.
        users = np.repeat(np.arange(data.num_users), rng.multinomial(num_drawn, user_shares))
        items = np.repeat(np.arange(data.num_items), rng.multinomial(num_drawn, item_shares))
        rng.shuffle(items)
        users *= data.num_items
        users += items
        before = len(keys)
        keys = np.concatenate([keys, users]) if before else users
        keys.sort()  # np.unique hashes first: minutes instead of seconds for 25 million
        keys = keys[np.concatenate([[True], keys[1:] != keys[:-1]])]
        missing = data.num_ratings - len(keys)
        if missing <= 0:
            return (
                np.delete(keys, rng.choice(len(keys), -missing, replace=False)) if missing else keys
            )
        # This share of the last draws was new. A tenth more than needed ends the loop sooner.
        new_share = max(len(keys) - before, 1) / num_drawn
        num_drawn = min(int(1.1 * missing / new_share) + 1, 2 * data.num_ratings)
    raise DataError(
        f"data=synthetic: found only {len(keys):,} of data.num_ratings={data.num_ratings:,}"
        " different (user, item) pairs: with "
        f"data.popularity={data.popularity:g} the same few are drawn again and again. Lower"
        " data.popularity or data.num_ratings."
    )


def _popularity(num: int, exponent: float, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """float64 (num,), sum 1: a power law over ranks that are dealt to the ids at random."""
    shares = np.arange(1, num + 1, dtype=np.float64) ** -exponent
    return rng.permutation(shares / shares.sum())
