"""How much work there is for each worker: what a prediction needs of the ratings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ddp.config.schema import Config
from ddp.ratings.arrays import Ratings
from ddp.ratings.holdout import PARTS
from ddp.ratings.strata import Strata, groups_of, stratify
from ddp.workers.prepare import deal_of


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
    deal = deal_of(config, ratings)
    workers = range(config.workers)
    train, valid, test = (tuple(deal.size(part, worker) for worker in workers) for part in PARTS)
    blocks: list[tuple[int, ...]] = []
    users: Sequence[int] = ()
    items: Sequence[int] = ()
    strata = None
    if config.stratified:
        strata, numbering = stratify(ratings, deal, config, workers)
        for worker in workers:
            groups = groups_of(ratings, deal.rows("train", worker), numbering, strata)
            blocks.append(tuple(np.bincount(groups, minlength=config.workers).tolist()))
        users, items = np.diff(strata.user_bounds).tolist(), np.diff(strata.item_bounds).tolist()
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
    )
