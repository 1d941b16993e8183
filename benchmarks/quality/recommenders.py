"""Recommenders of other libraries, which go down a gradient or solve for rows.

A recommender is a function (training ratings, sizes, values, seed) -> a function that predicts the
ratings of pairs. It is called by benchmarks.quality and benchmarks.sweeps.
"""

import ctypes
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from benchmarks.harness import Unavailable
from benchmarks.peers import INSTALL, load_libmf, surprise_trainset, train_libmf
from ddp.ratings.arrays import Part

Values = Mapping[str, float]  # option of the library -> its value
Predictor = Callable[[Part], npt.NDArray[np.float32]]  # of the ratings of pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Sizes of the whole data: users and items without a training rating have a number, too."""

    num_users: int
    num_items: int
    rating_min: float
    rating_max: float


Recommender = Callable[[Part, Sizes, Values, int], Predictor]


def surprise(name: str) -> Recommender:
    """A fit of Surprise's SVD or SVDpp (SVD++)."""

    def fit(train: Part, sizes: Sizes, values: Values, seed: int) -> Predictor:
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
        return _one_by_one(model.estimate)

    return fit


def libmf(train: Part, sizes: Sizes, values: Values, seed: int) -> Predictor:
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
    predict = _one_by_one(partial(library.mf_predict, model))
    weakref.finalize(predict, library.mf_destroy_model, ctypes.byref(model))
    return predict


def cornac(train: Part, sizes: Sizes, values: Values, seed: int) -> Predictor:
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

    def predict(pairs: Part) -> npt.NDArray[np.float32]:
        dots = np.einsum("nk,nk->n", user_factors[pairs.users], item_factors[pairs.items])
        predicted: npt.NDArray[np.float32] = (
            dots + np.float32(mean) + user_bias[pairs.users] + item_bias[pairs.items]
        )
        return predicted

    return predict


def lenskit(train: Part, sizes: Sizes, values: Values, seed: int) -> Predictor:
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

    def predict(pairs: Part) -> npt.NDArray[np.float32]:
        predicted = np.full(len(pairs), mean, np.float32)
        order = np.argsort(pairs.users, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(pairs.users[order])) + 1):
            scores = model(int(pairs.users[rows[0]]), ItemList(item_ids=pairs.items[rows])).scores()
            if scores is not None:
                scores = np.asarray(scores)
                predicted[rows] = np.where(np.isnan(scores), mean, scores)
        return predicted

    return predict


def _one_by_one(rating: Callable[[int, int], float]) -> Predictor:
    """Predicts with a function of a user and an item."""

    def predict(pairs: Part) -> npt.NDArray[np.float32]:
        numbers = zip(pairs.users.tolist(), pairs.items.tolist(), strict=True)
        return np.array([rating(user, item) for user, item in numbers], np.float32)

    return predict
