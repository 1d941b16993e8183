"""The rows of the model that one worker holds: as views, and packed into a vector."""

from collections.abc import Iterable

import numpy as np

from ddp.model.parameters import Parameters, Rows, Vector
from ddp.ratings.arrays import IndexArray, IntArray
from ddp.ratings.numbering import Numbering
from ddp.ratings.row_blocks import ITEMS, USERS, RowBlocks
from ddp.ratings.strata import Strata

_CHUNK = 1 << 14  # pairs to predict at a time: their factors stay in the cache


def predicted(rows: Rows, users: IndexArray | IntArray, items: IndexArray | IntArray) -> Vector:
    """The predicted rating of each pair of a user and an item, float32 (n,), not clipped."""
    views = rows.views
    predictions = np.empty(len(users), np.float32)
    for start in range(0, len(users), _CHUNK):
        part = slice(start, start + _CHUNK)
        factors = views["user_factors"][users[part]], views["item_factors"][items[part]]
        np.einsum("nd,nd->n", *factors, out=predictions[part])
    if rows.biases:
        predictions += views["user_bias"][users] + views["item_bias"][items]
    predictions += views["global_mean"]
    return predictions


def pack(arrays: Iterable[Vector], out: Vector) -> None:
    """Writes the arrays' floats one after another to the beginning of `out`."""
    start = 0
    for array in arrays:
        out[start : start + array.size] = array.ravel()
        start += array.size


def unpack(vector: Vector, arrays: Iterable[Vector]) -> None:
    """The inverse of `pack`: copies the floats of `vector` into the arrays."""
    start = 0
    for array in arrays:
        array[...] = vector[start : start + array.size].reshape(array.shape)
        start += array.size


def learned(rows: Rows) -> list[Vector]:
    """All parameters but the global mean, which no trainer changes."""
    return [view for name, view in rows.views.items() if name != "global_mean"]


def item_rows(rows: Rows) -> list[Vector]:
    """The parameters of items, which go from worker to worker."""
    return [view for name, view in rows.views.items() if name.startswith("item_")]


def held_rows(strata: Strata, parameters: Parameters, worker: int, turn: int) -> Rows:
    """The rows of `parameters` that a worker holds in a turn: its users, and one group of items."""
    return parameters.block(strata.users(worker), strata.items(strata.group(worker, turn)))


def made_rows(blocks: RowBlocks, parameters: Parameters, worker: int) -> Rows:
    """The rows of `parameters` that a worker makes (split=both)."""
    return parameters.block(blocks.rows(USERS, worker), blocks.rows(ITEMS, worker))


def update_length(strata: Strata, parameters: Parameters, worker: int) -> int:
    """The number of floats that a worker publishes: enough for the largest group of items."""
    width = parameters.dim + parameters.biases
    users, largest = strata.users(worker), int(np.diff(strata.item_bounds).max())
    length: int = (users.stop - users.start + largest) * width
    return length


def renumbered(outside: Parameters, numbering: Numbering) -> Vector:
    """The same state, with each row at its new number."""
    inside = outside.like()
    for name, view in outside.views.items():
        inside.views[name][_numbers_of(name, numbering)] = view
    return inside.vector


def in_data_order(inside: Parameters, numbering: Numbering) -> Vector:
    """The inverse of `renumbered`: the same state, with each row at its number in the data."""
    outside = inside.like()
    for name, view in inside.views.items():
        outside.views[name][...] = view[_numbers_of(name, numbering)]
    return outside.vector


def _numbers_of(name: str, numbering: Numbering) -> IntArray | slice:
    if name.startswith("user_"):
        return numbering.users
    return numbering.items if name.startswith("item_") else slice(None)
