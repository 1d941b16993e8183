"""The compiled kernels that sum the products of the ratings of a row."""

from typing import NamedTuple

import numpy as np
from numba import types

from ddp.machine.compiled.jit import compiled
from ddp.machine.compiled.lanes import outer_sums
from ddp.machine.compiled.packing import add_heads, pack, prefetch_rows
from ddp.machine.compiled.simd import FLOAT_BYTES, LANES, add_scaled
from ddp.trainers.posterior.arguments import ROW_RATINGS_TYPE, SIDE_TYPE, RowRatings, Side
from ddp.trainers.posterior.places import PLACES_TYPE, Places

# A row with more ratings is summed in segments of so many: workers may share them, and the bits
# stay the same.
SEGMENT = 4096
NEAR_BYTES = 1 << 18  # rows are prefetched, unless all fit into half of a small second-level cache
ID_BYTES = 4


class Source(NamedTuple):
    """Addresses of `others` and `values` of the ratings, and of the rows of the other side.

    `end`: the number of ratings. `is_far`: 1 if the rows are worth a prefetch.
    """

    others: np.int64
    values: np.int64
    end: int
    factors: np.int64
    bias: np.int64
    trust: np.int64
    dim: int
    is_far: int


SOURCE_TYPE = types.NamedUniTuple(types.int64, len(Source._fields), Source)


@compiled(SOURCE_TYPE(ROW_RATINGS_TYPE, SIDE_TYPE))
def source_of(ratings: RowRatings, other: Side) -> Source:
    """The source of these ratings, for the rows of `other`."""
    num_rows, dim = other.factors.shape
    is_far = num_rows * dim * FLOAT_BYTES > NEAR_BYTES
    return Source(
        np.int64(ratings.others.ctypes.data),
        np.int64(ratings.values.ctypes.data),
        ratings.others.shape[0],
        np.int64(other.factors.ctypes.data),
        np.int64(other.bias.ctypes.data),
        np.int64(other.trust.ctypes.data),
        dim,
        1 if is_far else 0,
    )


@compiled(
    types.void(
        *(SOURCE_TYPE, types.int64, types.int64, types.float32, PLACES_TYPE),
        *(types.intp, types.intp, types.boolean),
    )
)
def sum_segment(
    source: Source,
    start: int,
    stop: int,
    mean: np.float32,
    places: Places,
    sums: np.int64,
    head: np.int64,
    goes_on: bool,
) -> None:
    """Writes the sums of the ratings start .. stop to the address `sums` (lanes.py).

    `head` and `goes_on`: of the row, see `add_heads`. While it sums some ratings, the rows of the
    next ones come into the cache, also those of the next segment or row.
    """
    factors, dim, stride = source.factors, source.dim, LANES + places.width
    for begin in range(start, max(stop, start + 1), places.batch):  # once without ratings
        here = min(places.batch, stop - begin)
        others, values = source.others + begin * ID_BYTES, source.values + begin * FLOAT_BYTES
        trust, heads, packed = source.trust, places.heads, places.packed
        bias = source.bias
        pack(others, values, mean, here, factors, bias, trust, dim, packed, stride, heads)
        if source.is_far > 0:
            following = min(places.batch, source.end - (begin + here))
            prefetch_rows(others + here * ID_BYTES, following, factors, dim)
        add_heads(heads, here, head, goes_on or begin > start)
        outer_sums(packed, here, places.width, sums, begin > start)


@compiled(
    types.void(
        SOURCE_TYPE, types.int64, types.int64, types.float32, PLACES_TYPE, types.intp, types.intp
    )
)
def sum_row(
    source: Source,
    start: int,
    stop: int,
    mean: np.float32,
    places: Places,
    sums: np.int64,
    head: np.int64,
) -> None:
    """Writes the sums of all ratings of a row, segment by segment."""
    sum_segment(source, start, min(start + SEGMENT, stop), mean, places, sums, head, False)
    for begin in range(start + SEGMENT, stop, SEGMENT):
        end = min(begin + SEGMENT, stop)
        sum_segment(source, begin, end, mean, places, places.segment, head, True)
        add_scaled(places.segment, sums, places.lines * LANES, np.float32(1))
