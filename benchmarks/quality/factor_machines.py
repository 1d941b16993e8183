"""myFM: a Bayesian factorization machine by Gibbs sampling. It predicts the mean of its samples."""

import io
from contextlib import redirect_stderr
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.harness import Unavailable
from benchmarks.peers import INSTALL
from benchmarks.quality.recommenders import Predictor, Sizes, Values
from ddp.ratings.arrays import Part


def myfm(train: Part, sizes: Sizes, values: Values, seed: int) -> Predictor:
    """myFM over the two ids of a rating."""
    _, sparse = _libraries()

    def one_hot(part: Part) -> Any:
        rows = np.repeat(np.arange(len(part)), 2)
        columns = np.stack([part.users, part.items + sizes.num_users], axis=1).ravel()
        return sparse.csr_matrix(
            (np.ones(len(rows)), (rows, columns)), (len(part), sizes.num_users + sizes.num_items)
        )

    model = _fitted(train, values, seed, [sizes.num_users, sizes.num_items], X=one_hot(train))
    return lambda pairs: np.asarray(model.predict(one_hot(pairs)), np.float32)


def myfm_with_implicit(train: Part, sizes: Sizes, values: Values, seed: int) -> Predictor:
    """myFM over the ids, the items that the user rated in training, and the users of the item.

    "SVD++ flipped" of Rendle et al. (2019). Each of n marks of a row weighs 1 / sqrt(n). Rows of
    a user or an item repeat, so they are blocks that ratings refer to.
    """
    library, sparse = _libraries()
    shape = (sizes.num_users, sizes.num_items)
    marks = sparse.csr_matrix((np.ones(len(train)), (train.users, train.items)), shape)

    def rows_of(marks: Any) -> Any:
        numbers = np.maximum(np.diff(marks.indptr), 1)
        return sparse.hstack(
            [sparse.identity(marks.shape[0]), sparse.diags(1 / np.sqrt(numbers)) @ marks]
        ).tocsr()

    users, items = rows_of(marks), rows_of(marks.T.tocsr())

    def blocks(part: Part) -> list[Any]:
        return [
            library.RelationBlock(part.users, users),
            library.RelationBlock(part.items, items),
        ]

    groups = [sizes.num_users, sizes.num_items, sizes.num_items, sizes.num_users]
    model = _fitted(train, values, seed, groups, X=None, X_rel=blocks(train))
    return lambda pairs: np.asarray(model.predict(None, blocks(pairs)), np.float32)


def _fitted(train: Part, values: Values, seed: int, groups: list[int], **features: Any) -> Any:
    """A model of `values["k"]` factors after `values["epochs"]` sweeps."""
    library, _ = _libraries()
    chosen = {"init_stdev": values["init_std"]} if "init_std" in values else {}
    model = library.MyFMRegressor(rank=int(values["k"]), random_seed=seed, **chosen)
    ratings: npt.NDArray[np.float64] = train.ratings.astype(np.float64)
    with redirect_stderr(io.StringIO()):  # a progress bar
        model.fit(y=ratings, n_iter=int(values["epochs"]), group_shapes=groups, **features)
    return model


def _libraries() -> tuple[Any, Any]:
    """myFM, and SciPy's sparse matrices. Raises Unavailable if they are not installed."""
    try:
        with redirect_stderr(io.StringIO()):  # a warning about setuptools
            import myfm as library
        from scipy import sparse
    except ImportError as error:
        raise Unavailable(f"myFM: {INSTALL}") from error
    return library, sparse
