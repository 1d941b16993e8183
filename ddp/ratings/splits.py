"""Deals ratings to workers: `make_split` holds out validation and test rows, then deals each part.

A row is the position of a rating in `Ratings`. The holdout draws from the stream "holdout" and the
deal from "shards". So one seed gives the same test rows for every number of workers and every
split.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ddp.config.seeding import stream
from ddp.config.split import DirichletSplit, Split
from ddp.counting import counted
from ddp.errors import ConfigError, DataError
from ddp.ratings.arrays import FloatArray, IndexArray, IntArray, Ratings
from ddp.ratings.holdout import PARTS, Parts, hold_out, time_order
from ddp.ratings.row_blocks import owners_of_users

# A scale with more distinct ratings than this counts as continuous. MovieLens has 5 or 10.
MAX_VALUES = 20
NUM_BINS = 10  # quantile bins of a continuous scale


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    """The deal of n ratings to workers. A shard is a worker's share of the ratings.

    | field     | type       | meaning                                                       |
    | --------- | ---------- | ------------------------------------------------------------- |
    | `part`    | uint8 (n,) | the part of each rating, as its position in PARTS             |
    | `owner`   | uint (n,)  | the worker of each rating; None: each worker has all (copies) |
    | `workers` | int        | the number of workers                                         |

    The columns take two bytes a rating. Row numbers would take eight, so they are made on demand.
    """

    part: npt.NDArray[np.uint8]
    owner: npt.NDArray[np.unsignedinteger] | None
    workers: int

    def rows(self, part: str, worker: int | None = None) -> IndexArray:
        """The rows of a part in a worker's shard, ascending; without a worker those of all."""
        return np.flatnonzero(self._chosen(part, worker))

    def size(self, part: str, worker: int | None = None) -> int:
        """The number of these rows."""
        return int(np.count_nonzero(self._chosen(part, worker)))

    def _chosen(self, part: str, worker: int | None) -> npt.NDArray[np.bool_]:
        chosen: npt.NDArray[np.bool_] = self.part == PARTS.index(part)
        if worker is not None and self.owner is not None:
            chosen &= self.owner == worker
        return chosen


def make_split(
    ratings: Ratings, split: Split, workers: int, seed: int, test_rows: IndexArray | None = None
) -> Deal:
    """Holds out the validation and test rows, then deals each part to the workers.

    Every worker gets training rows; it may get no validation or test rows. `test_rows`: the test
    part of `split.holdout=files`. Raises ConfigError or DataError where the ratings cannot be split
    as asked.
    """
    whole = hold_out(ratings, split, seed, test_rows)
    num_train = len(whole.train)
    if workers > num_train:
        raise ConfigError(
            "workers",
            workers,
            f"must be at most {num_train}: the data have {counted(num_train, 'training rating')}",
        )
    part = np.empty(len(ratings), np.uint8)
    for number, name in enumerate(PARTS):
        part[getattr(whole, name)] = number
    if split.copies:
        return Deal(part=part, owner=None, workers=workers)
    owners = DEALERS[split.name](ratings, whole, split, workers, stream(seed, "shards"))
    return Deal(part=part, owner=owners.astype(np.min_scalar_type(workers)), workers=workers)


# --- dealers: each gives int32 (num_ratings,), the worker that owns each row ---


def _deal_iid(
    ratings: Ratings, whole: Parts, split: Split, workers: int, rng: np.random.Generator
) -> IntArray:
    owners = np.zeros(len(ratings), dtype=np.int32)
    for part in (whole.train, whole.valid, whole.test):
        owners[rng.permutation(part)] = np.arange(len(part)) % workers
    return owners


def _deal_users(
    ratings: Ratings, whole: Parts, split: Split, workers: int, rng: np.random.Generator
) -> IntArray:
    loads = np.bincount(ratings.users[whole.train], minlength=ratings.num_users)
    return balance(loads, "user", split, workers, rng)[ratings.users]


def _deal_items(
    ratings: Ratings, whole: Parts, split: Split, workers: int, rng: np.random.Generator
) -> IntArray:
    loads = np.bincount(ratings.items[whole.train], minlength=ratings.num_items)
    return balance(loads, "item", split, workers, rng)[ratings.items]


def balance(
    loads: IndexArray, kind: str, split: Split, workers: int, rng: np.random.Generator
) -> IntArray:
    """The worker of each user (or item), int32, so that all workers have about the same load.

    `loads`: the training ratings of each. The largest load goes first, to the worker with the least
    so far. Users without a load go to the workers in turn. `kind`: "user" or "item".
    """
    num_loaded = int(np.count_nonzero(loads))
    if num_loaded < workers:
        reason = (
            f"split={split.name} deals whole {kind}s, and there are training ratings of only"
            f" {counted(num_loaded, kind)}"
        )
        raise ConfigError(
            "workers",
            workers,
            f"{reason}: use at most {counted(num_loaded, 'worker')}, or split=iid",
        )
    shuffled = rng.permutation(len(loads))
    order = shuffled[np.argsort(-loads[shuffled], kind="stable")]
    owners = np.zeros(len(loads), dtype=np.int32)
    heap = [(0, worker) for worker in range(workers)]
    chosen = []
    for load in loads[order[:num_loaded]].tolist():
        total, worker = heap[0]
        heapq.heapreplace(heap, (total + load, worker))
        chosen.append(worker)
    owners[order[:num_loaded]] = chosen
    owners[order[num_loaded:]] = np.arange(len(loads) - num_loaded) % workers
    return owners


def _deal_time(
    ratings: Ratings, whole: Parts, split: Split, workers: int, rng: np.random.Generator
) -> IntArray:
    owners = np.zeros(len(ratings), dtype=np.int32)
    for part in (whole.train, whole.valid, whole.test):
        owners[part[time_order(ratings, part, "split")]] = (
            np.arange(len(part)) * workers // max(len(part), 1)
        )
    return owners


def _deal_dirichlet(
    ratings: Ratings, whole: Parts, split: Split, workers: int, rng: np.random.Generator
) -> IntArray:
    """Each rating value has Dirichlet(alpha) proportions over the workers, the same in every part.

    Source: Yurochkin et al. 2019, arXiv:1905.12022; its classes are rating values here.
    """
    assert isinstance(split, DirichletSplit)
    levels, num_levels = levels_of(ratings.ratings, whole.train)
    bounds = np.cumsum(rng.dirichlet(np.full(workers, split.alpha), size=num_levels), axis=1)[
        :, :-1
    ]
    owners = np.zeros(len(ratings), dtype=np.int32)
    for part in (whole.train, whole.valid, whole.test):
        for level in range(num_levels):
            rows = rng.permutation(part[levels[part] == level])
            owners[rows] = np.searchsorted(
                bounds[level], (np.arange(len(rows)) + 0.5) / len(rows), side="right"
            )
    _fill_empty(owners, whole.train, workers)
    return owners


def levels_of(values: FloatArray, train: IndexArray) -> tuple[npt.NDArray[np.uint8], int]:
    """The level of each rating, and the number of levels.

    A level is a value that occurs in training, or a quantile bin of a continuous scale.
    """
    seen = values[train]
    seen.sort()
    edges = seen[1:][seen[1:] != seen[:-1]]
    if len(edges) >= MAX_VALUES:
        edges = np.unique(np.quantile(seen, np.arange(1, NUM_BINS) / NUM_BINS))
    levels = np.zeros(len(values), np.uint8)
    for edge in edges:  # np.searchsorted would take eight bytes a rating
        levels += values >= edge
    return levels, len(edges) + 1


def _fill_empty(owners: IntArray, train: IndexArray, workers: int) -> None:
    """Gives each worker without a training row the first row of the largest shard (in place)."""
    owner = owners[train]
    counts = np.bincount(owner, minlength=workers)
    for worker in np.flatnonzero(counts == 0):
        donor = counts.argmax()  # holds at least 2: there are at least as many rows as workers
        owner[np.argmax(owner == donor)] = worker
        counts[donor] -= 1
        counts[worker] += 1
    owners[train] = owner


def _deal_files(
    ratings: Ratings, whole: Parts, split: Split, workers: int, rng: np.random.Generator
) -> IntArray:
    """The worker of the file that the row came from."""
    assert ratings.files is not None, "split=files needs Ratings.files"
    owners = ratings.files.astype(np.int32)
    empty = np.flatnonzero(np.bincount(owners[whole.train], minlength=workers) == 0)
    if len(empty):
        raise DataError(
            f"data.paths: file {empty[0]} (counted from 0) has no training rating, and its worker"
            " would have no work"
        )
    return owners


def _deal_both(
    ratings: Ratings, whole: Parts, split: Split, workers: int, rng: np.random.Generator
) -> IntArray:
    """The worker of the user. Another one may have the item: row_blocks.py."""
    return owners_of_users(ratings, whole.train, workers)[ratings.users]


DEALERS: dict[str, Callable[[Ratings, Parts, Split, int, np.random.Generator], IntArray]] = {
    "iid": _deal_iid,
    "user": _deal_users,
    "stratified": _deal_users,  # the items go from worker to worker: strata.py
    "both": _deal_both,
    "item": _deal_items,
    "time": _deal_time,
    "dirichlet": _deal_dirichlet,
    "files": _deal_files,
}
