"""Rows that are made anew: their mean and their distribution are those of the formula."""

import numpy as np
import pytest
from made_rows import PRECISION, Made

from ddp.trainers.posterior.row_sums import SEGMENT

DIMS = (1, 3, 5, 8, 16, 19, 32, 33)  # on both sides of the kernel's blocks of 8, and of two blocks
COUNTS = (40, 0, 1, 300, 7, 0, 130, 65, 90, 3, 0)  # one lane short of two groups of 8 rows


# --- without noise ---


@pytest.mark.parametrize("weighted", [0.0, 0.3])
@pytest.mark.parametrize("dim", DIMS)
def test_rows_without_noise_solve_their_systems(dim, weighted):
    made = Made(dim, COUNTS, weighted=weighted)
    np.testing.assert_allclose(made.draw(), made.solved(), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("dim", [5, 16])
def test_each_row_may_have_a_prior_mean_of_its_own(dim):
    made = Made(dim, COUNTS)
    generator = np.random.default_rng(1)
    made.right = generator.normal(size=(len(COUNTS), dim + 1)).astype(np.float32)
    np.testing.assert_allclose(made.draw(), made.solved(), rtol=2e-4, atol=2e-5)


def test_a_row_with_many_ratings_is_summed_in_segments():
    made = Made(8, (2 * SEGMENT + 100, 3, SEGMENT, SEGMENT + 1))
    np.testing.assert_allclose(made.draw(), made.solved(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("weighted", [0.0, 0.3])
@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.parametrize("dim", [3, 16])
def test_the_terms_of_a_row_give_its_squared_error(dim, noise, weighted):
    """For a draw too: it is the draw that the error is of."""
    made = Made(dim, COUNTS, noise=noise, weighted=weighted)
    rows = made.draw().astype(np.float64)
    for row, x in enumerate(rows):
        t, lines, trusts = made.targets(row)
        h = np.float64(PRECISION) * np.float64(made.own.trust[row])
        error = h * (trusts * np.square(t - lines @ x)).sum()
        expected = error + x @ made.prior.matrix @ x - 2 * x @ made.right[0]
        assert made.terms[row] == pytest.approx(expected, rel=1e-4, abs=2e-3)


# --- with noise ---


def draws_of(made, number):
    """(number, rows, dim + 1), with another key for each."""
    drawn = []
    for key in range(number):
        made.key = key
        drawn.append(made.draw().astype(np.float64))
    return np.array(drawn)


@pytest.mark.parametrize("dim", [2, 8])
def test_draws_have_the_mean_and_the_covariance_of_their_distribution(dim):
    made = Made(dim, (30, 0, 200), noise=1.0)
    number = 4000
    drawn = draws_of(made, number)
    for row, mean in enumerate(made.solved()):
        covariance = np.linalg.inv(made.system(row)[0])
        scaled = (drawn[:, row] - mean) @ np.linalg.cholesky(np.linalg.inv(covariance))
        assert np.abs(scaled.mean(axis=0)).max() < 4.5 / np.sqrt(number)
        found = scaled.T @ scaled / number
        assert np.abs(found - np.eye(dim + 1)).max() < 4.5 * np.sqrt(2 / number)


def test_a_draw_depends_on_the_key_and_on_the_row():
    made = Made(3, (5, 5), noise=1.0)
    first, second = draws_of(made, 2)
    assert not np.isclose(first, second).any()
    made.ratings = made.ratings._replace(starts=np.array([0, 0, 0], np.int64))
    made.own.trust[:] = 1
    one, other = made.draw()
    assert not np.isclose(one, other).any()


# --- bits ---


@pytest.mark.parametrize("dim", [5, 16])
def test_the_bits_of_a_row_depend_neither_on_its_place_nor_on_its_neighbours(dim):
    whole = Made(dim, COUNTS, noise=1.0)
    expected = whole.draw().tobytes()
    dealt = Made(dim, COUNTS, noise=1.0)
    for first, stop in ((4, 11), (0, 1), (1, 4)):
        dealt.draw(first, stop)
    assert dealt.rows.tobytes() == expected
    assert dealt.terms.tobytes() == whole.terms.tobytes()


def test_a_second_call_in_the_same_memory_gives_the_same_bits():
    made = Made(5, COUNTS, noise=1.0)
    assert made.draw().tobytes() == made.draw().tobytes()
