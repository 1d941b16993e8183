"""Recommenders of other libraries, for benchmarks.quality.

A recommender is a function (training ratings, pairs, sizes, values, seed) -> predictions: it fits
the training ratings and predicts those of the pairs. `CANDIDATES` holds the values that validation
chooses from.
"""

import ctypes
import io
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.harness import Unavailable
from benchmarks.peers import INSTALL, load_libmf, surprise_trainset, train_libmf
from benchmarks.quality.protocols import VALID_FRACTION
from benchmarks.quality.ways import Values
from ddp.ratings.arrays import IndexArray, Part, Ratings

Predictions = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Sizes of the whole data: users and items without a training rating have a number, too."""

    num_users: int
    num_items: int
    rating_min: float
    rating_max: float


def _grid(**values: tuple[float, ...]) -> list[Values]:
    return [dict(zip(values, chosen, strict=True)) for chosen in product(*values.values())]


def surprise(name: str) -> Callable[[Part, Part, Sizes, Values, int], Predictions]:
    """A fit of Surprise's SVD or SVDpp (SVD++)."""

    def fit(train: Part, pairs: Part, sizes: Sizes, values: Values, seed: int) -> Predictions:
        try:
            import surprise as library
        except ImportError as error:
            raise Unavailable(f"Surprise: {INSTALL}") from error
        model = getattr(library, name)(
            n_factors=int(values["k"]),
            n_epochs=int(values["epochs"]),
            lr_all=values["lr"],
            reg_all=values["reg"],
            random_state=seed,
        )
        scale = (sizes.rating_min, sizes.rating_max)
        model.fit(surprise_trainset(train, sizes.num_users, sizes.num_items, scale))
        predicted = [
            model.estimate(user, item)
            for user, item in zip(pairs.users.tolist(), pairs.items.tolist(), strict=True)
        ]
        return np.array(predicted, np.float32)

    return fit


def libmf(train: Part, pairs: Part, sizes: Sizes, values: Values, seed: int) -> Predictions:
    """LIBMF, which has no biases.

    Its random numbers have no seed: the order of the ratings gives another start.
    """
    library = load_libmf()
    library.mf_predict.restype = ctypes.c_float
    library.mf_predict.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
    shuffled = train.take(np.random.default_rng(seed).permutation(len(train)))
    model = train_libmf(
        library,
        shuffled,
        sizes.num_users,
        sizes.num_items,
        int(values["k"]),
        1,
        int(values["epochs"]),
        values["lr"],
        values["reg"],
    )
    try:
        predicted = [
            library.mf_predict(model, user, item)
            for user, item in zip(pairs.users.tolist(), pairs.items.tolist(), strict=True)
        ]
    finally:
        library.mf_destroy_model(ctypes.byref(model))
    return np.array(predicted, np.float32)


def cornac(train: Part, pairs: Part, sizes: Sizes, values: Values, seed: int) -> Predictions:
    """Cornac's MF, with biases."""
    try:
        from cornac.models.mf import backend_cpu
    except ImportError as error:
        raise Unavailable(f"Cornac: {INSTALL}") from error
    random = np.random.default_rng(seed)
    shuffled = train.take(random.permutation(len(train)))
    k = int(values["k"])
    user_factors, item_factors = (
        (0.01 * random.standard_normal((number, k))).astype(np.float32)
        for number in (sizes.num_users, sizes.num_items)
    )
    user_bias, item_bias = (
        np.zeros(number, np.float32) for number in (sizes.num_users, sizes.num_items)
    )
    mean = float(train.ratings.mean(dtype="float64"))
    users, items = shuffled.users.astype(np.int64), shuffled.items.astype(np.int64)
    # learning rate, regularisation, mean, epochs, threads, biases, early stop, verbose
    options = (values["lr"], values["reg"], mean, int(values["epochs"]), 1, True, False, False)
    state = (user_factors, item_factors, user_bias, item_bias)
    backend_cpu.fit_sgd(users, items, shuffled.ratings, *state, *options)
    dots = np.einsum("nk,nk->n", user_factors[pairs.users], item_factors[pairs.items])
    predicted: Predictions = (
        dots + np.float32(mean) + user_bias[pairs.users] + item_bias[pairs.items]
    )
    return predicted


def lenskit(train: Part, pairs: Part, sizes: Sizes, values: Values, seed: int) -> Predictions:
    """LensKit's biased matrix factorisation by alternating least squares."""
    try:
        import pandas as pd
        from lenskit.als import BiasedMFScorer
        from lenskit.data import ItemList, from_interactions_df
        from lenskit.training import TrainingOptions
    except ImportError as error:
        raise Unavailable(f"LensKit: {INSTALL}") from error
    frame = pd.DataFrame({"user_id": train.users, "item_id": train.items, "rating": train.ratings})
    model = BiasedMFScorer(
        embedding_size=int(values["k"]), epochs=int(values["epochs"]), regularization=values["reg"]
    )
    model.train(from_interactions_df(frame), TrainingOptions(rng=seed))
    mean = float(train.ratings.mean(dtype="float64"))
    predicted = np.full(len(pairs), mean, np.float32)
    order = np.argsort(pairs.users, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(pairs.users[order])) + 1):
        scores = model(int(pairs.users[rows[0]]), ItemList(item_ids=pairs.items[rows])).scores()
        if scores is not None:
            scores = np.asarray(scores)
            predicted[rows] = np.where(np.isnan(scores), mean, scores)
    return predicted


def myfm(train: Part, pairs: Part, sizes: Sizes, values: Values, seed: int) -> Predictions:
    """myFM: a Bayesian factorization machine over the two ids, by Gibbs sampling.

    It gives the mean of the predictions of all samples.
    """
    try:
        with redirect_stderr(io.StringIO()):  # a warning about setuptools
            from myfm import MyFMRegressor
        from scipy import sparse
    except ImportError as error:
        raise Unavailable(f"myFM: {INSTALL}") from error

    def one_hot(part: Part) -> Any:
        rows = np.repeat(np.arange(len(part)), 2)
        columns = np.stack([part.users, part.items + sizes.num_users], axis=1).ravel()
        return sparse.csr_matrix(
            (np.ones(len(rows)), (rows, columns)), (len(part), sizes.num_users + sizes.num_items)
        )

    groups = [sizes.num_users, sizes.num_items]
    model = MyFMRegressor(rank=int(values["k"]), random_seed=seed)
    with redirect_stderr(io.StringIO()):  # a progress bar
        model.fit(
            one_hot(train),
            train.ratings.astype(np.float64),
            n_iter=int(values["epochs"]),
            group_shapes=groups,
        )
    return np.asarray(model.predict(one_hot(pairs)), np.float32)


RECOMMENDERS: dict[str, Callable[[Part, Part, Sizes, Values, int], Predictions]] = {
    "Surprise SVD": surprise("SVD"),
    "Surprise SVD++": surprise("SVDpp"),
    "LIBMF": libmf,
    "Cornac MF": cornac,
    "LensKit ALS": lenskit,
    "myFM": myfm,
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
}


def choose_other(name: str, ratings: Ratings, sizes: Sizes, train_rows: IndexArray) -> Values:
    """The values of `CANDIDATES` with the lowest validation RMSE."""
    shuffled = np.random.default_rng(0).permutation(train_rows)
    num_valid = round(len(shuffled) * VALID_FRACTION)
    valid, rest = ratings.part(shuffled[:num_valid]), ratings.part(shuffled[num_valid:])
    return min(CANDIDATES[name], key=lambda values: rmse(name, rest, valid, sizes, values, 0))


def rmse(name: str, known: Part, pairs: Part, sizes: Sizes, values: Values, seed: int) -> float:
    """RMSE of another library's predictions, clipped to the scale."""
    predicted = np.clip(
        RECOMMENDERS[name](known, pairs, sizes, values, seed), sizes.rating_min, sizes.rating_max
    )
    return float(np.sqrt(np.mean((predicted.astype(np.float64) - pairs.ratings) ** 2)))
