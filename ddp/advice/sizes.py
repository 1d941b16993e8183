"""The sizes of shards and blocks: a prediction needs nothing else of the ratings.

Blocks, groups and turns belong to split=stratified (ddp/ratings/strata.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ddp.config.schema import Config
from ddp.model.sweeping import Sweeping
from ddp.ratings.arrays import Ratings
from ddp.ratings.holdout import PARTS
from ddp.ratings.row_blocks import ITEMS
from ddp.ratings.strata import Strata, groups_of, stratify
from ddp.workers.dealing import deal_of
from ddp.workers.state import RunState
from ddp.workers.sweeping_facts import sweeping_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Numbers of ratings, users and items. `blocks` to `strata`: empty unless split=stratified.

    | field | meaning |
    |---|---|
    | `train`, `valid`, `test` | ratings of each worker |
    | `whole_valid`, `whole_test` | ratings of the global parts |
    | `blocks[w][g]` | training ratings of worker w in group g of items |
    | `users[w]`, `items[g]` | users of worker w, items of group g |
    | `strata` | the schedule: the worker that holds each group in each turn |
    | `by_item` | training ratings of each worker's items (split=both, else empty) |
    | `sweeping` | the rows and features of each worker (split=both, else None) |
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
    by_item: tuple[int, ...] = ()
    sweeping: Sweeping | None = None


def sizes_of(config: Config, ratings: Ratings) -> Sizes:
    """The sizes of the deal that a run with this config makes.

    Raises ConfigError or DataError if the run cannot deal the ratings.
    """
    deal = deal_of(config, ratings)
    workers = range(config.workers)
    train, valid, test = (tuple(deal.size(part, worker) for worker in workers) for part in PARTS)
    blocks: list[tuple[int, ...]] = []
    users: Sequence[int] = ()
    items: Sequence[int] = ()
    by_item: list[int] = []
    strata = sweeping = None
    if config.stratified:
        strata, numbering = stratify(ratings, deal, config, workers)
        for worker in workers:
            groups = groups_of(ratings, deal.rows("train", worker), numbering, strata)
            blocks.append(tuple(np.bincount(groups, minlength=config.workers).tolist()))
        users, items = np.diff(strata.user_bounds).tolist(), np.diff(strata.item_bounds).tolist()
    elif config.has_owners:
        rows = deal.rows("train")
        sweeping, numbering = sweeping_of(config, ratings, rows, tuple(workers), RunState())
        per_item = np.bincount(numbering.items[ratings.items[rows]], minlength=ratings.num_items)
        by_item = [int(per_item[sweeping.blocks.rows(ITEMS, worker)].sum()) for worker in workers]
    return Sizes(
        num_users=ratings.num_users,
        num_items=ratings.num_items,
        train=train,
        valid=valid,
        test=test,
        whole_valid=deal.size("valid"),
        whole_test=deal.size("test"),
        blocks=tuple(blocks),
        users=tuple(users),
        items=tuple(items),
        strata=strata,
        by_item=tuple(by_item),
        sweeping=sweeping,
    )
