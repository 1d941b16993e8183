"""The benchmark of the account: its interval, and its measurement."""

import pytest
from small_runs import DATA

from benchmarks import overhead


@pytest.mark.parametrize(
    ("number", "low", "high"),
    [(3, 1, 3), (5, 1, 5), (6, 1, 6), (10, 2, 9), (20, 6, 15), (60, 22, 39)],
)
# low, high: ranks from tables of the sign test
def test_the_interval_of_a_median_is_that_of_the_sign_test(number, low, high):
    assert overhead.interval_of_median(list(range(number, 0, -1))) == (low, high)


def test_what_an_account_costs_is_measured_in_whole_runs():
    figures = overhead.measured(("data=synthetic", *DATA, "backend=serial", "rounds=1"))
    assert figures[overhead.RUN] > figures[overhead.TRAINING] > 0
    assert figures[overhead.CPU] > 0
