"""Arguments of the kernels that make rows anew: views of parameters and ratings, and the rule."""

from typing import TypeVar

import numpy as np

from ddp.config.seeding import stream
from ddp.config.trainer import AlsTrainer, GibbsTrainer
from ddp.machine.compiled.lanes import lines_before
from ddp.machine.compiled.simd import LANES
from ddp.model.parameters import Parameters, Vector
from ddp.ratings.arrays import FloatArray, IntArray, Part
from ddp.ratings.row_blocks import USERS, RowBlocks, num_sums
from ddp.trainers.posterior.arguments import HalfSweep, Pairs, Prior, RowRatings, Rule, Side
from ddp.trainers.posterior.priors import lay_out

KINDS = ("user", "item")
Column = TypeVar("Column", IntArray, FloatArray)


def rule_of(options: GibbsTrainer | AlsTrainer, seed: int) -> Rule:
    """How the trainer makes rows. `seed`: of the run."""
    key = stream(seed, "draws").integers(0, 1 << 64, dtype=np.uint64)
    if isinstance(options, GibbsTrainer):
        return Rule(noise=np.float32(1), weighted=np.float32(0), key=key)
    return Rule(noise=np.float32(0), weighted=np.float32(options.reg), key=key)


def sides_of(parameters: Parameters) -> tuple[Side, Side]:
    """Views of the rows of all users, and of all items."""
    views = parameters.views
    users, items = (Side(views[f"{kind}_factors"], views[f"{kind}_bias"]) for kind in KINDS)
    return users, items


def half_of(
    own: Side, other: Side, part: Part, blocks: RowBlocks, side: int, worker: int
) -> HalfSweep:
    """What the worker needs for one side. `part`: the ratings of its rows, sorted by them."""
    rows = blocks.rows(side, worker)
    rated, others = (part.users, part.items) if side == USERS else (part.items, part.users)
    size = own.factors.shape[1] + 1
    lines = np.zeros((lines_before(-(-(size - 1) // LANES)), LANES), np.float32)
    prior = Prior(np.zeros((size, size)), np.zeros(size), lines, np.zeros(size, np.float32))
    lay_out(prior)
    starts = np.searchsorted(rated, np.arange(rows.start, rows.stop + 1)).astype(np.int64)
    return HalfSweep(
        own=own,
        other=other,
        ratings=RowRatings(starts, read_only(others), read_only(part.ratings)),
        bounds=np.array(blocks.bounds(side), np.int64),
        blocks=np.array(blocks.blocks(side, worker), np.int64),
        prior=prior,
        terms=np.zeros(rows.stop - rows.start),
        total=np.zeros(num_sums(size - 1)),
    )


def pairs_of(part: Part) -> Pairs:
    """The users and items of a held-out part, with room for their predictions."""
    predictions: Vector = np.zeros(len(part), np.float32)
    return Pairs(read_only(part.users), read_only(part.items), predictions)


def read_only(column: Column) -> Column:
    """A view that nobody can write to: inside a tuple, numba accepts only the exact type."""
    view = column.view()
    view.setflags(write=False)
    return view
