"""Squared errors can be added; RMSEs cannot."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ddp.tracking.metrics import SquaredError, squared_error

values = hnp.arrays(np.float32, st.integers(1, 50), elements=st.floats(-5, 5, width=32))


@given(values)
def test_matches_numpy(ratings):
    predictions = np.linspace(1, 5, len(ratings)).astype(np.float32)
    error = squared_error(predictions, ratings)
    difference = predictions.astype(np.float64) - ratings
    assert error.count == len(ratings)
    assert math.isclose(error.rmse, math.sqrt(np.mean(difference**2)), rel_tol=1e-12)


@given(values, st.integers(0, 50))
def test_parts_pool_to_the_whole(ratings, cut):
    predictions = np.zeros_like(ratings)
    whole = squared_error(predictions, ratings)
    pooled = squared_error(predictions[:cut], ratings[:cut]) + squared_error(
        predictions[cut:], ratings[cut:]
    )
    assert pooled.count == whole.count
    assert math.isclose(pooled.total, whole.total, rel_tol=1e-12, abs_tol=1e-12)


def test_no_ratings_have_no_rmse():
    assert math.isnan(SquaredError().rmse)
    assert (SquaredError() + SquaredError(8.0, 2)).rmse == 2.0


def test_accumulates_in_float64():
    predictions = np.full(1_000_000, 0.1, np.float32)
    error = squared_error(predictions, np.zeros_like(predictions))
    assert math.isclose(error.mse, float(np.float32(0.1)) ** 2, rel_tol=1e-9)
