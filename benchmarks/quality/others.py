"""The other libraries of benchmarks.quality, and the values that validation chooses for them."""

import time
from itertools import product

import numpy as np

from benchmarks.quality import recommenders
from benchmarks.quality.factor_machines import myfm, myfm_with_implicit
from benchmarks.quality.protocols import VALID_FRACTION
from benchmarks.quality.recommenders import Recommender, Sizes, Values, surprise
from ddp.ratings.arrays import IndexArray, Part, Ratings


def _grid(**values: tuple[float, ...]) -> list[Values]:
    return [dict(zip(values, chosen, strict=True)) for chosen in product(*values.values())]


RECOMMENDERS: dict[str, Recommender] = {
    "Surprise SVD": surprise("SVD"),
    "Surprise SVD++": surprise("SVDpp"),
    "LIBMF": recommenders.libmf,
    "Cornac MF": recommenders.cornac,
    "LensKit ALS": recommenders.lenskit,
    "myFM": myfm,
    "myFM, implicit feedback": myfm_with_implicit,
}
# Ranges around the values that their documentation and others recommend; slow ones have few.
CANDIDATES: dict[str, list[Values]] = {
    "Surprise SVD": _grid(
        k=(50, 100, 200), lr=(0.005, 0.01), reg=(0.05, 0.08, 0.1), epochs=(30, 60)
    ),
    "Surprise SVD++": _grid(k=(20,), lr=(0.007,), reg=(0.02, 0.1), epochs=(20,)),
    "LIBMF": _grid(
        k=(16, 32, 64, 128), lr=(0.02, 0.05), reg=(0.05, 0.08, 0.1), epochs=(30, 60, 100)
    ),
    "Cornac MF": _grid(
        k=(16, 64, 128), lr=(0.005, 0.01, 0.02), reg=(0.05, 0.08, 0.1), epochs=(30, 60, 100)
    ),
    "LensKit ALS": _grid(k=(10, 20, 50), reg=(0.05, 0.1, 0.2, 0.4), epochs=(10, 20)),
    "myFM": _grid(k=(10, 20), epochs=(300,)),
    "myFM, implicit feedback": _grid(k=(10,), epochs=(100, 200)),
}


def choose_other(name: str, ratings: Ratings, sizes: Sizes, train_rows: IndexArray) -> Values:
    """The values of `CANDIDATES` with the lowest validation RMSE."""
    shuffled = np.random.default_rng(0).permutation(train_rows)
    num_valid = round(len(shuffled) * VALID_FRACTION)
    valid, rest = ratings.part(shuffled[:num_valid]), ratings.part(shuffled[num_valid:])

    def valid_rmse(values: Values) -> float:
        rmse, _ = fit_other(RECOMMENDERS[name], rest, valid, sizes, values, 0)
        return rmse

    return min(CANDIDATES[name], key=valid_rmse)


def fit_other(
    recommender: Recommender, train: Part, pairs: Part, sizes: Sizes, values: Values, seed: int
) -> tuple[float, float]:
    """RMSE of another library's predictions, clipped to the scale, and the seconds of its fit."""
    began = time.perf_counter()
    predict = recommender(train, sizes, values, seed)
    seconds = time.perf_counter() - began
    predicted = np.clip(predict(pairs), sizes.rating_min, sizes.rating_max).astype(np.float64)
    return float(np.sqrt(np.mean((predicted - pairs.ratings) ** 2))), seconds
