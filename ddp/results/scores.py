"""Scores of a user's items that are the same to the last bit, whatever adds them up.

BLAS adds products in an order that depends on its threads and on the processor, and the last bits
of a sum of floats depend on the order. A sum of whole numbers below 2**53 does not. So factors and
biases become whole numbers: multiples of a step that is as small as the sums allow. With 64 factors
a step is about 2**-23 of the largest factor, which is the precision of float32.
"""

import math

import numpy as np
import numpy.typing as npt

from ddp.model.parameters import Rows, Vector
from ddp.ratings.arrays import IntArray

Matrix = npt.NDArray[np.float64]
Scores = tuple[Matrix, Matrix]  # (users, n) and (items, n) of whole numbers: scores are products
BITS = 52  # of the largest sum; floats hold whole numbers of 53


def scores_of(model: Rows, users: IntArray) -> Scores:
    """The scores that a model gives all items for these users.

    User bias and mean are left out, because they move all items of a user alike. No score is
    clipped to the scale: clipped ones would be equal for all of the best items.
    """
    user_factors, item_factors = model.views["user_factors"][users], model.views["item_factors"]
    biases = model.views.get("item_bias", np.zeros(model.num_items, np.float32))
    bound = model.dim * _largest(user_factors) * _largest(item_factors) + _largest(biases)
    both = BITS - _exponent(bound)
    of_users = (both + _exponent(_largest(item_factors)) - _exponent(_largest(user_factors))) // 2
    left = np.ones((len(users), model.dim + 1))
    right = np.empty((model.num_items, model.dim + 1))
    left[:, :-1] = _whole(user_factors, of_users)
    right[:, :-1] = _whole(item_factors, both - of_users)
    right[:, -1] = _whole(biases, both)
    return left, right


def _whole(values: Vector, exponent: int) -> Matrix:
    """The values x 2**exponent, rounded."""
    return np.rint(np.ldexp(values.astype(np.float64), exponent))


def _largest(values: Vector) -> float:
    return float(np.abs(values).max(initial=0.0))


def _exponent(value: float) -> int:
    """The smallest e with value < 2**e."""
    return math.frexp(value)[1]
