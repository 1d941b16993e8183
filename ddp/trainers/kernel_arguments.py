"""Arguments of the compiled kernels: views of parameters and ratings, and seeds."""

from collections.abc import Sequence

import numpy as np

from ddp.model.parameters import Parameters, Rows, Vector
from ddp.ratings.arrays import Block, IndexArray, Part
from ddp.trainers.sgd import Chunks, Columns, SeedArray
from ddp.trainers.visits import chunks_of, joined

NO_BIAS: Vector = np.zeros(0, np.float32)


def seeds(order: np.random.Generator, count: int) -> SeedArray:
    """The seeds of the next `count` turns, uint64; several calls give the same ones as one call."""
    return order.integers(0, 1 << 64, count, np.uint64)


def check_indices(parameters: Rows, part: Part) -> None:
    """Raises IndexError for a user or an item that the model does not have.

    The kernels check no index: a wrong one would make them write outside of their arrays.
    """
    for kind, column, size in (
        ("user", part.users, parameters.num_users),
        ("item", part.items, parameters.num_items),
    ):
        if len(column) and not (column.min() >= 0 and column.max() < size):
            raise IndexError(
                f"{kind} {column.min()} or {column.max()} is out of range: the model has {size}"
                f" {kind}s"
            )


def arrays_of(parameters: Rows) -> tuple[Vector, Vector, Vector, Vector, Vector]:
    """The arrays of the parameters in the order of the kernels; empty ones without biases."""
    views = parameters.views
    biases = (views.get("user_bias", NO_BIAS), views.get("item_bias", NO_BIAS))
    return views["user_factors"], views["item_factors"], *biases, views["global_mean"]


def columns_of(part: Part, ranges: Sequence[slice]) -> Columns:
    """The arrays of a part for a kernel. `ranges`: the rows of each block, without gaps."""
    bounds: IndexArray = np.array([0, *(rows.stop for rows in ranges)], np.int64)
    views = part.users.view(), part.items.view(), part.ratings.view()
    for view in views:
        # Inside a tuple, numba accepts only the exact type of the signature.
        view.setflags(write=False)
    return Columns(*views, bounds)


def chunks_of_blocks(parameters: Parameters, train: Part, blocks: Sequence[Block]) -> Chunks:
    """The chunks of all blocks. Raises IndexError if a rating lies outside of its block."""
    chunks = []
    for block in blocks:
        part = train.between(block.train).counted_from(block.users.start, block.items.start)
        rows = parameters.block(block.users, block.items)
        check_indices(rows, part)
        chunks.append(
            chunks_of(part.users, part.items, rows.num_users, rows.num_items, parameters.dim)
        )
    return joined(chunks, [block.train.start for block in blocks])
