"""The arguments of the kernels that make rows anew, and their types for numba."""

from typing import NamedTuple

import numpy as np
from numba import types

from ddp.model.parameters import Vector
from ddp.ratings.arrays import Doubles, FloatArray, IndexArray, IntArray


class RowRatings(NamedTuple):
    """The ratings of some rows of a side: row n has those from starts[n] to starts[n + 1].

    `others`: the rows of the other side that they are for.
    """

    starts: IndexArray
    others: IntArray
    values: FloatArray


class Side(NamedTuple):
    """The rows of all users, or of all items: float32 (n, dim), (n,) and (n,).

    The precision of the noise of a rating is the common one, times the trusts of its user and item.
    """

    factors: Vector
    bias: Vector
    trust: Vector


class Prior(NamedTuple):
    """The normal prior of the rows of a side.

    | field    | shape      | meaning                                                             |
    |----------|------------|---------------------------------------------------------------------|
    | `matrix` | (K, K)     | its precision, float64; K = dim + 1, the bias first                 |
    | `mean`   | (K,)       | its mean, float64                                                   |
    | `lines`  | (lines, 8) | the precision as the sums of a system lie (lanes.py), float32       |
    | `right`  | (K,)       | precision times mean, float32                                       |
    | `single` | (K, K)     | the precision, float32                                              |
    """

    matrix: Doubles
    mean: Doubles
    lines: Vector
    right: Vector
    single: Vector


class Rule(NamedTuple):
    """How rows are made.

    | field      | meaning                                                                  |
    |------------|--------------------------------------------------------------------------|
    | `noise`    | 1: rows and priors are drawn; 0: each row is the mean, and the prior and |
    |            | the precision stay as they are                                           |
    | `weighted` | is added to the diagonal of a row's system once per rating               |
    | `trusts`   | 1: each row has a trust of its own; 0: all trusts are 1                  |
    | `key`      | of all draws                                                             |
    """

    noise: np.float32
    weighted: np.float32
    trusts: np.float32
    key: np.uint64


class HalfSweep(NamedTuple):
    """All arrays that a worker needs for one half of a sweep.

    | field     | meaning                                                                   |
    |-----------|---------------------------------------------------------------------------|
    | `own`     | the rows of the side that is drawn                                        |
    | `other`   | the rows of the other side                                                |
    | `ratings` | the ratings of the worker's rows of this side                             |
    | `bounds`  | block n has the rows bounds[n] to bounds[n + 1] - 1                       |
    | `blocks`  | the worker's blocks: the first, and the one after the last                |
    | `prior`   | the prior of this side, which the worker draws                            |
    | `right`   | prior precision times prior mean: (1, K), or of each row of the worker    |
    | `offset`  | prior mean of each row of the worker less the common one; (0, K): none    |
    | `terms`   | room for a number per row of the worker                                   |
    | `errors`  | room for another one                                                      |
    | `total`   | room for the sums of the side                                             |
    | `spread`  | (1,): the shape of the prior of the trusts                                |
    | `memory`  | float32: see places.py                                                    |
    """

    own: Side
    other: Side
    ratings: RowRatings
    bounds: IndexArray
    blocks: IndexArray
    prior: Prior
    right: Vector
    offset: Vector
    terms: Doubles
    errors: Doubles
    total: Doubles
    spread: Doubles
    memory: Vector


class Pairs(NamedTuple):
    """Users, items and the sum of the predictions so far, float32, of held-out ratings."""

    users: IntArray
    items: IntArray
    predictions: Vector


DOUBLES_TYPE = types.Array(types.float64, 1, "C")
DOUBLES2_TYPE = types.Array(types.float64, 2, "C")
FLOATS_TYPE = types.Array(types.float32, 1, "C")
FLOATS2_TYPE = types.Array(types.float32, 2, "C")
INDEX_TYPE = types.Array(types.int64, 1, "C")
STATE_TYPE = types.Array(types.uint64, 1, "C")
IDS_TYPE = types.Array(types.int32, 1, "C", readonly=True)
VALUES_TYPE = types.Array(types.float32, 1, "C", readonly=True)

ROW_RATINGS_TYPE = types.NamedTuple((INDEX_TYPE, IDS_TYPE, VALUES_TYPE), RowRatings)
SIDE_TYPE = types.NamedTuple((FLOATS2_TYPE, FLOATS_TYPE, FLOATS_TYPE), Side)
PRIOR_TYPE = types.NamedTuple(
    (DOUBLES2_TYPE, DOUBLES_TYPE, FLOATS2_TYPE, FLOATS_TYPE, FLOATS2_TYPE), Prior
)
RULE_TYPE = types.NamedTuple((types.float32, types.float32, types.float32, types.uint64), Rule)
HALF_TYPE = types.NamedTuple(
    (
        *(SIDE_TYPE, SIDE_TYPE, ROW_RATINGS_TYPE, INDEX_TYPE, INDEX_TYPE, PRIOR_TYPE),
        *(FLOATS2_TYPE, FLOATS2_TYPE, DOUBLES_TYPE, DOUBLES_TYPE, DOUBLES_TYPE, DOUBLES_TYPE),
        FLOATS_TYPE,
    ),
    HalfSweep,
)
PAIRS_TYPE = types.NamedTuple((IDS_TYPE, IDS_TYPE, FLOATS_TYPE), Pairs)
