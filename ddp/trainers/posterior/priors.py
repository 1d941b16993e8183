"""Compiled kernels for what all rows of a side have in common: their sums, and their prior.

Rows lie in blocks. The sums of a block are added row by row, those of a side block by block, and
the blocks do not depend on the number of workers. So the sums have the same bits for any number.

The sums of a block (`num_sums` in row_blocks.py), float64, with e for a row (b, p) minus its offset, and K = dim + 1:

| place             | sum                                                  |
|-------------------|------------------------------------------------------|
| 0                 | of the `terms` of `draw_rows`                        |
| 1 to K            | of e                                                 |
| K + 1 on          | of e_i e_j for all i <= j, by i                      |
"""

import math

import numpy as np
from numba import types

from ddp.machine.compiled.jit import compiled
from ddp.machine.compiled.simd import LANES
from ddp.ratings.arrays import IndexArray
from ddp.trainers.posterior.rows import (
    DOUBLES_TYPE,
    PRIOR_TYPE,
    SIDE_TYPE,
    Doubles,
    Prior,
    Side,
    lines_before,
    mixed,
)

MEAN_STRENGTH = 2.0  # beta_0: the prior mean counts like so many rows at 0
DOUBLES2_TYPE = types.Array(types.float64, 2, "C")
INDEX_TYPE = types.Array(types.int64, 1, "C")


@compiled(types.void(SIDE_TYPE, INDEX_TYPE, types.int64, types.int64, DOUBLES_TYPE, DOUBLES2_TYPE))
def add_blocks(
    own: Side, bounds: IndexArray, first: int, stop: int, terms: Doubles, sums: Doubles
) -> None:
    """Writes the sums of the blocks from `first` to `stop` - 1.

    Block n has the rows bounds[n] .. bounds[n + 1]; `terms` begins with those of block `first`.
    """
    dim = own.factors.shape[1]
    row = np.empty(dim + 1, np.float64)
    first_row = bounds[first]
    for block in range(first, stop):
        out = sums[block]
        out[:] = 0
        for n in range(bounds[block], bounds[block + 1]):
            row[0] = own.bias[n]
            for j in range(dim):
                row[1 + j] = own.factors[n, j]
            out[0] += terms[n - first_row]
            place = dim + 2
            for i in range(dim + 1):
                factor = row[i]
                out[1 + i] += factor
                for j in range(dim + 1 - i):
                    out[place + j] += factor * row[i + j]
                place += dim + 1 - i


@compiled(types.void(DOUBLES2_TYPE, DOUBLES_TYPE))
def add_up(sums: Doubles, total: Doubles) -> None:
    """The sums of all blocks, in the order of the blocks."""
    total[:] = 0
    for block in range(sums.shape[0]):
        for n in range(sums.shape[1]):
            total[n] += sums[block, n]


# --- draws, one after another, from one stream ---


@compiled(types.float64(types.Array(types.uint64, 1, "C")))
def uniform(state: np.ndarray) -> float:
    """A number above 0 and below 1. `state`: one uint64, which goes on."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    return (np.float64(mixed(state[0]) >> np.uint64(11)) + 0.5) / 9007199254740992.0


@compiled(types.float64(types.Array(types.uint64, 1, "C")), calls=(uniform,))
def normal(state: np.ndarray) -> float:
    """A standard normal number (Box and Muller 1958)."""
    radius = math.sqrt(-2 * math.log(uniform(state)))
    return radius * math.cos(2 * math.pi * uniform(state))


@compiled(types.float64(types.Array(types.uint64, 1, "C"), types.float64), calls=(uniform, normal))
def gamma(state: np.ndarray, shape: float) -> float:
    """A number of the gamma distribution with this shape (at least 1/2) and scale 1.

    Source: Marsaglia and Tsang, A simple method for generating gamma variables, 2000.
    """
    boost = 1.0
    if shape < 1:
        boost = uniform(state) ** (1 / shape)
        shape += 1
    d = shape - 1 / 3
    c = 1 / math.sqrt(9 * d)
    while True:
        x = normal(state)
        v = (1 + c * x) ** 3
        if v > 0 and math.log(uniform(state)) < 0.5 * x * x + d - d * v + d * math.log(v):
            return d * v * boost


@compiled(types.void(DOUBLES2_TYPE))
def cholesky(matrix: Doubles) -> None:
    """L with L L' = matrix, in the lower half of its place. The upper half stays as it is."""
    for j in range(matrix.shape[0]):
        for i in range(j, matrix.shape[0]):
            total = matrix[i, j]
            for n in range(j):
                total -= matrix[i, n] * matrix[j, n]
            matrix[i, j] = math.sqrt(total) if i == j else total / matrix[j, j]


@compiled(
    types.void(DOUBLES_TYPE, types.int64, types.uint64, PRIOR_TYPE),
    calls=(normal, gamma, cholesky),
)
def draw_prior(total: Doubles, num_rows: int, key: np.uint64, prior: Prior) -> None:
    """Draws the prior of a side from its normal-Wishart distribution, given the rows' sums.

    Source: Salakhutdinov and Mnih, ICML 2008, eq. 14, with mu_0 = 0, W_0 = I, nu_0 = K. The draw of
    the Wishart distribution is Bartlett's.
    """
    size = prior.mean.shape[0]
    state = np.array([key])
    mean = total[1 : 1 + size] / num_rows
    inverse = np.eye(size)  # of the scale matrix W*
    shrink = num_rows * MEAN_STRENGTH / (num_rows + MEAN_STRENGTH) - num_rows
    place = 1 + size
    for i in range(size):
        for j in range(i, size):
            inverse[j, i] += total[place] + shrink * mean[i] * mean[j]
            place += 1
    cholesky(inverse)  # C, with C C' = W*^-1
    root = np.zeros((size, size))  # A of Bartlett, then X = C'^-1 A, for which X X' is the draw
    for i in range(size):
        root[i, i] = math.sqrt(2 * gamma(state, (size + num_rows - i) / 2))
        for j in range(i):
            root[i, j] = normal(state)
    for column in range(size):
        for i in range(size - 1, -1, -1):
            value = root[i, column]
            for n in range(i + 1, size):
                value -= inverse[n, i] * root[n, column]
            root[i, column] = value / inverse[i, i]
    for i in range(size):
        for j in range(i + 1):
            value = 0.0
            for n in range(size):
                value += root[i, n] * root[j, n]
            prior.matrix[i, j] = value
            prior.matrix[j, i] = value
    factor = prior.matrix.copy()
    cholesky(factor)
    strength = MEAN_STRENGTH + num_rows
    offset = np.empty(size)
    for i in range(size):
        offset[i] = normal(state) / math.sqrt(strength)
    for i in range(size - 1, -1, -1):
        value = offset[i]
        for n in range(i + 1, size):
            value -= factor[n, i] * offset[n]
        offset[i] = value / factor[i, i]
    for i in range(size):
        prior.mean[i] = num_rows * mean[i] / strength + offset[i]


@compiled(types.void(PRIOR_TYPE))
def lay_out(prior: Prior) -> None:
    """Writes `lines` and `right` of a prior from its matrix and its mean."""
    size = prior.mean.shape[0]
    for i in range(size):
        value = 0.0
        for j in range(size):
            value += prior.matrix[i, j] * prior.mean[j]
        prior.right[i] = value
    prior.lines[:] = 0
    width = -(-(size - 1) // LANES) * LANES
    for j in range(width):
        first, inside = lines_before(j // LANES), j % LANES
        if j >= size - 1:
            prior.lines[first + 2 + j, inside] = 1  # a column of no factor
            continue
        prior.lines[first + 1, inside] = prior.matrix[0, 1 + j]
        for i in range(j + 1):
            prior.lines[first + 2 + i, inside] = prior.matrix[1 + i, 1 + j]


@compiled(types.float64(DOUBLES_TYPE, PRIOR_TYPE, types.int64, types.float64))
def squared_error_of(total: Doubles, prior: Prior, num_rows: int, precision: float) -> float:
    """The sum of squared errors on all ratings, after the rows of a side were drawn.

    `precision` and `prior` are those of the draw. For a row x with prior mean m, prior precision
    P and M = precision * D'D + P:

        precision * |t - Dx|^2 = [precision * t't - 2 x'b + x'Mx] + m'Pm - (x - m)'P(x - m)

    and `total` has the sum of the bracket, and the sums of the rows.
    """
    size = prior.mean.shape[0]
    value = total[0]
    place = 1 + size
    for i in range(size):
        right = 0.0
        for j in range(size):
            right += prior.matrix[i, j] * prior.mean[j]
        # m'Pm - (x - m)'P(x - m) = 2 m'Px - x'Px
        value += 2 * right * total[1 + i]
        for j in range(i, size):
            times = 1.0 if i == j else 2.0
            value -= times * prior.matrix[i, j] * total[place]
            place += 1
    return value / precision
