"""Draws have the moments of their distributions, and sums do not depend on who makes them."""

from itertools import pairwise

import numpy as np
import pytest
from made_rows import made_prior, made_side
from numba import types

from ddp.machine.compiled.jit import compiled
from ddp.machine.compiled.lane_normals import lane_normals
from ddp.ratings.row_blocks import num_sums
from ddp.trainers.posterior.arguments import FLOATS2_TYPE, STATE_TYPE
from ddp.trainers.posterior.draws import gamma, uniform
from ddp.trainers.posterior.priors import (
    MEAN_STRENGTH,
    add_blocks,
    add_up,
    draw_prior,
    draw_wishart,
    lay_out,
)

ERRORS = 4.5  # standard errors that a mean of draws may be off: once in 100,000


def stream(key):
    return np.array([key], np.uint64)


def assert_mean(draws, mean, variance):
    """`draws`: (n, ...); `variance`: of one draw."""
    error = np.abs(np.mean(draws, axis=0) - mean) / np.sqrt(variance / len(draws))
    assert np.max(error) < ERRORS, (np.mean(draws, axis=0), mean)


# --- numbers ---


@compiled(types.void(STATE_TYPE, FLOATS2_TYPE))
def fill(keys, out):
    """Writes the first normals of 8 streams, (count, 8)."""
    lane_normals(keys.ctypes.data, out.shape[0], out.ctypes.data)


def normals(keys, count):
    out = np.empty((count, 8), np.float32)
    fill(np.asarray(keys, np.uint64), out)
    return out.astype(np.float64)


def in_numpy(keys, count):
    """The same by the formula of Box and Muller, in float64."""
    with np.errstate(over="ignore"):
        steps = np.arange(1, count // 2 + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        state = np.asarray(keys, np.uint64) + steps[:, None]
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
        state ^= state >> np.uint64(31)
    radius = np.sqrt(-2 * np.log(((state >> np.uint64(41)).astype(float) + 0.5) / 2**23))
    angle = 2 * np.pi * (state & np.uint64(0xFFFFFFFF)).astype(float) / 2**32
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return pairs.reshape(count, len(keys))


def test_normals_in_lanes_are_those_of_the_formula():
    np.testing.assert_allclose(normals(range(8), 4000), in_numpy(range(8), 4000), atol=2e-6)


def test_normals_in_lanes_have_the_moments_of_the_normal_distribution():
    drawn = normals(range(8), 40_000)
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10170)):
        assert_mean(drawn.ravel() ** power, mean, variance)
    tail = np.abs(drawn) > 3
    assert_mean(tail.ravel(), 0.0026998, 0.0027)


def test_normals_are_independent_of_those_beside_and_before_them():
    drawn = normals(range(8), 40_000)
    products = np.array([drawn * np.roll(drawn, shift, axis=1) for shift in range(1, 8)])
    assert_mean(products.reshape(7, -1).T, 0, 1)
    for lag in (1, 2, 3):
        assert_mean((drawn[lag:] * drawn[:-lag]).ravel(), 0, 1)
        assert_mean((drawn[lag:] ** 2 * drawn[:-lag] ** 2).ravel() - 1, 0, 8)


def test_a_stream_has_the_same_numbers_in_every_lane():
    drawn = normals([5, 6, 7, 5, 5, 9, 6, 5], 10)
    assert drawn[:, 0].tobytes() == drawn[:, 3].tobytes() == drawn[:, 7].tobytes()
    assert drawn[:, 1].tobytes() == drawn[:, 6].tobytes()
    assert not np.isclose(drawn[:, 0], drawn[:, 1]).any()
    assert normals([5] * 8, 4).tobytes() == normals([5] * 8, 10)[:4].tobytes()


@pytest.mark.parametrize("shape", [0.5, 1.0, 7.5, 4000.0])
def test_gamma_has_its_mean_and_variance(shape):
    state = stream(3)
    drawn = np.array([gamma(state, shape) for _ in range(20_000)])
    assert_mean(drawn, shape, shape)
    assert_mean((drawn - shape) ** 2, shape, 2 * shape**2 + 6 * shape)


def test_uniform_numbers_lie_between_0_and_1():
    state = stream(3)
    drawn = np.array([uniform(state) for _ in range(20_000)])
    assert 0 < drawn.min() < 1e-3
    assert 1 > drawn.max() > 1 - 1e-3
    assert_mean(drawn**2, 1 / 3, 4 / 45)


# --- priors ---


def test_wishart_draws_have_their_mean_and_variance():
    generator, freedom, size = np.random.default_rng(0), 9, 4
    root = generator.normal(size=(size, 2 * size))
    scale = root @ root.T / size
    inverse, state, drawn = np.linalg.inv(scale), stream(1), np.empty((4000, size, size))
    for draw in drawn:
        draw_wishart(state, inverse.copy(), freedom, draw)
    variance = freedom * (scale**2 + np.outer(np.diag(scale), np.diag(scale)))
    assert_mean(drawn, freedom * scale, variance)
    deviations = np.square(drawn - freedom * scale)
    assert np.abs(deviations.mean(axis=0) / variance - 1).max() < 0.25


def test_the_prior_is_drawn_around_the_rows():
    """Salakhutdinov and Mnih, ICML 2008, eq. 14: both means, for rows with known sums."""
    dim, num_rows, number = 2, 40, 4000
    size, rows = dim + 1, np.random.default_rng(0).normal(1, 2, (num_rows, dim + 1))
    products = (rows.T @ rows)[np.triu_indices(size)]
    total = np.concatenate([[0], rows.sum(axis=0), products, [0, 0]])
    prior = made_prior(np.random.default_rng(0), dim)
    matrices, means = np.empty((number, size, size)), np.empty((number, size))
    for key in range(number):
        draw_prior(total, num_rows, np.uint64(key), prior)
        matrices[key], means[key] = prior.matrix, prior.mean
    mean = rows.mean(axis=0)
    scatter = (rows - mean).T @ (rows - mean)
    shrunk = MEAN_STRENGTH * num_rows / (MEAN_STRENGTH + num_rows) * np.outer(mean, mean)
    scale = np.linalg.inv(np.eye(size) + scatter + shrunk)
    freedom = size + num_rows
    variance = freedom * (scale**2 + np.outer(np.diag(scale), np.diag(scale)))
    assert_mean(matrices, freedom * scale, variance)
    expected = num_rows * mean / (num_rows + MEAN_STRENGTH)
    assert_mean(means, expected, means.var(axis=0))
    offsets = means - expected  # of precision (beta_0 + n) times the matrix of the same draw
    scaled = (num_rows + MEAN_STRENGTH) * np.einsum("ni,nij,nj->n", offsets, matrices, offsets)
    assert_mean(scaled, size, 2 * size)


def test_the_layout_of_a_prior_is_that_of_its_matrix():
    prior = made_prior(np.random.default_rng(0), 11)
    lay_out(prior)
    np.testing.assert_allclose(prior.right, prior.matrix @ prior.mean, rtol=1e-5)
    np.testing.assert_allclose(prior.single, prior.matrix, rtol=1e-6)


# --- sums ---


def sums_of(side, offset, errors, bounds, cuts):
    """Those of all blocks; a worker makes the blocks between two cuts."""
    sums = np.full((len(bounds) - 1, num_sums(side.factors.shape[1])), np.nan)
    for first, stop in pairwise(cuts):
        rows = slice(bounds[first], bounds[stop])
        add_blocks(side, offset[rows], bounds, first, stop, errors[rows], sums)
    total = np.empty(sums.shape[1])
    add_up(sums, total)
    return total


@pytest.mark.parametrize("dim", [1, 8, 19])
def test_sums_are_those_of_the_rows_and_do_not_depend_on_the_deal(dim):
    generator = np.random.default_rng(dim)
    side, errors = made_side(generator, 50, dim), generator.uniform(size=50)
    offset = generator.normal(size=(50, dim + 1)).astype(np.float32)
    bounds = np.array([0, 7, 8, 8, 30, 41, 50])
    total = sums_of(side, offset, errors, bounds, (0, 6))
    for cuts in ((0, 1, 6), (0, 3, 4, 6), (0, 1, 2, 3, 4, 5, 6)):
        assert sums_of(side, offset, errors, bounds, cuts).tobytes() == total.tobytes()
    rows = np.column_stack([side.bias, side.factors]).astype(np.float64) - offset
    products = (rows.T @ rows)[np.triu_indices(dim + 1)]
    trust = side.trust.astype(np.float64)
    expected = [[trust @ errors], rows.sum(axis=0), products, [trust.sum(), np.log(trust).sum()]]
    np.testing.assert_allclose(total, np.concatenate(expected), rtol=1e-5, atol=1e-5)
