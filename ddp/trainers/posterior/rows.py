"""The compiled kernel that draws rows of a model from their distribution, given all other rows.

A rating of user u for item i is normal around mean + b_u + b_i + <p_u, q_i>. Given the items, the
row x = (b_u, p_u) of a user is normal (Salakhutdinov and Mnih, Bayesian probabilistic matrix
factorization using Markov chain Monte Carlo, ICML 2008, eq. 11 to 13, here with biases):

    M = h sum_i g_i d_i d_i' + prior precision                    d_i = (1, q_i)
    b = h sum_i g_i t_i d_i + prior precision * prior mean        t_i = rating - mean - b_i
    x ~ N(M^-1 b, M^-1)

and likewise for items. The precision of the noise of a rating is h g_i: h is the common one times
the trust of the user, and g_i is the trust of the item. The draws of a row depend on the key of the
half-sweep and on the number of the row alone, so the result depends neither on the worker nor on
the rows beside it.
"""

import numpy as np
from numba import types

from ddp.machine.compiled.jit import compiled
from ddp.machine.compiled.lane_normals import lane_normals
from ddp.machine.compiled.lane_systems import factorise, substitute
from ddp.machine.compiled.lanes import lines_before, outer_sums, scale_row, to_lanes
from ddp.machine.compiled.simd import FLOAT_BYTES, LANES, prefetch
from ddp.model.parameters import Vector
from ddp.ratings.arrays import Doubles
from ddp.trainers.posterior.arguments import (
    DOUBLES_TYPE,
    FLOATS2_TYPE,
    PRIOR_TYPE,
    ROW_RATINGS_TYPE,
    RULE_TYPE,
    SIDE_TYPE,
    Prior,
    RowRatings,
    Rule,
    Side,
)
from ddp.trainers.posterior.draws import mixed
from ddp.trainers.posterior.room import HEAD, PACKED, ROOM_TYPE, Room, new_room

# A row with more ratings is summed in segments of so many: workers may share them, and the bits
# stay the same.
SEGMENT = 4096
AHEAD = 8  # the kernel prefetches the row of a rating so many ratings before it,
NEAR_BYTES = 1 << 18  # unless all rows fit into half of a small second-level cache
LINE_BYTES = 64  # a cache line


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

    Each counts by the trust g of its other row. `head` gets the sums of g, g t and g t^2. `packed`:
    (PACKED, 8 + width), zeros in all columns that no rating fills.
    """
    dim, width = other.factors.shape[1], packed.shape[1] - LANES
    row_bytes = dim * FLOAT_BYTES
    first = other.factors.ctypes.data
    is_far = other.factors.shape[0] * row_bytes > NEAR_BYTES
    first_packed = packed.ctypes.data + LANES * FLOAT_BYTES
    packed_bytes = (LANES + width) * FLOAT_BYTES
    last = stop - 1
    total, sum_t, sum_squares = 0.0, 0.0, 0.0
    for begin in range(start, stop, PACKED):
        count = min(PACKED, stop - begin)
        for n in range(count):
            if is_far:
                later = np.int64(ratings.others[min(begin + n + AHEAD, last)])
                for offset in range(0, row_bytes, LINE_BYTES):
                    prefetch(first + later * row_bytes + offset)
            row = np.int64(ratings.others[begin + n])
            trust = other.trust[row]
            root = np.sqrt(trust)
            scale_row(first + row * row_bytes, first_packed + n * packed_bytes, dim, root)
            t = ratings.values[begin + n] - mean - other.bias[row]
            packed[n, HEAD] = root * t
            packed[n, HEAD + 1] = root
            total += trust
            sum_t += trust * t
            sum_squares += np.float64(trust) * np.float64(t) * np.float64(t)
        outer_sums(packed.ctypes.data, count, width, sums.ctypes.data)
    head[0] += total
    head[1] += sum_t
    head[2] += sum_squares


@compiled(
    types.void(ROW_RATINGS_TYPE, types.int64, types.int64, SIDE_TYPE, types.float32, ROOM_TYPE)
)
def sum_row(
    ratings: RowRatings, row: int, lane: int, other: Side, mean: np.float32, room: Room
) -> None:
    """Writes the sums of all ratings of a row, segment by segment, to those of its lane."""
    sums, head = room.sums[lane], room.heads[lane]
    sums[:] = 0
    head[:] = 0
    start, stop = ratings.starts[row], ratings.starts[row + 1]
    if stop - start <= SEGMENT:
        add_ratings(ratings, start, stop, other, mean, room.packed, sums, head)
        return
    for begin in range(start, stop, SEGMENT):
        room.segment[:] = 0
        end = min(begin + SEGMENT, stop)
        add_ratings(ratings, begin, end, other, mean, room.packed, room.segment, head)
        sums += room.segment


@compiled(types.void(types.int64, PRIOR_TYPE, FLOATS2_TYPE, RULE_TYPE, ROOM_TYPE))
def make_systems(dim: int, prior: Prior, rights: Vector, rule: Rule, room: Room) -> None:
    """Makes M and b from the sums of 8 rows. `rights`: (8, K), prior precision times prior mean."""
    lanes, corner, right = room.lanes, room.corner, room.right
    width, lines = right.shape[0] - 1, lanes.shape[0]
    for lane in range(LANES):
        number, precision = np.float32(room.heads[lane, 0]), room.precisions[lane]
        own = rule.weighted * max(number, np.float32(1))
        corner[0, lane] = precision * number + prior.single[0, 0] + own
        corner[1, lane] = precision * np.float32(room.heads[lane, 1]) + rights[lane, 0]
    precisions = room.precisions.ctypes.data
    to_lanes(room.sums.ctypes.data, lines, precisions, prior.lines.ctypes.data, lanes.ctypes.data)
    right[0] = corner[1]
    for j in range(width):
        line, inside = lines_before(j // LANES), j % LANES
        for lane in range(LANES):
            added = rights[lane, 1 + j] if j < dim else np.float32(0)
            if rule.weighted > 0:
                number = np.float32(max(room.heads[lane, 0], 1))
                lanes[line + 2 + j, inside, lane] += rule.weighted * number
            lanes[line, inside, lane] += added
            right[1 + j, lane] = lanes[line, inside, lane]


@compiled(types.void(types.int64, RULE_TYPE, ROOM_TYPE, types.int64, DOUBLES_TYPE))
def solve_systems(dim: int, rule: Rule, room: Room, count: int, terms: Doubles) -> None:
    """Solves M x = b, or draws x around the solution. `terms`: see `draw_rows`, of `count` rows."""
    lanes, corner, x = room.lanes.ctypes.data, room.corner.ctypes.data, room.x
    width = x.shape[0] - 1
    factorise(lanes, width, corner)
    x[0] = room.corner[1]
    for j in range(width):
        x[1 + j] = room.lanes[lines_before(j // LANES), j % LANES]
    if rule.noise > 0:
        lane_normals(room.keys.ctypes.data, 2 * ((width + 2) // 2), room.normals.ctypes.data)
        for j in range(width + 1):
            for lane in range(LANES):
                x[j, lane] += rule.noise * room.normals[j, lane]
    squares, products = np.zeros(LANES), np.zeros(LANES)
    for j in range(dim + 1):
        for lane in range(LANES):
            squares[lane] += np.float64(x[j, lane]) * np.float64(x[j, lane])
    substitute(lanes, width, corner, x.ctypes.data)
    for j in range(dim + 1):
        for lane in range(LANES):
            value = np.float64(x[j, lane])
            added = rule.weighted * max(room.heads[lane, 0], 1.0)
            products[lane] += value * np.float64(room.right[j, lane])
            squares[lane] -= added * value * value
    for lane in range(count):
        squared = np.float64(room.precisions[lane]) * room.heads[lane, 2]
        terms[lane] += squared - 2 * products[lane] + squares[lane]


@compiled(
    types.void(
        *(ROW_RATINGS_TYPE, types.int64, SIDE_TYPE, SIDE_TYPE, types.float32),
        *(types.float32, PRIOR_TYPE, FLOATS2_TYPE, RULE_TYPE, DOUBLES_TYPE),
    ),
    calls=(mixed, new_room),
)
def draw_rows(
    ratings: RowRatings,
    first_row: int,
    own: Side,
    other: Side,
    mean: np.float32,
    precision: np.float32,
    prior: Prior,
    right: Vector,
    rule: Rule,
    terms: Doubles,
) -> None:
    """Makes the rows of `own` from `first_row` on, one for each row of `ratings`, in place.

    | argument    | meaning                                                                    |
    |-------------|----------------------------------------------------------------------------|
    | `mean`      | the mean rating                                                            |
    | `precision` | the common precision of the noise of a rating                              |
    | `right`     | prior precision times prior mean: (1, K), or of each row                   |
    | `rule`      | how; its key is that of the half-sweep                                     |
    | `terms`     | adds for each row: h sum g t^2 - 2 x'b + x'Mx, without `weighted`          |
    """
    dim, num_rows = own.factors.shape[1], ratings.starts.shape[0] - 1
    room = new_room(dim)
    rights = np.zeros((LANES, dim + 1), np.float32)
    for first in range(0, num_rows, LANES):
        count = min(LANES, num_rows - first)
        for lane in range(count):
            sum_row(ratings, first + lane, lane, other, mean, room)
            room.keys[lane] = mixed(rule.key ^ mixed(np.uint64(first_row + first + lane)))
            room.precisions[lane] = precision * own.trust[first_row + first + lane]
            rights[lane] = right[min(first + lane, right.shape[0] - 1), : dim + 1]
        room.sums[count:] = 0
        room.heads[count:] = 0
        room.keys[count:] = 0
        room.precisions[count:] = 0
        make_systems(dim, prior, rights, rule, room)
        solve_systems(dim, rule, room, count, terms[first:])
        for lane in range(count):
            row = first_row + first + lane
            own.bias[row] = room.x[0, lane]
            own.factors[row] = room.x[1 : 1 + dim, lane]
