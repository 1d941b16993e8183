"""The facts that all workers of split=both share, of a new run and of one that goes on."""

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np

from ddp.config.schema import Config
from ddp.config.trainer import GibbsTrainer
from ddp.model.sweeping import Sweeping
from ddp.ratings.arrays import IndexArray, Ratings
from ddp.ratings.known import known_of
from ddp.ratings.numbering import Numbering
from ddp.ratings.row_blocks import ITEMS, USERS, row_blocks
from ddp.workers.state import RunState


def sweeping_of(
    config: Config,
    ratings: Ratings,
    train: IndexArray,
    workers: Sequence[int],
    state: RunState,
) -> tuple[Sweeping, Numbering]:
    """The facts of split=both. `train`: the rows of the training ratings."""
    blocks, numbering = row_blocks(ratings, train, workers)
    sweeping = Sweeping(
        blocks=blocks,
        num_train=len(train),
        variance=float(ratings.ratings[train].var(dtype=np.float64)),
    )
    if not isinstance(options := config.trainer, GibbsTrainer):
        return sweeping, numbering
    users, items = numbering.users[ratings.users[train]], numbering.items[ratings.items[train]]
    own = options.implicit in ("both", "user"), options.implicit in ("both", "item")
    of_users = known_of(
        users,
        items,
        numbering.users,
        ratings.num_items,
        ratings.user_features,
        implicit=own[USERS],
    )
    of_items = known_of(
        items,
        users,
        numbering.items,
        ratings.num_users,
        ratings.item_features,
        implicit=own[ITEMS],
    )
    sweeping = replace(sweeping, known=(of_users, of_items))
    if (posterior := state.posterior) is None:
        return sweeping, numbering
    chain = posterior.chain
    continued = replace(
        sweeping, **{field.name: getattr(chain, field.name) for field in fields(chain)}
    )
    return continued, numbering
