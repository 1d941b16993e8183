"""The facts about ratings that a run tells, and the tables of inspect=true."""

import json
import re
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_ratings import laws, random_ratings, ratings_of

from ddp.ratings.arrays import Reading
from ddp.ratings.description import Description, amount, description_of, facts, in_lines, short
from ddp.ratings.inspection import NUM_BINS, SINGLE, distribution, spread, tables

READING = Reading(
    format={
        "separator": ("tab", "recognised"),
        "header": ("no", "recognised"),
        "columns": ("user 0, item 1, rating 2", "given"),
        "encoding": ("utf-8", "recognised"),
    },
    left_out={"not rated (-1)": 1200, "rated again (duplicates=last)": 34, "never": 0},
    warnings=("the last line is odd",),
)


def made(values, *, timestamps=None, reading=None, scale=(1.0, 5.0)):
    """Ratings of as many users, for two items."""
    num = len(values)
    found = ratings_of(np.arange(num), np.arange(num) % 2, values, timestamps)
    found.rating_min, found.rating_max = scale
    found.reading = reading
    return found


def texts(ratings):
    return [f"{label}: {text}" for label, text in in_lines(description_of(ratings))]


def notes(ratings):
    return list(description_of(ratings).notes)


# --- the facts ---


def test_the_facts():
    ratings = made([1, 2, 5, 4, 4], timestamps=[86_399, 0, 7, 8, 1_700_000_000])
    about = description_of(ratings)
    assert (about.num_ratings, about.num_users, about.num_items) == (5, 5, 2)
    assert (about.fill_percent, about.mean) == (50.0, pytest.approx(3.2))
    assert about.time == ("1970-01-01T00:00:00Z", "2023-11-14T22:13:20Z")
    assert (about.format, about.left_out, about.notes) == ({}, {}, ())
    assert texts(ratings) == [
        "data: 5 ratings of 5 users for 2 items, 50 % full",
        ": scale 1 to 5, mean 3.2, 1970-01-01 to 2023-11-14",
    ]


@laws
@given(seed=st.integers(0, 10**6), num=st.integers(1, 300), continuous=st.booleans())
def test_the_figures_are_those_of_the_arrays(seed, num, continuous):
    ratings = random_ratings(num, seed=seed, continuous=continuous)
    about = description_of(ratings)
    assert about.found == (ratings.ratings.min(), ratings.ratings.max())
    assert about.mean == pytest.approx(np.mean(ratings.ratings, dtype=float))
    assert about.fill_percent == pytest.approx(
        100 * num / (len(ratings.user_ids) * len(ratings.item_ids))
    )
    first, last = (
        datetime.fromtimestamp(time, UTC).isoformat().replace("+00:00", "Z")
        for time in (min(ratings.timestamps.tolist()), max(ratings.timestamps.tolist()))
    )
    assert about.time == (first, last)


@pytest.mark.parametrize("time", [-(2**63), -(10**12), 1_500_000_000_000, 2**63 - 1])
def test_any_timestamp_is_told(time):
    _, line = texts(made([1, 5], timestamps=[time, time]))
    assert re.fullmatch(r": scale 1 to 5, mean 3, -?\d+-\d\d-\d\d", line)


def test_milliseconds_look_odd():
    assert texts(made([1, 2], timestamps=[1_500_000_000_000] * 2))[1].endswith(" 49503-02-10")


def test_a_scale_that_was_given_is_told_with_the_one_found():
    assert "scale 0 to 10 (found: 1 to 4.5)" in texts(made([1, 4.5], scale=(0.0, 10.0)))[1]
    assert "scale 1 to 5, mean 3" in texts(made([1, 5]))[1]


def test_the_way_of_reading_is_told_with_where_it_comes_from():
    assert texts(made([1, 5], reading=READING))[2:] == [
        "recognised: separator = tab; header = no; encoding = utf-8",
        "given: columns = user 0, item 1, rating 2",
        "left out: 1,234 rows: 1,200 not rated (-1), 34 rated again (duplicates=last)",
        "note: the last line is odd",
    ]


@pytest.mark.parametrize(
    ("left_out", "told"),
    [
        ({}, "no row"),
        ({"not rated (-1)": 0}, "no row"),
        ({"not rated (-1)": 1, "rated again": 0}, "1 row: not rated (-1)"),
        ({"not rated (-1)": 1000}, "1,000 rows: not rated (-1)"),
        ({"not rated (-1)": 2, "rated again": 3}, "5 rows: 2 not rated (-1), 3 rated again"),
    ],
)
def test_rows_that_were_left_out_are_told_with_the_reason(left_out, told):
    reading = Reading(format=READING.format, left_out=left_out)
    assert texts(made([1, 5], reading=reading))[-1] == f"left out: {told}"


def test_json_brings_the_description_back():
    about = description_of(made([1, 5, 3], timestamps=[1, 2, 3], reading=READING))
    again = Description(**json.loads(json.dumps(about.as_json(), allow_nan=False)))
    assert facts(again) == facts(about)
    assert in_lines(again) == in_lines(about)


def test_names_from_the_file_are_escaped():
    reading = Reading(
        format={"columns": ("ra\x1b[31mting\x1b[2J", "given")},
        left_out={"\x07": 1},
        warnings=("look:\x1b]0;\r\n",),
    )
    about = description_of(made([1, 5], reading=reading))
    shown = [*facts(about).values(), *(text for line in in_lines(about) for text in line)]
    assert r"columns = ra\x1b[31mting\x1b[2J" in shown
    assert all(text.replace("\n", "").isprintable() for text in shown)


# --- the notes ---


@pytest.mark.parametrize("value", [4, 0, -2.5, 1])
def test_equal_ratings_get_a_note(value):
    assert notes(made([value] * 5)) == [
        f"all ratings are {value}, so there is nothing to learn: check data.rating"
    ]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([978_300_760, 978_302_109], "978,300,736"),  # as float32
        ([1, 2, 1_000_000], "1,000,000"),
        ([-2e6, 1, 2], "-2,000,000"),
        ([1, 2, 999_999], None),
    ],
)
def test_ratings_that_may_be_times_get_a_note(values, told):
    found = [note for note in notes(made(values)) if "may be swapped" in note]
    assert bool(found) == (told is not None)
    assert told is None or all("the ratings reach " in note for note in found)


def test_values_that_may_mean_not_rated_get_a_note_with_the_option():
    found = notes(made([-1] * 10 + [6, 7, 8, 9] * 10))
    assert found == [
        "-1 is the rating of 10 rows (20 %), outside the scale of the others, 6 to 9: if it means"
        " 'not rated', set data.not_rated=[-1]"
    ]
    several = notes(made([-1] * 10 + [1, 2, 3, 4, 5] * 10 + [99] * 10))
    assert len(several) == 2
    assert all("set data.not_rated=[-1,99]" in note for note in several)
    assert notes(made([1, 2, 3, 4, 5] * 10)) == []


def test_the_rows_of_such_a_value_are_counted_in_all_of_many_ratings():
    values = np.tile(np.array([1, 2, 3, 4, 5, -1, 5, 4, 3, 2], np.float32), 50_001)
    (note,) = notes(made(values))
    assert "50,001 rows (10 %)" in note


# --- numbers in words ---


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((100, "100"), (40.0, "40"), (9.96, "10"), (6.305, "6.3"), (0.0412, "0.041")),
        *((4e-7, "0.0000004"), (0, "0")),
    ],
)
def test_a_share_has_two_digits(value, text):
    assert short(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((4.0, "4"), (3.5, "3.5"), (np.float32(4.1), "4.1"), (-0.387539, "-0.3875")),
        *((-1.0, "-1"), (1234.5, "1,234"), (1e6, "1,000,000")),
    ],
)
def test_a_rating_is_short(value, text):
    assert amount(float(value)) == text


# --- inspect=true ---


@laws
@given(
    values=st.lists(st.integers(-50, 50).map(lambda n: n / 2), min_size=1, max_size=300)
    | st.lists(st.floats(-1e9, 1e9, width=32), min_size=1, max_size=300)
    | st.just([1.0, np.nextafter(np.float32(1), np.float32(2))])
)
def test_the_distribution_has_every_rating_once(values):
    shares = distribution(np.array(values, np.float32))
    assert sum(number for _, number in shares) == len(values)
    distinct = len(set(values))
    assert len(shares) == (distinct if distinct <= 20 else NUM_BINS)
    assert len({name for name, _ in shares}) == len(shares)


def test_the_distribution_of_stars_is_by_value_and_in_order():
    values = np.array([4, 4, 3.5, 10, 0.5], np.float32)
    assert distribution(values) == [("0.5", 1), ("3.5", 1), ("4", 2), ("10", 1)]


def test_the_distribution_of_many_values_is_in_bins():
    shares = distribution(np.tile(np.linspace(0, 5, 51, dtype=np.float32), 3))
    assert (shares[0][0], shares[-1][0]) == ("0.00 to 0.50", "4.50 to 5.00")
    assert {number for _, number in shares} <= {12, 15, 18}


@laws
@given(st.lists(st.integers(0, 20), min_size=1, max_size=100))
def test_the_spread_is_that_of_the_numbers_of_ratings(owners):
    num = max(owners) + 1
    counts = sorted(owners.count(owner) for owner in range(num))
    found = spread(np.array(owners, np.int32), num)
    assert (found["fewest"], found["most"]) == (counts[0], counts[-1])
    assert found["median"] in counts
    below = sum(count <= found["90 %"] for count in counts)
    assert below >= 0.9 * num
    assert found[SINGLE] == counts.count(1)


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("continuous", [False, True])
def test_the_tables_fit(width, continuous):
    ratings = random_ratings(5000, num_users=300, continuous=continuous)
    lines = tables(ratings, width)
    assert max(map(len, lines)) <= width
    (longest,) = {max(line.count("#") for line in lines)}
    assert longest >= 5
    assert len(lines) == 1 + (10 if continuous else 5) + 1 + 7


def test_long_numbers_leave_no_room_for_bars():
    ratings = made([1e30, -1e30, *np.linspace(0, 1e29, 30)])
    assert all("#" not in line for line in tables(ratings, 40))
