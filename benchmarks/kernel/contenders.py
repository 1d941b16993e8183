"""Contenders of benchmarks.kernel: our trainers, and matrix factorisation of other libraries.

All train by SGD. A contender is a function from a `Case` to million ratings per second of training.
Only epochs count: neither reading nor converting the data, nor an arrangement that is made once at
the start. All get the same ratings in the same random order, and each runs in a process of its own.
"""

import ctypes
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.harness import Unavailable
from benchmarks.peers import INSTALL, load_libmf, surprise_trainset, train_libmf
from benchmarks.train_runs import compose_config
from ddp.config.schema import Config
from ddp.config.seeding import stream
from ddp.model.parameters import Parameters, initial_vector
from ddp.ratings.arrays import Part, Ratings
from ddp.trainers.trainer import stepping_trainer

# autograd and Surprise take at least so many times as long: they visit fewer ratings.
SLOWER = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case.

    `ratings_file`: written by `save`; `num_visits`: ratings to visit, about; `overrides`: options
    of train.py.
    """

    ratings_file: Path
    num_users: int
    num_items: int
    dim: int
    workers: int
    num_visits: int
    overrides: tuple[str, ...] = ()

    def load(self, at_most: int | None = None) -> Part:
        """The first so many ratings (None: all), in their random order."""
        with np.load(self.ratings_file) as arrays:
            return Part(**{name: arrays[name][:at_most] for name in ("users", "items", "ratings")})

    def num_epochs(self, num_ratings: int, *, slower: int = 1) -> int:
        """Epochs that visit about `num_visits` ratings, at least one."""
        return max(1, self.num_visits // num_ratings // slower)


def save(ratings: Ratings, file: Path) -> None:
    """Writes the ratings in a random order, for `Case.load`."""
    part = ratings.part(np.random.default_rng(0).permutation(len(ratings)))
    np.savez(file, users=part.users, items=part.items, ratings=part.ratings)


def trainer(name: str, case: Case) -> float:
    """Runs one of ours: a thread per worker, with a model and a share of the ratings of its own.

    The rate is all ratings / wall. autograd gets a part of a large set: its steps all take the same
    time, however many there are.
    """
    config = compose_config([f"trainer={name}", *case.overrides, f"model.dim={case.dim}"])
    torch.set_num_threads(1)
    slower = SLOWER if name == "autograd" else 1
    ratings = case.load(case.num_visits // slower if slower > 1 else None)
    epochs = [_epoch_function(case, config, worker, ratings) for worker in range(case.workers)]
    num_epochs = case.num_epochs(len(ratings), slower=slower)

    def train(epoch: Callable[[], float]) -> None:
        for _ in range(num_epochs):
            epoch()

    for epoch in epochs:
        epoch()  # the first one compiles, allocates and touches everything
    with ThreadPoolExecutor(case.workers) as threads:
        began = time.perf_counter()
        list(threads.map(train, epochs))
        return _rate(len(ratings) * num_epochs, time.perf_counter() - began)


def _epoch_function(case: Case, config: Config, worker: int, ratings: Part) -> Callable[[], float]:
    share = ratings.take(np.arange(worker, len(ratings), case.workers))
    random = stream(config.seed, "layout", worker)
    chosen = stepping_trainer(config.trainer)
    order = chosen.arrange(
        share.users, share.items, case.num_users, case.num_items, case.dim, random
    )
    share = share if order is None else share.take(order)
    mean = float(share.ratings.mean(dtype="float64"))
    vector = initial_vector(config.model, case.num_users, case.num_items, mean, config.seed)
    parameters = Parameters(
        case.num_users, case.num_items, case.dim, biases=config.model.biases, vector=vector
    )
    return partial(
        chosen(config.trainer, parameters, share).epoch,
        stream(config.seed, "order", worker, 0),
    )


def libmf(case: Case) -> float:
    """LIBMF: C++ with AVX; its own threads share one model."""
    library = load_libmf()
    ratings = case.load()

    def fit(num_epochs: int) -> None:
        model = train_libmf(
            library,
            ratings,
            case.num_users,
            case.num_items,
            case.dim,
            case.workers,
            num_epochs,
            0.02,
            0.05,
        )
        library.mf_destroy_model(ctypes.byref(model))

    # twice as many, since the time to arrange the data is subtracted
    return _rate_of_fit(fit, len(ratings), 2 * case.num_epochs(len(ratings)))


def cornac(case: Case) -> float:
    """Cornac MF: Cython and OpenMP; its threads update one model without locks.

    It visits the ratings in the order of the data.
    """
    try:
        from cornac.models.mf import backend_cpu
    except ImportError as error:
        raise Unavailable(f"Cornac: {INSTALL}") from error
    ratings = case.load()
    users, items = ratings.users.astype(np.int64), ratings.items.astype(np.int64)
    random = np.random.default_rng(0)
    state = [
        *(
            (0.05 * random.standard_normal((number, case.dim))).astype(np.float32)
            for number in (case.num_users, case.num_items)
        ),
        *(np.zeros(number, np.float32) for number in (case.num_users, case.num_items)),
    ]
    mean = float(ratings.ratings.mean(dtype="float64"))

    def fit(num_epochs: int) -> None:
        # learning rate, regularisation, mean, epochs, threads, biases, early stop, verbose
        options = (0.01, 0.02, mean, num_epochs, case.workers, True, False, False)
        backend_cpu.fit_sgd(users, items, ratings.ratings, *state, *options)

    fit(1)
    return _rate_of_fit(fit, len(ratings), case.num_epochs(len(ratings)))


def surprise(case: Case) -> float:
    """Surprise SVD: Cython, one thread."""
    try:
        from surprise import SVD
    except ImportError as error:
        raise Unavailable(f"Surprise: {INSTALL}") from error
    ratings = case.load()
    if case.workers > 1 or len(ratings) > 1_000_000:
        raise Unavailable(
            "Surprise: one thread only; keeps ratings as Python tuples, too many for more than a"
            " million"
        )
    scale = (float(ratings.ratings.min()), float(ratings.ratings.max()))
    known = surprise_trainset(ratings, case.num_users, case.num_items, scale)

    def fit(num_epochs: int) -> None:
        SVD(n_factors=case.dim, n_epochs=num_epochs).fit(known)

    return _rate_of_fit(fit, len(ratings), case.num_epochs(len(ratings), slower=SLOWER))


def _rate_of_fit(fit: Callable[[int], None], num_ratings: int, num_epochs: int) -> float:
    """The rate of the epochs alone.

    The time of one epoch contains all work that is done once. It is subtracted from that of several
    more.
    """
    marks = [time.perf_counter()]
    for epochs in (1, 1 + num_epochs):
        fit(epochs)
        marks.append(time.perf_counter())
    once_s, all_s = marks[1] - marks[0], marks[2] - marks[1]
    return _rate(num_ratings * num_epochs, all_s - once_s)


def _rate(num_visits: int, seconds: float) -> float:
    """Million ratings per second."""
    return num_visits / seconds / 1e6


CONTENDERS: dict[str, Callable[[Case], float]] = {
    "autograd": partial(trainer, "autograd"),
    "fused": partial(trainer, "fused"),
    "LIBMF": libmf,
    "Cornac": cornac,
    "Surprise": surprise,
}
