"""split=stratified: the deal of blocks (users x items) to workers, and the schedule of the blocks.

Users and items are cut into as many groups as there are workers, with about as many training
ratings in each. A worker keeps its group of users, and the groups of items go from worker to
worker. An epoch has as many turns as there are workers, and in each turn a worker holds another
group of items. So two workers never touch the same row, and nothing has to be averaged.

The blocks of a turn could be trained one after another with the same result. With plain SGD
(trainer=fused) that result is the result of one serial SGD. An optimizer with a state, such as
Adam, keeps one state for each block, which stays with its worker.

Source: DSGD (Gemulla, Nijkamp, Haas, Sismanis, Large-scale matrix factorization with distributed
stochastic gradient descent, KDD 2011). A turn is its stratum.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ddp.config.schema import Config
from ddp.config.seeding import stream
from ddp.ratings.arrays import IndexArray, IntArray, Ratings
from ddp.ratings.holdout import PARTS
from ddp.ratings.numbering import Numbering
from ddp.ratings.splits import Deal, balance


@dataclass(frozen=True, slots=True, kw_only=True)
class Strata:
    """The groups of users and of items, and the schedule of the turns.

    | field          | length | meaning                                                            |
    | -------------- | ------ | ------------------------------------------------------------------ |
    | `workers`      | n      | the worker of each group of users                                  |
    | `user_bounds`  | n + 1  | group g has the users user_bounds[g] to user_bounds[g + 1] - 1     |
    | `item_bounds`  | n + 1  | the same for items                                                 |
    | `local_epochs` |        | the number of local epochs in a round                              |
    | `seed`         |        | the seed of the schedule                                           |

    The numbers of users and items are those of `Numbering`; users of a dropped worker come last, in
    no group. Turns are counted from the beginning of the run.
    """

    workers: tuple[int, ...]
    user_bounds: tuple[int, ...]
    item_bounds: tuple[int, ...]
    local_epochs: int
    seed: int

    @property
    def num_workers(self) -> int:
        """The number of workers, of groups of users and of items, and of turns in an epoch."""
        return len(self.workers)

    def first_turn(self, round_index: int) -> int:
        """The first turn of a round."""
        return round_index * self.local_epochs * self.num_workers

    def turns(self, round_index: int, epoch: int, number: int = 1) -> range:
        """The turns of `number` local epochs of a round, from `epoch` on."""
        first = self.first_turn(round_index) + epoch * self.num_workers
        return range(first, first + number * self.num_workers)

    def epoch_of(self, turn: int) -> tuple[int, int]:
        """The round that a turn belongs to, and the local epoch in it."""
        return divmod(turn // self.num_workers, self.local_epochs)

    def users(self, worker: int) -> slice:
        """The users of a worker."""
        position = self.workers.index(worker)
        return slice(*self.user_bounds[position : position + 2])

    def items(self, group: int) -> slice:
        """The items of a group."""
        return slice(*self.item_bounds[group : group + 2])

    def group(self, worker: int, turn: int) -> int:
        """The group of items that a worker holds in a turn."""
        return (self.workers.index(worker) + self._shift(turn)) % self.num_workers

    def holder(self, group: int, turn: int) -> int:
        """The worker that holds a group of items in a turn."""
        return self.workers[(group - self._shift(turn)) % self.num_workers]

    def _shift(self, turn: int) -> int:
        return _shifts(self.seed, self.num_workers, turn // self.num_workers)[
            turn % self.num_workers
        ]


@lru_cache(maxsize=8)
def _shifts(seed: int, num_workers: int, epoch: int) -> tuple[int, ...]:
    """The shift of the groups of items in each turn of an epoch.

    Every shift comes once, in random order.
    """
    return tuple(stream(seed, "turns", epoch).permutation(num_workers).tolist())


def stratify(
    ratings: Ratings, deal: Deal, config: Config, workers: Sequence[int]
) -> tuple[Strata, Numbering]:
    """Makes a group of each worker's users, and cuts the items into as many groups.

    The groups of items have about equally many training ratings of `workers`.
    """
    count = len(workers)
    user_group = np.zeros(ratings.num_users, np.int32)
    for worker in range(deal.workers):
        group = workers.index(worker) if worker in workers else count
        for part in PARTS:
            user_group[ratings.users[deal.rows(part, worker)]] = group
    loads = np.zeros(ratings.num_items, np.int64)
    for worker in workers:
        items = ratings.items[deal.rows("train", worker)]
        loads += np.bincount(items, minlength=ratings.num_items)
    item_group = balance(loads, "item", config.split, count, stream(config.seed, "items"))
    users, user_bounds = _number(user_group, count)
    items, item_bounds = _number(item_group, count)
    strata = Strata(
        workers=tuple(workers),
        user_bounds=user_bounds,
        item_bounds=item_bounds,
        local_epochs=config.local_epochs,
        seed=config.seed,
    )
    return strata, Numbering(users=users, items=items)


def _number(group: IntArray, num_groups: int) -> tuple[IntArray, tuple[int, ...]]:
    """New numbers that put the members of a group side by side, and the bounds of the groups.

    Members keep their order. Group `num_groups` comes last and has no bounds.
    """
    numbers = np.empty(len(group), np.int32)
    numbers[np.argsort(group, kind="stable")] = np.arange(len(group), dtype=np.int32)
    bounds = np.append(0, np.cumsum(np.bincount(group, minlength=num_groups)))
    return numbers, tuple(bounds[: num_groups + 1].tolist())


def groups_of(
    ratings: Ratings, rows: IndexArray, numbering: Numbering, strata: Strata
) -> npt.NDArray[np.integer]:
    """The group of items that each of the rows belongs to (n,), as narrow integers."""
    numbers = np.arange(strata.num_workers, dtype=np.min_scalar_type(strata.num_workers))
    of_item = np.repeat(numbers, np.diff(strata.item_bounds))[numbering.items]
    groups: npt.NDArray[np.integer] = of_item[ratings.items[rows]]
    return groups


def rows_by_group(
    ratings: Ratings, rows: IndexArray, numbering: Numbering, strata: Strata
) -> list[IndexArray]:
    """The rows of each group of items, in the order of `rows`."""
    groups = groups_of(ratings, rows, numbering, strata)
    ends = np.cumsum(np.bincount(groups, minlength=strata.num_workers))
    return np.split(rows[np.argsort(groups, kind="stable")], ends[:-1])
