"""How much work there is for each worker: what a prediction needs of the ratings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ddp.config.schema import Config
from ddp.ratings.arrays import IntArray, Ratings
from ddp.ratings.load import read_pairs
from ddp.ratings.splits import make_split
from ddp.ratings.strata import Strata, stratify
from ddp.workers.prepare import check_parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Numbers of ratings, users and items. `train`, `valid`, `test`: of each worker; `whole_valid`,
       `whole_test`: of all.

    With split=stratified `blocks[w][g]` are a worker's training ratings in a group of items,
    `users[w]` its users, `items[g]` a group's items, and `strata` say who has which group when.
    """

    num_users: int
    num_items: int
    train: tuple[int, ...]
    valid: tuple[int, ...]
    test: tuple[int, ...]
    whole_valid: int
    whole_test: int
    blocks: tuple[tuple[int, ...], ...] = ()
    users: tuple[int, ...] = ()
    items: tuple[int, ...] = ()
    strata: Strata | None = None


def sizes_of(config: Config, ratings: Ratings) -> Sizes:
    """Those of the deal that a run with this config would make. Raises ConfigError or DataError
    where it could not.
    """
    test_file = config.split.test_file
    test_rows = read_pairs(Path(test_file), config.data, ratings) if test_file is not None else None
    deal = make_split(ratings, config.split, config.workers, config.seed, test_rows)
    train, valid, test = (
        [len(getattr(shard, part)) for shard in deal.shards] for part in ("train", "valid", "test")
    )
    blocks: list[tuple[int, ...]] = []
    users: Sequence[int] = ()
    items: Sequence[int] = ()
    strata = None
    if config.stratified:
        strata, numbering = stratify(
            ratings, deal, config.split, config.seed, range(config.workers)
        )
        blocks = [
            _by_group(numbering.items[ratings.items[shard.train]], strata) for shard in deal.shards
        ]
        users, items = np.diff(strata.user_bounds).tolist(), np.diff(strata.item_bounds).tolist()
    else:
        for worker, shard in enumerate(deal.shards):
            check_parts(config, worker, shard)
    return Sizes(
        num_users=ratings.num_users,
        num_items=ratings.num_items,
        train=tuple(train),
        valid=tuple(valid),
        test=tuple(test),
        whole_valid=len(deal.whole.valid),
        whole_test=len(deal.whole.test),
        blocks=tuple(blocks),
        users=tuple(users),
        items=tuple(items),
        strata=strata,
    )


def _by_group(items: IntArray, strata: Strata) -> tuple[int, ...]:
    groups = np.searchsorted(strata.item_bounds, items, side="right") - 1
    return tuple(np.bincount(groups, minlength=strata.num_workers).tolist())
