"""Compiled kernels for what all rows of a side have in common: their sums, and their prior.

Rows lie in blocks. The sums of a block are added row by row, those of a side block by block, and
the blocks do not depend on the number of workers. So the sums have the same bits for any number.

The sums of a block (`num_sums` in row_blocks.py), float64, with e for a row (b, p) less its offset,
and K = dim + 1:

| place             | sum                                                        |
|-------------------|------------------------------------------------------------|
| 0                 | of the squared errors of the rows' ratings, by their trust |
| 1 to K            | of e                                                       |
| K + 1 on          | of e_i e_j for all i <= j, by i                            |
| the last two      | of the trusts, and of their logarithms                     |
"""

import math

import numpy as np
from numba import types

from ddp.machine.compiled.jit import compiled
from ddp.machine.compiled.lanes import lines_before
from ddp.machine.compiled.simd import LANES
from ddp.model.parameters import Vector
from ddp.ratings.arrays import Doubles, IndexArray
from ddp.trainers.posterior.arguments import (
    DOUBLES2_TYPE,
    DOUBLES_TYPE,
    FLOATS2_TYPE,
    INDEX_TYPE,
    PRIOR_TYPE,
    SIDE_TYPE,
    STATE_TYPE,
    Prior,
    Side,
)
from ddp.trainers.posterior.draws import Stream, gamma, normal

MEAN_STRENGTH = 2.0  # beta_0: the prior mean counts like so many rows at 0


@compiled(
    types.void(
        *(SIDE_TYPE, FLOATS2_TYPE, INDEX_TYPE, types.int64, types.int64),
        *(DOUBLES_TYPE, DOUBLES2_TYPE),
    )
)
def add_blocks(
    own: Side,
    offset: Vector,
    bounds: IndexArray,
    first: int,
    stop: int,
    errors: Doubles,
    sums: Doubles,
) -> None:
    """Writes the sums of the blocks from `first` to `stop` - 1.

    Block n has the rows bounds[n] .. bounds[n + 1]. `errors` and `offset` begin with those of block
    `first`; an empty `offset` is 0.
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
            if offset.shape[0] > 0:
                for j in range(dim + 1):
                    row[j] -= offset[n - first_row, j]
            trust = np.float64(own.trust[n])
            out[0] += trust * errors[n - first_row]
            out[-2] += trust
            out[-1] += math.log(trust)
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


@compiled(types.void(DOUBLES2_TYPE))
def cholesky(matrix: Doubles) -> None:
    """L with L L' = matrix, in the lower half of its place. The upper half stays as it is."""
    for j in range(matrix.shape[0]):
        for i in range(j, matrix.shape[0]):
            total = matrix[i, j]
            for n in range(j):
                total -= matrix[i, n] * matrix[j, n]
            matrix[i, j] = math.sqrt(total) if i == j else total / matrix[j, j]


@compiled(types.void(DOUBLES2_TYPE, DOUBLES2_TYPE))
def solve_transposed(factor: Doubles, columns: Doubles) -> None:
    """X with L' X = columns, in their place. `factor`: L, the lower half of an array."""
    for column in range(columns.shape[1]):
        for i in range(factor.shape[0] - 1, -1, -1):
            value = columns[i, column]
            for n in range(i + 1, factor.shape[0]):
                value -= factor[n, i] * columns[n, column]
            columns[i, column] = value / factor[i, i]


@compiled(types.void(STATE_TYPE, DOUBLES2_TYPE, types.int64, DOUBLES2_TYPE), calls=(normal, gamma))
def draw_wishart(state: Stream, inverse: Doubles, freedom: int, matrix: Doubles) -> None:
    """Writes a draw of the Wishart distribution with this freedom to `matrix` (Bartlett 1933).

    `inverse`: that of its scale matrix. The kernel overwrites its lower half.
    """
    size = matrix.shape[0]
    cholesky(inverse)  # C with C C' = inverse
    root = np.zeros((size, size))  # A of Bartlett, then X = C'^-1 A, for which X X' is the draw
    for i in range(size):
        root[i, i] = math.sqrt(2 * gamma(state, (freedom - i) / 2))
        for j in range(i):
            root[i, j] = normal(state)
    solve_transposed(inverse, root)
    for i in range(size):
        for j in range(i + 1):
            value = 0.0
            for n in range(size):
                value += root[i, n] * root[j, n]
            matrix[i, j] = value
            matrix[j, i] = value


@compiled(types.void(DOUBLES_TYPE, types.int64, types.uint64, PRIOR_TYPE), calls=(normal,))
def draw_prior(total: Doubles, num_rows: int, key: np.uint64, prior: Prior) -> None:
    """Draws the prior of a side from its normal-Wishart distribution, given the rows' sums.

    Source: Salakhutdinov and Mnih, ICML 2008, eq. 14, with mu_0 = 0, W_0 = I, nu_0 = K.
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
    draw_wishart(state, inverse, size + num_rows, prior.matrix)
    factor = prior.matrix.copy()
    cholesky(factor)
    strength = MEAN_STRENGTH + num_rows
    offset = np.empty((size, 1))
    for i in range(size):
        offset[i, 0] = normal(state) / math.sqrt(strength)
    solve_transposed(factor, offset)
    for i in range(size):
        prior.mean[i] = num_rows * mean[i] / strength + offset[i, 0]


@compiled(types.void(PRIOR_TYPE))
def lay_out(prior: Prior) -> None:
    """Writes the rest of a prior from its matrix and its mean."""
    size = prior.mean.shape[0]
    prior.single[:] = prior.matrix
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
