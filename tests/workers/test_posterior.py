"""Statistics of a Markov chain, on series with a known effective size or a known drift."""

import numpy as np
import pytest

from ddp.tracking.metrics import SquaredError
from ddp.tracking.sampled import LEAST_SAMPLES, MOST_DRIFT, Sampled
from ddp.workers.posterior import drift_of, effective_size


def autoregressive(length, share, seed=0):
    """A settled series, each number of which is this share of the one before, and noise."""
    noise = np.random.default_rng(seed).normal(size=length + 200)
    series = np.zeros(length + 200)
    for place in range(1, length + 200):
        series[place] = share * series[place - 1] + noise[place]
    return series[200:]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.8, 0.9])
def test_the_effective_size_of_an_autoregressive_series(share):
    length = 20_000
    found = [effective_size(autoregressive(length, share, seed)) for seed in range(5)]
    assert np.mean(found) == pytest.approx(length * (1 - share) / (1 + share), rel=0.1)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_the_drift_of_a_settled_series_is_that_of_a_normal_number(share):
    found = np.array([drift_of(autoregressive(2000, share, seed)) for seed in range(100)])
    assert abs(found.mean()) < 0.4
    assert 0.7 < found.std() < 1.4
    assert np.mean(np.abs(found) > MOST_DRIFT) < 0.03


@pytest.mark.parametrize("length", [8, 24, 145, 600])
def test_the_drift_of_a_line_does_not_depend_on_its_length(length):
    line = np.arange(float(length))
    assert drift_of(line) == pytest.approx(4.15, abs=0.1 if length > 20 else 2)
    assert drift_of(-line) == -drift_of(line)
    assert drift_of(line * 1e-3 + 7) == pytest.approx(drift_of(line))


def test_a_series_that_still_moves_drifts():
    settled = autoregressive(200, 0.5, seed=3)
    assert abs(drift_of(settled)) < 2
    assert drift_of(settled + np.linspace(0, 20, 200)) > MOST_DRIFT
    assert drift_of(settled - np.linspace(0, 20, 200)) < -MOST_DRIFT


@pytest.mark.parametrize("series", [[], [1.0] * 7, [1.0] * 20, range(7)])
def test_a_series_that_is_too_short_or_stands_still_has_no_drift(series):
    assert drift_of(series) is None
    assert effective_size(series) <= len(series)


@pytest.mark.parametrize(
    ("count", "drift", "settled"),
    [
        (LEAST_SAMPLES, MOST_DRIFT, True),
        (LEAST_SAMPLES - 1, 0.0, False),
        (1000, -MOST_DRIFT - 0.1, False),
        (1000, None, False),
    ],
)
def test_a_chain_has_settled_with_enough_samples_and_little_drift(count, drift, settled):
    sampled = Sampled(
        valid=SquaredError(), test=SquaredError(), precision=1.0, count=count, effective=5.0,
        drift=drift,
    )  # fmt: skip
    assert sampled.settled is settled
