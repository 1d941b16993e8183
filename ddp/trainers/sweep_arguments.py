"""Arguments of the kernels that make rows anew: views of parameters and ratings, and the rule."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from ddp.config.seeding import stream
from ddp.config.trainer import AlsTrainer, GibbsTrainer
from ddp.machine.compiled.lanes import lines_before
from ddp.machine.compiled.simd import LANES
from ddp.model.parameters import Parameters, Vector
from ddp.model.room import Room, SideRoom
from ddp.model.sweeping import Sweeping
from ddp.ratings.arrays import FloatArray, IntArray, Part
from ddp.ratings.known import nothing_known
from ddp.ratings.row_blocks import USERS, num_sums, padded
from ddp.trainers.posterior.arguments import HalfSweep, Pairs, Prior, RowRatings, Rule, Side
from ddp.trainers.posterior.places import memory_floats
from ddp.trainers.posterior.priors import lay_out
from ddp.trainers.posterior.weight_arguments import Pass, Weights

KINDS = ("user", "item")
Column = TypeVar("Column", IntArray, FloatArray)


def rule_of(options: GibbsTrainer | AlsTrainer, seed: int) -> Rule:
    """How the trainer makes rows. `seed`: of the run."""
    key = stream(seed, "draws").integers(0, 1 << 64, dtype=np.uint64)
    draws, trusts, weighted = 0.0, 0.0, 0.0
    if isinstance(options, GibbsTrainer):
        draws, trusts = 1.0, float(options.noise == "rows")
    else:
        weighted = options.reg
    return Rule(np.float32(draws), np.float32(weighted), np.float32(trusts), key)


def sides_of(parameters: Parameters, trusts: Sequence[Vector]) -> tuple[Side, Side]:
    """Views of the rows of all users, and of all items."""
    views = parameters.views
    users, items = (
        Side(views[f"{kind}_factors"], views[f"{kind}_bias"], trust)
        for kind, trust in zip(KINDS, trusts, strict=True)
    )
    return users, items


def half_of(
    sides: tuple[Side, Side],
    part: Part,
    sweeping: Sweeping,
    side: int,
    worker: int,
) -> HalfSweep:
    """The arrays that the worker needs for one side. `part`: its ratings, sorted by its rows."""
    blocks, own, other = sweeping.blocks, sides[side], sides[1 - side]
    rows = blocks.rows(side, worker)
    rated, others = (part.users, part.items) if side == USERS else (part.items, part.users)
    size, number = own.factors.shape[1] + 1, rows.stop - rows.start
    offsets = 0 if sweeping.known[side] is None else number
    starts = np.searchsorted(rated, np.arange(rows.start, rows.stop + 1)).astype(np.int64)
    return HalfSweep(
        own=own,
        other=other,
        ratings=RowRatings(starts, read_only(others), read_only(part.ratings)),
        bounds=np.array(blocks.bounds(side), np.int64),
        blocks=np.array(blocks.blocks(side, worker), np.int64),
        prior=_prior_of(size),
        right=np.zeros((max(1, offsets), padded(size - 1)), np.float32),
        offset=np.zeros((offsets, padded(size - 1)), np.float32),
        terms=np.zeros(number),
        errors=np.zeros(number),
        total=np.zeros(num_sums(size - 1)),
        spread=np.array([sweeping.spreads[side]]),
        memory=np.zeros(memory_floats(size - 1), np.float32),
    )


def _prior_of(size: int) -> Prior:
    lines = np.zeros((lines_before(-(-(size - 1) // LANES)), LANES), np.float32)
    prior = Prior(
        matrix=np.zeros((size, size)),
        mean=np.zeros(size),
        lines=lines,
        right=np.zeros(size, np.float32),
        single=np.zeros((size, size), np.float32),
    )
    lay_out(prior)
    return prior


def pass_of(half: HalfSweep, sweeping: Sweeping, room: Room, side: int, worker: int) -> Pass:
    """The arrays that the worker needs for the weights of one side."""
    known, shared, size = sweeping.known[side], room.sides[side], len(half.prior.mean)
    if known is None or shared is None:
        known, shared = nothing_known(), SideRoom.of_nothing(padded(size - 1))
    features, columns = sweeping.features(side, worker), sweeping.columns(size - 1, worker)
    weights = Weights(
        lines=shared.lines,
        turned=shared.turned,
        residuals=shared.residuals,
        squares=shared.squares,
        strength=np.array([sweeping.strengths[side]]),
        roots=np.zeros((3 * padded(size - 1), padded(size - 1)), np.float32),
        right=half.right,
        offset=half.offset,
    )
    shares = np.array([features.start, features.stop, columns.start, columns.stop], np.int64)
    known = known._replace(
        by_row=read_only(known.by_row),
        row_values=read_only(known.row_values),
        by_feature=read_only(known.by_feature),
        feature_values=read_only(known.feature_values),
        scales=read_only(known.scales),
        squares=read_only(known.squares),
    )
    return Pass(known=known, weights=weights, shares=shares)


def pairs_of(part: Part) -> Pairs:
    """The users and items of a held-out part, with room for their predictions."""
    predictions: Vector = np.zeros(len(part), np.float32)
    return Pairs(read_only(part.users), read_only(part.items), predictions)


def read_only(column: Column) -> Column:
    """A view that nobody can write to: inside a tuple, numba accepts only the exact type."""
    view = column.view()
    view.setflags(write=False)
    return view
