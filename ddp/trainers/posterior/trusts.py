"""Compiled kernels for the noise of ratings: each user and item has a trust of its own.

The error of a rating is normal with precision common * h_u * g_i. A trust h has the prior
Gamma(spread / 2, spread / 2), whose mean is 1, so with the errors e of its row's n ratings

    h ~ Gamma((spread + n) / 2, (spread + common * sum g e^2) / 2)

as in a regression whose errors have Student's distribution (Geweke, Bayesian treatment of the
independent Student-t linear model, Journal of Applied Econometrics 1993).
"""

import math

import numpy as np
from numba import types

from ddp.machine.compiled.jit import compiled
from ddp.machine.compiled.simd import FLOAT_BYTES, dot
from ddp.ratings.arrays import Doubles
from ddp.trainers.posterior.arguments import (
    DOUBLES_TYPE,
    HALF_TYPE,
    HalfSweep,
)
from ddp.trainers.posterior.draws import gamma, mixed, normal, uniform

LEAST_SPREAD, MOST_SPREAD = 1.0, 1000.0
STEPS, STEP = 5, 0.3  # of the random walk of ln spread
LEAST_ERROR = 1e-12


@compiled(types.void(HALF_TYPE, types.float32))
def find_errors(half: HalfSweep, precision: np.float32) -> None:
    """Writes the sum of g e^2 over the ratings of each row that was just drawn.

    For a row x with prior mean m, prior precision P and M = h sum g d d' + P:

        h sum g e^2 = [h sum g t^2 - 2 x'b + x'Mx] + m'Pm - (x - m)'P(x - m)

    `terms` has the bracket, and m'Pm less that of the common prior mean.
    """
    own, prior = half.own, half.prior
    size, first = prior.mean.shape[0], half.bounds[half.blocks[0]]
    row_bytes = size * FLOAT_BYTES
    common, difference = 0.0, np.empty(size, np.float32)
    for j in range(size):
        common += prior.mean[j] * np.float64(prior.right[j])
    for n in range(half.terms.shape[0]):
        difference[0] = own.bias[first + n]
        difference[1:] = own.factors[first + n]
        for j in range(size):
            difference[j] -= np.float32(prior.mean[j])
            if half.offset.shape[0] > 0:
                difference[j] -= half.offset[n, j]
        square = 0.0
        for j in range(size):
            line = prior.single.ctypes.data + j * row_bytes
            product = dot(line, difference.ctypes.data, size)
            square += np.float64(difference[j]) * np.float64(product)
        error = (half.terms[n] + common - square) / np.float64(precision * own.trust[first + n])
        half.errors[n] = max(error, LEAST_ERROR)


@compiled(types.void(HALF_TYPE, types.float32, types.uint64), calls=(gamma, mixed))
def draw_trusts(half: HalfSweep, precision: np.float32, key: np.uint64) -> None:
    """Draws the trusts of the worker's rows. `precision`: the common one."""
    own, first, spread = half.own, half.bounds[half.blocks[0]], half.spread[0]
    for n in range(half.errors.shape[0]):
        number = half.ratings.starts[n + 1] - half.ratings.starts[n]
        state = np.array([mixed(key ^ mixed(np.uint64(first + n)))])
        rate = (spread + np.float64(precision) * half.errors[n]) / 2
        own.trust[first + n] = gamma(state, (spread + number) / 2) / rate


@compiled(types.float64(types.float64, types.int64, types.float64, types.float64))
def log_likelihood(spread: float, number: int, total: float, logarithms: float) -> float:
    """Of `number` trusts with this sum, and this sum of logarithms."""
    half = spread / 2
    return number * (half * math.log(half) - math.lgamma(half)) + half * (logarithms - total)


@compiled(
    types.void(DOUBLES_TYPE, DOUBLES_TYPE, types.int64, types.uint64),
    calls=(normal, uniform),
)
def draw_spread(spread: Doubles, total: Doubles, number: int, key: np.uint64) -> None:
    """Takes some steps of a random walk over ln spread (Metropolis), given all trusts of a side.

    `total`: the sums of the side.
    """
    state = np.array([key])
    now = log_likelihood(spread[0], number, total[-2], total[-1])
    for _ in range(STEPS):
        # a float32, as a checkpoint keeps it
        tried = np.float64(np.float32(spread[0] * math.exp(STEP * normal(state))))
        chance = math.log(uniform(state))
        if LEAST_SPREAD <= tried <= MOST_SPREAD:
            likely = log_likelihood(tried, number, total[-2], total[-1])
            if chance < likely - now:
                spread[0], now = tried, likely
