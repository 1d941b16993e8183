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

from typing import NamedTuple

import numpy as np
from numba import types

from ddp.machine.compiled.jit import compiled
from ddp.machine.compiled.lane_factors import factorise
from ddp.machine.compiled.lane_normals import lane_normals
from ddp.machine.compiled.lane_systems import add_noise, complete, substitute
from ddp.machine.compiled.lanes import to_lanes
from ddp.machine.compiled.simd import FLOAT_BYTES, LANES
from ddp.model.parameters import Vector
from ddp.ratings.arrays import Doubles
from ddp.trainers.posterior.arguments import (
    DOUBLES_TYPE,
    FLOATS2_TYPE,
    FLOATS_TYPE,
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
from ddp.trainers.posterior.places import PLACES_TYPE, Places, places_at
from ddp.trainers.posterior.row_sums import source_of, sum_row

DOUBLE_BYTES = 8


class Lanes(NamedTuple):
    """Addresses of what 8 rows have in lanes.

    | field        | shape          | has                                                          |
    |--------------|----------------|--------------------------------------------------------------|
    | `sums`       | (3, 8)         | float64: the sums of g, g t and g t^2                        |
    | `precisions` | (8,)           | float32: h of each row                                       |
    | `right`      | (1 + width, 8) | float32: prior precision times prior mean                    |
    | `keys`       | (8,)           | uint64: of the draws                                         |
    | `x`          | (1 + width, 8) | float32: the rows                                            |
    | `change`     | (8,)           | float64: x'Mx - 2 x'b                                        |
    """

    sums: np.int64
    precisions: np.int64
    right: np.int64
    keys: np.int64
    x: np.int64
    change: np.int64


LANES_TYPE = types.NamedUniTuple(types.int64, len(Lanes._fields), Lanes)


@compiled(types.void(types.int64, PRIOR_TYPE, RULE_TYPE, PLACES_TYPE, LANES_TYPE))
def solve_systems(dim: int, prior: Prior, rule: Rule, places: Places, eight: Lanes) -> None:
    """Makes M and b of 8 rows from their sums, and solves M x = b, or draws x around the solution.

    It writes `x` and `change`.
    """
    lanes, width, corner = places.lanes, places.width, places.corner
    precisions, diagonal = eight.precisions, prior.single[0, 0]
    to_lanes(places.sums, places.lines, precisions, prior.lines.ctypes.data, lanes)
    complete(eight.sums, precisions, diagonal, eight.right, rule.weighted, lanes, width, corner)
    factorise(lanes, width, corner)
    if rule.noise > 0:
        lane_normals(eight.keys, 2 * ((width + 2) // 2), places.normals)
    add_noise(lanes, width, corner, places.normals, rule.noise, dim, eight.x, eight.change)
    substitute(lanes, width, corner, eight.x)


@compiled(types.void(SIDE_TYPE, types.int64, FLOATS2_TYPE, types.int64))
def write_rows(own: Side, first: int, x: Vector, count: int) -> None:
    """Writes the first `count` lanes of `x` to the rows from `first` on."""
    factors, bias = own.factors, own.bias
    for lane in range(count):
        bias[first + lane] = x[0, lane]
        for j in range(factors.shape[1]):
            factors[first + lane, j] = x[1 + j, lane]


@compiled(types.float64(FLOATS2_TYPE, types.int64, types.int64))
def square_of(x: Vector, lane: int, size: int) -> float:
    """The square of the first `size` numbers of a lane."""
    total = 0.0
    for j in range(size):
        total += np.float64(x[j, lane]) * np.float64(x[j, lane])
    return total


@compiled(
    types.void(
        *(ROW_RATINGS_TYPE, types.int64, SIDE_TYPE, SIDE_TYPE, types.float32),
        *(types.float32, PRIOR_TYPE, FLOATS2_TYPE, RULE_TYPE, DOUBLES_TYPE, FLOATS_TYPE),
    ),
    calls=(mixed, places_at, source_of, sum_row),
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
    memory: Vector,
) -> None:
    """Makes the rows of `own` from `first_row` on, one for each row of `ratings`, in place.

    | argument    | meaning                                                                    |
    |-------------|----------------------------------------------------------------------------|
    | `mean`      | the mean rating                                                            |
    | `precision` | the common precision of the noise of a rating                              |
    | `right`     | prior precision times prior mean: (1, K), or of each row                   |
    | `rule`      | how; its key is that of the half-sweep                                     |
    | `terms`     | adds for each row: h sum g t^2 - 2 x'b + x'Mx, without `weighted`          |
    | `memory`    | (memory_floats(dim),) for 8 rows, zeros before the first call              |
    """
    dim, num_rows = own.factors.shape[1], ratings.starts.shape[0] - 1
    source, starts = source_of(ratings, other), ratings.starts
    places = places_at(dim, np.int64(memory.ctypes.data))
    sums, precisions = np.zeros((3, LANES)), np.zeros(LANES, np.float32)
    rights = np.zeros((1 + places.width, LANES), np.float32)
    keys, change = np.zeros(LANES, np.uint64), np.zeros(LANES)
    x = np.zeros((1 + places.width, LANES), np.float32)
    eight = Lanes(
        np.int64(sums.ctypes.data),
        np.int64(precisions.ctypes.data),
        np.int64(rights.ctypes.data),
        np.int64(keys.ctypes.data),
        np.int64(x.ctypes.data),
        np.int64(change.ctypes.data),
    )
    for first in range(0, num_rows, LANES):
        count = min(LANES, num_rows - first)
        for lane in range(LANES):
            row = min(first + lane, num_rows - 1)
            start, stop = starts[row], starts[row + 1]
            if lane >= count:  # a lane without a row has no ratings
                stop = start
            out = places.sums + lane * places.lines * LANES * FLOAT_BYTES
            sum_row(source, start, stop, mean, places, out, eight.sums + lane * DOUBLE_BYTES)
            keys[lane] = mixed(rule.key ^ mixed(np.uint64(first_row + row)))
            precisions[lane] = precision * own.trust[first_row + row]
            if first == 0 or right.shape[0] > 1:
                for j in range(dim + 1):
                    rights[j, lane] = right[min(row, right.shape[0] - 1), j]
        solve_systems(dim, prior, rule, places, eight)
        write_rows(own, first_row + first, x, count)
        for lane in range(count):
            term = np.float64(precisions[lane]) * sums[2, lane] + change[lane]
            if rule.weighted > 0:
                added = rule.weighted * max(sums[0, lane], 1.0)
                term -= added * square_of(x, lane, dim + 1)
            terms[first + lane] += term
