"""The arguments of the kernels that draw weights, and their types for numba."""

from typing import NamedTuple

from numba import types

from ddp.model.parameters import Vector
from ddp.ratings.arrays import Doubles, IndexArray
from ddp.ratings.known import Known
from ddp.trainers.posterior.arguments import (
    DOUBLES_TYPE,
    FLOATS2_TYPE,
    IDS_TYPE,
    INDEX_TYPE,
    VALUES_TYPE,
)


class Weights(NamedTuple):
    """The weights of a side, and the room for a pass. Workers share the first four.

    | field       | shape   | meaning                                                            |
    |-------------|---------|--------------------------------------------------------------------|
    | `lines`     | (F, P)  | W, float32                                                         |
    | `turned`    | (F, P)  | W L, float32                                                       |
    | `residuals` | (n, P)  | (x - mu - W' f) L, float32                                         |
    | `squares`   | (P,)    | the sum of the squares of each column of W L, float64              |
    | `strength`  | (1,)    | of the prior of W, float64                                         |
    | `roots`     | (3P, P) | L, its transpose and its inverse, float32                          |
    | `right`     | (m, P)  | precision times prior mean of each row of the worker, float32      |
    | `offset`    | (m, P)  | W' f of each row of the worker, float32                            |

    P is K, rounded up to a multiple of 8; the columns from K on are 0.
    """

    lines: Vector
    turned: Vector
    residuals: Vector
    squares: Doubles
    strength: Doubles
    roots: Vector
    right: Vector
    offset: Vector


class Pass(NamedTuple):
    """All that a worker needs for the weights of a side; empty arrays if nothing is known.

    `shares`: its first feature, the one after its last, and the same for its columns.
    """

    known: Known
    weights: Weights
    shares: IndexArray


KNOWN_TYPE = types.NamedTuple(
    (
        *(INDEX_TYPE, IDS_TYPE, VALUES_TYPE, INDEX_TYPE),
        *(IDS_TYPE, VALUES_TYPE, VALUES_TYPE, VALUES_TYPE),
    ),
    Known,
)
WEIGHTS_TYPE = types.NamedTuple(
    (
        *(FLOATS2_TYPE, FLOATS2_TYPE, FLOATS2_TYPE, DOUBLES_TYPE, DOUBLES_TYPE),
        *(FLOATS2_TYPE, FLOATS2_TYPE, FLOATS2_TYPE),
    ),
    Weights,
)


PASS_TYPE = types.NamedTuple((KNOWN_TYPE, WEIGHTS_TYPE, INDEX_TYPE), Pass)
