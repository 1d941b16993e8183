"""The compiled kernel that draws rows of a model from their distribution, given all other rows.

A rating of user u for item i is normal around mean + b_u + b_i + <p_u, q_i>. Given the items, the
row x = (b_u, p_u) of a user is normal (Salakhutdinov and Mnih, Bayesian probabilistic matrix
factorization using Markov chain Monte Carlo, ICML 2008, eq. 11 to 13, here with biases):

    M = precision * sum_i d_i d_i' + prior precision      d_i = (1, q_i)
    b = precision * sum_i t_i d_i + prior precision * prior mean     t_i = rating - mean - b_i
    x ~ N(M^-1 b, M^-1)

and likewise for items. The draws of a row depend on the key of the half-sweep and on the number of
the row alone, so the result depends neither on the worker nor on the rows beside it.
"""

from typing import NamedTuple

import numpy as np
from numba import types

from ddp.machine.compiled.jit import compiled
from ddp.machine.compiled.lane_normals import lane_normals
from ddp.machine.compiled.lanes import factorise, outer_sums, substitute, to_lanes
from ddp.machine.compiled.simd import FLOAT_BYTES, LANES, copy_row, prefetch
from ddp.model.parameters import Vector
from ddp.ratings.arrays import Doubles, FloatArray, IndexArray, IntArray

PACKED = 64  # ratings that are packed at a time: with 64 floats each they fill half of the L1 cache
# A row with more ratings is summed in segments of so many: workers may share them, and the bits
# stay the same.
SEGMENT = 4096
AHEAD = 8  # the kernel prefetches the row of a rating so many ratings before it,
NEAR_BYTES = 1 << 18  # unless all rows fit into half of a small second-level cache
LINE_BYTES = 64  # a cache line
HEAD = LANES - 2  # place of the target in a packed rating; the constant 1 follows


class RowRatings(NamedTuple):
    """The ratings of some rows of a side: row n has those from starts[n] to starts[n + 1].

    `others`: the rows of the other side that they are for.
    """

    starts: IndexArray
    others: IntArray
    values: FloatArray


class Side(NamedTuple):
    """The rows of all users, or of all items: float32 (n, dim) and (n,)."""

    factors: Vector
    bias: Vector


class Prior(NamedTuple):
    """The normal prior of the rows of a side.

    | field    | shape      | meaning                                                             |
    |----------|------------|---------------------------------------------------------------------|
    | `matrix` | (K, K)     | its precision, float64; K = dim + 1, the bias first                 |
    | `mean`   | (K,)       | its mean, float64                                                   |
    | `lines`  | (lines, 8) | the precision as the sums of a system lie (lanes.py), float32       |
    | `right`  | (K,)       | precision times mean, float32                                       |
    """

    matrix: Doubles
    mean: Doubles
    lines: Vector
    right: Vector


ROW_RATINGS_TYPE = types.NamedTuple(
    (
        types.Array(types.int64, 1, "C"),
        types.Array(types.int32, 1, "C", readonly=True),
        types.Array(types.float32, 1, "C", readonly=True),
    ),
    RowRatings,
)
SIDE_TYPE = types.NamedTuple(
    (types.Array(types.float32, 2, "C"), types.Array(types.float32, 1, "C")), Side
)
PRIOR_TYPE = types.NamedTuple(
    (
        types.Array(types.float64, 2, "C"),
        types.Array(types.float64, 1, "C"),
        types.Array(types.float32, 2, "C"),
        types.Array(types.float32, 1, "C"),
    ),
    Prior,
)
DOUBLES_TYPE = types.Array(types.float64, 1, "C")
FLOATS2_TYPE = types.Array(types.float32, 2, "C")


@compiled(types.int64(types.int64))
def lines_before(block: int) -> int:
    """The lines of the sums before a block of 8 columns, see lanes.py."""
    return 4 * block * block + 6 * block


@compiled(types.uint64(types.uint64))
def mixed(state: np.uint64) -> np.uint64:
    """The output of splitmix64 for a state (Steele, Lea, Flood, OOPSLA 2014)."""
    state += np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


@compiled(
    types.void(
        *(ROW_RATINGS_TYPE, types.int64, types.int64, SIDE_TYPE, types.float32),
        *(FLOATS2_TYPE, FLOATS2_TYPE, DOUBLES_TYPE),
    )
)
def add_ratings(
    ratings: RowRatings,
    start: int,
    stop: int,
    other: Side,
    mean: np.float32,
    packed: Vector,
    sums: Vector,
    head: Doubles,
) -> None:
    """Adds ratings start .. stop to the sums of their row (lanes.py).

    `head` gets their number, and the sums of t and of t^2. `packed`: (PACKED, 8 + width), zeros in
    all columns that no rating fills.
    """
    dim, width = other.factors.shape[1], packed.shape[1] - LANES
    row_bytes = dim * FLOAT_BYTES
    first = other.factors.ctypes.data
    is_far = other.factors.shape[0] * row_bytes > NEAR_BYTES
    first_packed = packed.ctypes.data + LANES * FLOAT_BYTES
    packed_bytes = (LANES + width) * FLOAT_BYTES
    last = stop - 1
    sum_t, sum_squares = 0.0, 0.0
    for begin in range(start, stop, PACKED):
        count = min(PACKED, stop - begin)
        for n in range(count):
            if is_far:
                later = np.int64(ratings.others[min(begin + n + AHEAD, last)])
                for offset in range(0, row_bytes, LINE_BYTES):
                    prefetch(first + later * row_bytes + offset)
            row = np.int64(ratings.others[begin + n])
            copy_row(first + row * row_bytes, first_packed + n * packed_bytes, dim)
            t = ratings.values[begin + n] - mean - other.bias[row]
            packed[n, HEAD] = t
            sum_t += t
            sum_squares += np.float64(t) * np.float64(t)
        outer_sums(packed.ctypes.data, count, width, sums.ctypes.data)
    head[0] += stop - start
    head[1] += sum_t
    head[2] += sum_squares


@compiled(
    types.void(
        *(ROW_RATINGS_TYPE, types.int64, SIDE_TYPE, types.float32),
        *(FLOATS2_TYPE, FLOATS2_TYPE, FLOATS2_TYPE, DOUBLES_TYPE),
    ),
    calls=(add_ratings,),
)
def sum_row(
    ratings: RowRatings,
    row: int,
    other: Side,
    mean: np.float32,
    packed: Vector,
    segment: Vector,
    sums: Vector,
    head: Doubles,
) -> None:
    """Writes the sums of all ratings of a row, segment by segment. `segment`: room for one."""
    sums[:] = 0
    head[:] = 0
    start, stop = ratings.starts[row], ratings.starts[row + 1]
    if stop - start <= SEGMENT:
        add_ratings(ratings, start, stop, other, mean, packed, sums, head)
        return
    for begin in range(start, stop, SEGMENT):
        segment[:] = 0
        end = min(begin + SEGMENT, stop)
        add_ratings(ratings, begin, end, other, mean, packed, segment, head)
        sums += segment


@compiled(
    types.void(
        *(ROW_RATINGS_TYPE, types.int64, SIDE_TYPE, SIDE_TYPE, types.float32),
        *(types.float32, PRIOR_TYPE, types.float32, types.uint64, types.float32, DOUBLES_TYPE),
    ),
    calls=(sum_row, mixed),
)
def draw_rows(
    ratings: RowRatings,
    first_row: int,
    own: Side,
    other: Side,
    mean: np.float32,
    precision: np.float32,
    prior: Prior,
    weighted: np.float32,
    key: np.uint64,
    noise: np.float32,
    terms: Doubles,
) -> None:
    """Draws the rows of `own` from `first_row` on, one for each row of `ratings`, in place.

    | argument    | meaning                                                                    |
    |-------------|----------------------------------------------------------------------------|
    | `precision` | of the noise of a rating                                                   |
    | `weighted`  | is added to the diagonal of M once per rating of the row (0: nothing is)   |
    | `noise`     | 1: a draw; 0: the mean of the distribution                                 |
    | `terms`     | gets of each row: precision * sum t^2 - 2 x'b + x'Mx, without `weighted`   |
    """
    dim = own.factors.shape[1]
    width = -(-dim // LANES) * LANES
    lines = lines_before(width // LANES)
    num_rows = ratings.starts.shape[0] - 1
    packed = np.zeros((PACKED, LANES + width), np.float32)
    packed[:, HEAD + 1] = 1
    segment = np.empty((lines, LANES), np.float32)
    sums = np.empty((LANES, lines, LANES), np.float32)
    heads = np.empty((LANES, 3), np.float64)
    lanes = np.empty((lines, LANES, LANES), np.float32)
    corner = np.empty((3 + width, LANES), np.float32)
    right = np.empty((1 + width, LANES), np.float32)
    x = np.empty((1 + width, LANES), np.float32)
    normals = np.empty((2 + width, LANES), np.float32)
    keys = np.empty(LANES, np.uint64)
    products, squares = np.empty(LANES, np.float64), np.empty(LANES, np.float64)
    for first in range(0, num_rows, LANES):
        count = min(LANES, num_rows - first)
        for lane in range(LANES):
            if lane < count:
                sum_row(
                    ratings, first + lane, other, mean, packed, segment, sums[lane], heads[lane]
                )
            else:
                sums[lane] = 0
                heads[lane] = 0
            keys[lane] = mixed(key ^ mixed(np.uint64(first_row + first + lane)))
            number = np.float32(heads[lane, 0])
            corner[0, lane] = (
                precision * number
                + np.float32(prior.matrix[0, 0])
                + weighted * max(number, np.float32(1))
            )
            corner[1, lane] = precision * np.float32(heads[lane, 1]) + prior.right[0]
        to_lanes(sums.ctypes.data, lines, precision, prior.lines.ctypes.data, lanes.ctypes.data)
        right[0] = corner[1]
        for j in range(width):
            line, inside = lines_before(j // LANES), j % LANES
            added = prior.right[1 + j] if j < dim else np.float32(0)
            for lane in range(LANES):
                if weighted > 0:
                    lanes[line + 2 + j, inside, lane] += weighted * np.float32(
                        max(heads[lane, 0], 1)
                    )
                lanes[line, inside, lane] += added
                right[1 + j, lane] = lanes[line, inside, lane]
        factorise(lanes.ctypes.data, width, corner.ctypes.data)
        x[0] = corner[1]
        for j in range(width):
            x[1 + j] = lanes[lines_before(j // LANES), j % LANES]
        if noise > 0:
            lane_normals(keys.ctypes.data, 2 * ((width + 2) // 2), normals.ctypes.data)
            for j in range(width + 1):
                for lane in range(LANES):
                    x[j, lane] += noise * normals[j, lane]
        squares[:] = 0
        products[:] = 0
        for j in range(dim + 1):
            for lane in range(LANES):
                squares[lane] += np.float64(x[j, lane]) * np.float64(x[j, lane])
        substitute(lanes.ctypes.data, width, corner.ctypes.data, x.ctypes.data)
        for j in range(dim + 1):
            for lane in range(LANES):
                value = np.float64(x[j, lane])
                added = weighted * max(heads[lane, 0], 1.0)
                products[lane] += value * np.float64(right[j, lane])
                squares[lane] -= added * value * value
        for lane in range(count):
            row = first_row + first + lane
            own.bias[row] = x[0, lane]
            for j in range(dim):
                own.factors[row, j] = x[1 + j, lane]
            terms[first + lane] = precision * heads[lane, 2] - 2 * products[lane] + squares[lane]
