"""The rule for values that may mean "not rated": it finds -1, 0 and 99, and spares every scale."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_ratings import laws

from ddp.ratings.outside import MIN_SHARE, as_option, outside, tally

STARS = (1, 2, 3, 4, 5)
HALVES = tuple(n / 2 for n in range(1, 11))
SCALES = {
    "stars": STARS,
    "halves": HALVES,
    "ten": tuple(range(1, 11)),
    "ten, the lower half unused": (6, 7, 8, 9, 10),
    "per cent": tuple(range(0, 101)),
    "tens": tuple(range(0, 101, 10)),
    "from 0": (0, 1, 2, 3, 4, 5),
    "from 0 in halves": (0.0, *HALVES),
    "around 0": (-2, -1, 0, 1, 2),
    "thumbs": (0, 1),
    "thumbs up and down": (-1, 1),
    "thumbs and neither": (-1, 0, 1),
    "only the ends": (1, 5),
    "a value unused": (1, 2, 4, 5),
    "the lowest apart": (1, 3, 4, 5),
    "the second highest unused": (1, 2, 3, 4, 6),
    "two values above -1": (-1, 1, 2),
    "powers": (1, 2, 4, 8, 16),
    "powers of ten": (1, 10, 100, 1000),
    "one": (3,),
}


def found(values, counts=None, continuous=()):
    ratings = np.repeat(np.asarray(values, np.float32), 100 if counts is None else counts)
    return outside(*tally(np.append(ratings, np.asarray(continuous, np.float32))))


@pytest.mark.parametrize("scale", SCALES)
def test_a_scale_is_spared(scale):
    assert found(SCALES[scale]) == []


@pytest.mark.parametrize(
    ("values", "counts"),
    [
        ((1, 2, 3, 4, 5), (6110, 11370, 27145, 34174, 21201)),  # MovieLens 100K
        ((1, 2, 3, 4, 5), (150, 60, 90, 180, 600)),  # most people rate what they love or hate
        ((0, 1, 2, 3, 4, 5), (15, 8, 9, 18, 30, 60)),  # the same from 0
        ((-3, -2, -1, 0, 1), (500, 100, 100, 100, 100)),
        (range(101), (5000, *[100] * 100)),  # with so many values the neighbours say little
        (HALVES, (1, 4, 1, 6, 4, 20, 12, 27, 8, 14)),
    ],
)
def test_usual_distributions_are_spared(values, counts):
    assert found(values, counts) == []


@pytest.mark.parametrize("value", [-1, 99, 99.99, -1234567, 978300760, 1.2345678, 3e38, 1e-30])
def test_the_option_leaves_out_that_very_value(value):
    stored = float(np.float32(value))
    text = as_option([stored])
    assert np.float32(text.removeprefix("data.not_rated=[").removesuffix("]")) == stored
    assert len(text) < 64


@pytest.mark.parametrize("value", [-1, -99, 99, 999, 9])
@pytest.mark.parametrize("scale", [STARS, HALVES, (6, 7, 8, 9), (1, 2, 3)])
def test_a_value_apart_from_the_scale_is_found(value, scale):
    if value > max(scale) + 2:
        assert found([*scale, value]) == [value]
    elif value < 0:
        assert found([value, *scale]) == [value]


def test_two_values_apart_are_found_together():
    assert found([-1, *STARS, 99]) == [-1, 99]


@pytest.mark.parametrize(
    ("counts", "outsiders"),
    [
        ([620, 2, 3, 6, 9, 40, 30, 60, 80, 50, 70], [0]),  # Book-Crossing: 0 is "no rating"
        ([54, 11, 12, 36, 165, 720], [0]),  # Food.com
        ([900, *[100] * 20], [0]),
        ([100] * 6, []),
        ([150, 100, 100, 100, 100, 100], []),
        ([250, 100, 100, 100, 100, 100], [0]),
        ([20, 1, 1, 200, 300, 400], []),  # too few to matter
    ],
)
def test_a_zero_below_1_counts_if_it_is_far_more_frequent_than_its_neighbours(counts, outsiders):
    assert found(range(len(counts)), counts) == outsiders


def test_few_rows_do_not_count():
    total = 10_000
    for share, expected in ((MIN_SHARE * 0.9, []), (MIN_SHARE * 1.1, [-1])):
        odd = round(total * share)
        assert found([-1, *STARS], [odd, *[(total - odd) // 5] * 5]) == expected


@laws
@given(
    step=st.sampled_from([0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10]),
    num=st.integers(1, 60),
    first=st.integers(1, 5),
    data=st.data(),
)
def test_no_scale_above_0_has_values_outside(step, num, first, data):
    """It holds for all ratings in which each value of the scale is used."""
    counts = data.draw(st.lists(st.integers(1, 1000), min_size=num, max_size=num))
    assert found([step * (first + n) for n in range(num)], counts) == []


@laws
@given(
    seed=st.integers(0, 10**6), mean=st.floats(-10, 10), scale=st.sampled_from([0.01, 1.0, 100.0])
)
def test_continuous_ratings_have_none_but_one_far_away(seed, mean, scale):
    rng = np.random.default_rng(seed)
    for ratings in (rng.normal(mean, scale, 1000), rng.uniform(-scale, scale, 1000)):
        assert found([], [], ratings) == []
        far = np.float32(ratings.max() + 1.1 * np.ptp(ratings))
        assert found([far], [50], ratings) == [far]


def test_jokes_of_minus_10_to_10_where_99_is_not_rated():
    jokes = np.round(np.random.default_rng(0).uniform(-10, 10, 5000), 2)
    assert found([99], [1000], jokes) == [99]


@laws
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=200))
def test_a_tally_counts_each_value(values):
    distinct, counts = tally(np.array(values, np.float32))
    expected, expected_counts = np.unique(np.array(values, np.float32), return_counts=True)
    assert distinct.tolist() == expected.tolist()
    assert counts.tolist() == expected_counts.tolist()
