"""Compiled kernels for what is known about rows: who rated what, and attributes.

The prior mean of a row x is mu + W' f, where f are the features of the row (Simm et al., Macau:
scalable Bayesian factorization with high-dimensional side information using MCMC, MLSP 2017). The
weights W, one line of K = dim + 1 numbers per feature, are drawn as well.

With the Cholesky factor L of the prior precision, the columns of W L are independent, given all
rows. Each is drawn feature by feature, given the others: with the residual e = (x - mu - W' f) L
of each row, and per column

    w ~ N((sum f e + w sum f^2) / (sum f^2 + strength), 1 / (sum f^2 + strength))

A pass takes as many steps as there are entries in the features, times K. Workers deal the columns,
which no bit depends on. Each feature has draws of its own.

| step          | a worker does it for   | it makes                                             |
|---------------|------------------------|------------------------------------------------------|
| `begin_pass`  | its rows and features  | the residuals of the rows, W L                       |
| `draw_weights`| its columns            | new W L, and new residuals                           |
| `end_pass`    | its rows and features  | the prior means of the rows, W                       |
"""

import math

import numpy as np
from numba import types

from ddp.machine.compiled.jit import compiled
from ddp.machine.compiled.lane_normals import lane_normals
from ddp.machine.compiled.simd import FLOAT_BYTES, LANES, add_scaled
from ddp.machine.compiled.sparse import add_to_lines, sum_features, sum_lines
from ddp.model.parameters import Vector
from ddp.ratings.arrays import Doubles
from ddp.ratings.known import Known
from ddp.trainers.posterior.arguments import (
    DOUBLES_TYPE,
    FLOATS2_TYPE,
    FLOATS_TYPE,
    PRIOR_TYPE,
    SIDE_TYPE,
    Prior,
    Side,
)
from ddp.trainers.posterior.draws import gamma, mixed
from ddp.trainers.posterior.priors import cholesky
from ddp.trainers.posterior.weight_arguments import KNOWN_TYPE, WEIGHTS_TYPE, Weights

STRENGTH_SHAPE, STRENGTH_RATE = 1.0, 1e-3  # of the gamma prior of the strength


@compiled(types.void(WEIGHTS_TYPE, PRIOR_TYPE), calls=(cholesky,))
def set_roots(weights: Weights, prior: Prior) -> None:
    """Writes L, its transpose and its inverse."""
    size, width = prior.mean.shape[0], weights.roots.shape[1]
    root = prior.matrix.copy()
    cholesky(root)
    inverse = np.zeros((size, size))
    for column in range(size):
        for i in range(column, size):
            value = 1.0 if i == column else 0.0
            for n in range(column, i):
                value -= root[i, n] * inverse[n, column]
            inverse[i, column] = value / root[i, i]
    for i in range(size):
        for j in range(size):
            lower = root[i, j] if j <= i else 0.0
            weights.roots[i, j] = lower
            weights.roots[width + j, i] = lower
            weights.roots[2 * width + i, j] = inverse[i, j]


@compiled(types.void(FLOATS2_TYPE, types.int64, FLOATS_TYPE, FLOATS_TYPE))
def multiply(roots: Vector, first: int, x: Vector, out: Vector) -> None:
    """out = x' A, where A has the P lines of `roots` from `first` on."""
    size = roots.shape[1]
    base, row_bytes = roots.ctypes.data, size * FLOAT_BYTES
    out[:] = 0
    for n in range(size):
        add_scaled(base + (first + n) * row_bytes, out.ctypes.data, size, x[n])


@compiled(
    types.void(
        *(KNOWN_TYPE, WEIGHTS_TYPE, SIDE_TYPE, PRIOR_TYPE),
        *(types.int64, types.int64, types.int64, types.int64),
    ),
    calls=(multiply,),
)
def begin_pass(
    known: Known,
    weights: Weights,
    own: Side,
    prior: Prior,
    first_row: int,
    stop_row: int,
    first_feature: int,
    stop_feature: int,
) -> None:
    """Writes the residuals of some rows, and W L of some features."""
    size, width = prior.mean.shape[0], weights.roots.shape[1]
    stride = width * FLOAT_BYTES
    lines, by_row = weights.lines.ctypes.data, known.by_row.ctypes.data
    values = known.row_values.ctypes.data if known.row_values.shape[0] > 0 else 0
    e, known_part = np.zeros(width, np.float32), np.empty(width, np.float32)
    for r in range(first_row, stop_row):
        for column in range(0, width, LANES):
            place = column * FLOAT_BYTES
            sum_features(
                by_row,
                known.scales[r],
                values,
                known.starts[r],
                known.starts[r + 1],
                lines + place,
                stride,
                known_part.ctypes.data + place,
            )
        e[0] = own.bias[r] - np.float32(prior.mean[0]) - known_part[0]
        for j in range(1, size):
            e[j] = own.factors[r, j - 1] - np.float32(prior.mean[j]) - known_part[j]
        multiply(weights.roots, 0, e, weights.residuals[r])
    for f in range(first_feature, stop_feature):
        multiply(weights.roots, 0, weights.lines[f], weights.turned[f])


@compiled(
    types.void(KNOWN_TYPE, WEIGHTS_TYPE, types.int64, types.int64, types.int64, types.uint64),
    calls=(mixed,),
)
def draw_weights(
    known: Known, weights: Weights, size: int, first: int, stop: int, key: np.uint64
) -> None:
    """Draws the columns `first` to `stop` - 1 of W L, feature by feature.

    Both are multiples of 8. Columns from K on stay 0.
    """
    width = weights.turned.shape[1]
    stride, floats = width * FLOAT_BYTES, FLOAT_BYTES
    residuals = weights.residuals.ctypes.data
    by_feature, scales = known.by_feature.ctypes.data, known.scales.ctypes.data
    values = known.feature_values.ctypes.data if known.feature_values.shape[0] > 0 else 0
    strength = np.float32(weights.strength[0])
    total, change = np.empty(width, np.float32), np.empty(width, np.float32)
    keys = np.empty(LANES, np.uint64)
    normals = np.empty((width, LANES), np.float32)
    weights.squares[first:stop] = 0
    last = min(stop, size)
    for f in range(weights.turned.shape[0]):
        if f % LANES == 0:
            for lane in range(LANES):
                keys[lane] = mixed(key ^ mixed(np.uint64(f + lane)))
            lane_normals(keys.ctypes.data, width, normals.ctypes.data)
        entries = known.feature_starts[f], known.feature_starts[f + 1]
        for c in range(first, stop, LANES):
            place, out = residuals + c * floats, total.ctypes.data + c * floats
            sum_lines(by_feature, scales, values, *entries, place, stride, out)
        square = known.squares[f]
        variance = np.float32(1) / (square + strength)
        deviation = np.float32(math.sqrt(variance))
        change[first:stop] = 0
        for c in range(first, last):
            before = weights.turned[f, c]
            drawn = (total[c] + square * before) * variance + deviation * normals[c, f % LANES]
            weights.turned[f, c] = drawn
            change[c] = before - drawn
            weights.squares[c] += np.float64(drawn) * np.float64(drawn)
        for c in range(first, stop, LANES):
            place, x = residuals + c * floats, change.ctypes.data + c * floats
            add_to_lines(by_feature, scales, values, *entries, place, stride, x)


@compiled(
    types.void(
        *(WEIGHTS_TYPE, SIDE_TYPE, PRIOR_TYPE, types.int64, types.int64, types.int64),
        *(types.int64, types.uint64, DOUBLES_TYPE),
    ),
    calls=(multiply, gamma),
)
def end_pass(
    weights: Weights,
    own: Side,
    prior: Prior,
    first_row: int,
    stop_row: int,
    first_feature: int,
    stop_feature: int,
    key: np.uint64,
    terms: Doubles,
) -> None:
    """Writes `right` and `offset` of some rows, W of some features, and the next strength.

    `terms` gets m'Pm - mu'Pm of each row with prior mean m and prior precision P.
    """
    size, width = prior.mean.shape[0], weights.roots.shape[1]
    x, turned = np.zeros(width, np.float32), np.zeros(width, np.float32)
    mean, own_part = np.zeros(width, np.float32), np.zeros(width, np.float32)
    for j in range(size):
        x[j] = prior.mean[j]
    multiply(weights.roots, 0, x, mean)  # mu L
    for r in range(first_row, stop_row):
        x[0] = own.bias[r]
        x[1:size] = own.factors[r]
        multiply(weights.roots, 0, x, turned)
        for j in range(size):
            own_part[j] = turned[j] - mean[j] - weights.residuals[r, j]  # f'W L
            turned[j] = own_part[j] + mean[j]
        out = r - first_row
        multiply(weights.roots, width, turned, weights.right[out])
        multiply(weights.roots, 2 * width, own_part, weights.offset[out])
        value = 0.0
        for j in range(size):
            m = prior.mean[j] + np.float64(weights.offset[out, j])
            value += m * np.float64(weights.right[out, j])
            value -= prior.mean[j] * np.float64(prior.right[j])
        terms[out] = value
    for f in range(first_feature, stop_feature):
        multiply(weights.roots, 2 * width, weights.turned[f], weights.lines[f])
    total = 0.0
    for c in range(size):
        total += weights.squares[c]
    state = np.array([key])
    shape = STRENGTH_SHAPE + weights.lines.shape[0] * size / 2
    weights.strength[0] = gamma(state, shape) / (STRENGTH_RATE + total / 2)
