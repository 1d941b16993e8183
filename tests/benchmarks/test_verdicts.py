"""The rules of benchmarks.claims: crossings, paces, and numbers in words."""

import math

import pytest

from benchmarks.claims import verdicts


@pytest.mark.parametrize(
    ("points", "level", "x"),
    [
        ([(1, 1), (100, 100)], 10, 10),  # straight where both axes are logarithmic
        ([(1, 2), (4, 8), (16, 32)], 8, 4),
        # the last passage: from there on it stays above
        ([(1, 1), (2, 20), (3, 5), (6, 20)], 10, 3 * 2**0.5),
        ([(1, 10), (2, 20)], 10, 0),
        ([(1, 20), (2, 9)], 10, math.inf),
        ([(1, 1), (2, 10)], 10, 2),
    ],
)
def test_where_a_curve_passes_a_level(points, level, x):
    assert verdicts.crossing(points, level) == pytest.approx(x)


def test_every_repeat_has_its_own_crossing():
    series = {1.0: [1.0, 20.0, 1.0], 100.0: [100.0, 30.0, 5.0]}
    assert verdicts.crossings(series, 10) == pytest.approx([10, 0, math.inf])
    assert verdicts.passage([10.0, 0.0, math.inf], [1.0, 100.0]) == "10 (< 1 - > 100)"
    assert verdicts.passage([12.34], [1.0, 100.0]) == "12"
    assert verdicts.passage([math.inf, math.inf], [1.0, 8192.0]) == "> 8192"


@pytest.mark.parametrize(
    ("values", "low", "high", "times"),
    [
        ([31.0, 31.0, 900.0], 2, 10, 1),  # the median is less than half an order of magnitude above
        ([33.0], 2, 10, 3.3),
        ([0.64], 2, 10, 1),
        ([0.5, 0.5, 5.0], 2, 10, 0.25),
        ([1e-9], 0, 10, 1),  # what is claimed to be small may be smaller
    ],
)
def test_about_is_half_an_order_of_magnitude(values, low, high, times):
    assert verdicts.times_off(values, low, high) == pytest.approx(times)


@pytest.mark.parametrize(
    ("ratios", "word"),
    [
        ([1.2, 1.05, 1.3], "faster"),
        ([1.2, 0.99, 1.3], "as fast"),  # not in every pair
        ([1.05, 1.04, 1.09], "as fast"),  # not by a tenth
        ([0.8, 0.97, 0.7], "slower"),
        ([0.8, 1.01, 0.7], "as fast"),
        ([0.95, 0.92, 0.93], "as fast"),
    ],
)
def test_faster_is_by_a_tenth_and_in_every_pair(ratios, word):
    assert verdicts.pace(ratios) == word


@pytest.mark.parametrize(
    ("begin", "per_round", "other_begin", "other_per_round", "rounds"),
    [
        (10, 1, 4, 3, 3),
        (4, 1, 10, 3, 0),  # ahead from the start
        (10, 3, 4, 3, math.inf),
        (4, 3, 10, 1, math.inf),  # ahead for a few rounds only
        (4, 3, 4, 3, 0),
    ],
)
def test_start_up_is_paid_back_where_two_lines_cross(
    begin, per_round, other_begin, other_per_round, rounds
):
    assert verdicts.paid_back(begin, per_round, other_begin, other_per_round) == rounds


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.000345, "0.00034"), (1.26, "1.3"), (12.6, "13"), (4539.2, "4539")],
)
def test_figures_have_two_digits_or_all_before_the_point(value, text):
    assert verdicts.rounded(value) == text


def test_a_range_is_shown_if_there_is_one():
    assert verdicts.span([3.0, 1.0, 2.0]) == "2.0 (1.0 - 3.0)"
    assert verdicts.span([1.0, 1.0, 2.0]) == "1.0 (1.0 - 2.0)"
    assert verdicts.span([431.2, 431.3], 3) == "431"


@pytest.mark.parametrize(
    ("names", "text"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")],
)
def test_lists_in_words(names, text):
    assert verdicts.several(names) == text
