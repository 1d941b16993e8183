"""The memory in which a kernel makes 8 rows at once."""

from typing import NamedTuple

import numpy as np
from numba import types

from ddp.machine.compiled.jit import compiled
from ddp.machine.compiled.lanes import lines_before
from ddp.machine.compiled.packing import MOST_PACKED
from ddp.machine.compiled.simd import FLOAT_BYTES, LANES

PACKED_FLOATS = 4096  # of ratings that are packed at a time: half of a small first-level cache


class Places(NamedTuple):
    """Addresses of float32, see lanes.py and lane_systems.py, and some sizes.

    A kernel that has addresses instead of arrays counts no references.

    | field     | shape                | has                                                       |
    |-----------|----------------------|-----------------------------------------------------------|
    | `packed`  | (batch, 8 + width)   | packed ratings, with zeros in all columns that none fills |
    | `heads`   | (2, MOST_PACKED + 8) | their targets and roots                                   |
    | `segment` | (lines, 8)           | the sums of a segment of a row                            |
    | `sums`    | (8, lines, 8)        | the sums of each row                                      |
    | `lanes`   | (lines, 8, 8)        | M and b, and then their factors                           |
    | `corner`  | (3 + width, 8)       | the rest of M and b                                       |
    | `normals` | (2 + width, 8)       | the draws                                                 |
    """

    packed: np.int64
    heads: np.int64
    segment: np.int64
    sums: np.int64
    lanes: np.int64
    corner: np.int64
    normals: np.int64
    batch: int
    width: int
    lines: int


PLACES_TYPE = types.NamedUniTuple(types.int64, len(Places._fields), Places)


@compiled(PLACES_TYPE(types.int64, types.int64))
def places_at(dim: int, first: np.int64) -> Places:
    """The places for rows with `dim` factors in a memory of zeros at the address `first`."""
    width = -(-dim // LANES) * LANES
    lines = lines_before(width // LANES)
    batch = min(max(PACKED_FLOATS // (LANES + width), LANES), MOST_PACKED)
    vector = LANES * FLOAT_BYTES
    heads = first + batch * (LANES + width) * FLOAT_BYTES
    segment = heads + 2 * (MOST_PACKED + LANES) * FLOAT_BYTES
    sums = segment + lines * vector
    lanes = sums + LANES * lines * vector
    corner = lanes + LANES * lines * vector
    normals = corner + (3 + width) * vector
    return Places(first, heads, segment, sums, lanes, corner, normals, batch, width, lines)


@compiled(types.int64(types.int64))
def memory_floats(dim: int) -> int:
    """The floats of the memory for rows with `dim` factors."""
    places = places_at(dim, np.int64(0))
    return int(places.normals) // FLOAT_BYTES + (2 + places.width) * LANES
