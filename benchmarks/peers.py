"""Other libraries, as benchmarks.kernel and benchmarks.quality call them."""

import ctypes
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Unavailable
from ddp.ratings.arrays import Part

INSTALL = "not installed; `make benchmark-peers` installs it"
# The Makefile builds it here with AVX: without AVX it runs at half its speed.
LIBMF = Path(sys.prefix) / "libmf-avx"


class _LibmfProblem(ctypes.Structure):
    _fields_ = (
        ("m", ctypes.c_int),
        ("n", ctypes.c_int),
        ("nnz", ctypes.c_longlong),
        ("R", ctypes.c_void_p),
    )


class _LibmfParameter(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int) for name in ("fun", "k", "nr_threads", "nr_bins", "nr_iters")),
        *(
            (name, ctypes.c_float)
            for name in ("lambda_p1", "lambda_p2", "lambda_q1", "lambda_q2", "eta")
        ),
        *((name, ctypes.c_bool) for name in ("do_nmf", "quiet", "copy_data")),
    )


def load_libmf() -> ctypes.CDLL:
    """The library LIBMF. Raises Unavailable if it is not installed."""
    found = list(LIBMF.glob("libmf*.so"))
    if not found:
        raise Unavailable(f"LIBMF: {INSTALL}")
    library = ctypes.CDLL(str(found[0]))
    library.mf_train.restype = ctypes.c_void_p
    library.mf_train.argtypes = [ctypes.POINTER(_LibmfProblem), _LibmfParameter]
    return library


def train_libmf(
    library: ctypes.CDLL,
    ratings: Part,
    num_users: int,
    num_items: int,
    dim: int,
    threads: int,
    epochs: int,
    lr: float,
    reg: float,
) -> ctypes.c_void_p:
    """Trains a model, for `mf_predict` and `mf_destroy_model` of LIBMF.

    It has L2 regularisation: the L1 of the binding's defaults is slower.
    """
    nodes = np.empty(len(ratings), np.dtype([("u", np.int32), ("v", np.int32), ("r", np.float32)]))
    nodes["u"], nodes["v"], nodes["r"] = ratings.users, ratings.items, ratings.ratings
    problem = _LibmfProblem(m=num_users, n=num_items, nnz=len(nodes), R=nodes.ctypes.data)
    parameter = _LibmfParameter(
        k=dim,
        nr_threads=threads,
        nr_bins=20,
        nr_iters=epochs,
        lambda_p2=reg,
        lambda_q2=reg,
        eta=lr,
        quiet=True,
        copy_data=True,
    )
    return ctypes.c_void_p(library.mf_train(ctypes.byref(problem), parameter))


def surprise_trainset(
    train: Part, num_users: int, num_items: int, scale: tuple[float, float]
) -> Any:
    """The ratings as Surprise wants them: tuples by user and by item.

    `scale`: the lowest and the highest rating.
    """
    from surprise.trainset import Trainset

    by_user: dict[int, list[tuple[int, float]]] = defaultdict(list)
    by_item: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for user, item, rating in zip(
        train.users.tolist(), train.items.tolist(), train.ratings.tolist(), strict=True
    ):
        by_user[user].append((item, rating))
        by_item[item].append((user, rating))
    return Trainset(by_user, by_item, num_users, num_items, len(train), scale, None, None)
