"""The arrays in which a kernel makes 8 rows at once."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from ddp.machine.compiled.jit import compiled
from ddp.machine.compiled.lanes import lines_before
from ddp.machine.compiled.simd import LANES
from ddp.model.parameters import Vector
from ddp.ratings.arrays import Doubles
from ddp.trainers.posterior.arguments import (
    DOUBLES2_TYPE,
    FLOATS2_TYPE,
    FLOATS3_TYPE,
    FLOATS_TYPE,
    STATE_TYPE,
)

PACKED = 64  # ratings that are packed at a time: with 64 floats each they fill half of the L1 cache
HEAD = LANES - 2  # place of the target in a packed rating; the root of its trust follows


class Room(NamedTuple):
    """Room for the systems of 8 rows, see lanes.py and lane_systems.py.

    | field     | shape              | has                                                         |
    |-----------|--------------------|-------------------------------------------------------------|
    | `packed`  | (PACKED, 8 + width)| packed ratings, with zeros in all columns that none fills   |
    | `segment` | (lines, 8)         | the sums of a segment of a row                              |
    | `sums`    | (8, lines, 8)      | the sums of each row                                        |
    | `heads`   | (8, 3)             | float64: the number of its ratings, the sums of t and t^2   |
    | `lanes`   | (lines, 8, 8)      | M and b, and then their factors                             |
    | `corner`  | (3 + width, 8)     | the rest of M and b                                         |
    | `right`   | (1 + width, 8)     | b                                                           |
    | `x`       | (1 + width, 8)     | the rows                                                    |
    | `normals` | (2 + width, 8)     | the draws                                                   |
    | `keys`    | (8,)               | uint64: the keys of the draws                               |
    | `precisions` | (8,)            | the precision of the noise of each row's ratings, but for g |
    """

    packed: Vector
    segment: Vector
    sums: Vector
    heads: Doubles
    lanes: Vector
    corner: Vector
    right: Vector
    x: Vector
    normals: Vector
    keys: npt.NDArray[np.uint64]
    precisions: Vector


ROOM_TYPE = types.NamedTuple(
    (
        *(FLOATS2_TYPE, FLOATS2_TYPE, FLOATS3_TYPE, DOUBLES2_TYPE, FLOATS3_TYPE),
        *(FLOATS2_TYPE, FLOATS2_TYPE, FLOATS2_TYPE, FLOATS2_TYPE, STATE_TYPE, FLOATS_TYPE),
    ),
    Room,
)


@compiled(ROOM_TYPE(types.int64))
def new_room(dim: int) -> Room:
    """Room for rows with `dim` factors."""
    width = -(-dim // LANES) * LANES
    lines = lines_before(width // LANES)
    packed = np.zeros((PACKED, LANES + width), np.float32)
    return Room(
        packed,
        np.empty((lines, LANES), np.float32),
        np.empty((LANES, lines, LANES), np.float32),
        np.empty((LANES, 3), np.float64),
        np.empty((lines, LANES, LANES), np.float32),
        np.empty((3 + width, LANES), np.float32),
        np.empty((1 + width, LANES), np.float32),
        np.empty((1 + width, LANES), np.float32),
        np.empty((2 + width, LANES), np.float32),
        np.empty(LANES, np.uint64),
        np.empty(LANES, np.float32),
    )
