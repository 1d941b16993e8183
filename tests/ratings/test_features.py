"""Columns of text become attributes: numbers are standardised, other values become marks."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddp.ratings.features import features_of


def dense(features, num: int):
    """float (num, columns)."""
    matrix = np.zeros((num, len(features.names)))
    for column, (begin, end) in enumerate(
        zip(features.starts[:-1], features.starts[1:], strict=True)
    ):
        rows = features.rows[begin:end]
        assert (np.diff(rows) > 0).all()
        matrix[rows, column] = features.values[begin:end]
    assert features.starts[0] == 0
    assert features.starts[-1] == len(features.rows) == len(features.values)
    dtypes = features.starts.dtype, features.rows.dtype, features.values.dtype
    assert dtypes == (np.int64, np.int32, np.float32)
    return matrix


def made(**columns):
    """(names, the matrix, the notes) of columns of cells, whose rows keep their order."""
    num = len(next(iter(columns.values())))
    features, notes = features_of(columns, np.arange(num, dtype=np.int32))
    return features.names, dense(features, num), notes


def test_a_value_is_a_mark_and_several_values_share_its_length():
    half = 1 / math.sqrt(2)
    names, matrix, notes = made(
        sex=["F", "M", "", "M", "F"], genre=["War|Drama", " Drama", "War", "N/A", "War|War|x"]
    )
    assert names == ("sex=F", "sex=M", "genre=Drama", "genre=War")  # x is that of one row alone
    assert np.allclose(
        matrix,
        [[1, 0, half, half], [0, 1, 1, 0], [0, 0, 0, 1], [0, 1, 0, 0], [1, 0, 0, 1]],
    )
    assert not notes


@pytest.mark.parametrize(
    ("cells", "is_amount"),
    [
        (list(range(21)), True),
        ([*range(20), 7], False),
        ([1, 1, 2.5], True),
        (["1.0", "1.", "2", "2"], False),
        ([1, "", 2.5], True),
        ([1, 1, 2.5, "x"], False),
        (["inf", "inf", 2.5], False),
        (["1,5", "1,5", "2,5"], False),
    ],
)
def test_an_amount_is_told_from_a_class(cells, is_amount):
    names, _, _ = made(age=[*map(str, cells)])
    assert (names == ("age",)) == is_amount


@given(
    st.lists(
        st.none() | st.floats(-1e300, 1e300).filter(lambda value: value != round(value)), min_size=3
    ),
    st.randoms(use_true_random=False),
)
def test_an_amount_has_mean_0_and_deviation_1_over_the_rows_that_have_it(values, random):
    positions = list(range(len(values) + 5))
    random.shuffle(positions)
    positions = np.array(positions[: len(values)], np.int32)
    cells = ["" if value is None else repr(value) for value in values]
    features, notes = features_of({"x": cells}, positions)
    known = np.array([value for value in values if value is not None])
    if len(set(known)) < 2:
        assert features.names == ()
        assert notes == ("x is left out: it has one value in all rows, or another in each",)
        return
    column = dense(features, len(values) + 5)[:, 0]
    present = positions[[value is not None for value in values]]
    assert not np.delete(column, present).any()
    assert abs(column[present].mean()) < 1e-4
    assert abs(column[present].std() - 1) < 1e-4
    order = np.argsort(known, kind="stable")
    assert (np.diff(column[present][order]) >= 0).all()


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=4), min_size=1, max_size=30))
def test_the_marks_of_a_cell_have_length_1(cells):
    names, matrix, _ = made(c=["|".join(values) for values in cells])
    number = {value: sum(value in cell for cell in cells) for value in "abcdef"}
    assert names == tuple(f"c={v}" for v in "abcdef" if 1 < number[v] < len(cells))
    for row, cell in zip(matrix, cells, strict=True):
        marks = [f"c={value}" in names and value in cell for value in "abcdef"]
        assert math.isclose(np.square(row).sum(), any(marks), abs_tol=1e-6)
        assert len(set(row[row > 0])) <= 1
        assert np.count_nonzero(row) == sum(marks)


def test_a_column_that_tells_nothing_is_named():
    names, matrix, notes = made(name=["a", "b", "c"], land=["x"] * 3, one=["0.5"] * 3)
    assert (names, matrix.shape) == ((), (3, 0))
    assert notes == tuple(
        f"{name} is left out: it has one value in all rows, or another in each"
        for name in ("name", "land", "one")
    )


@pytest.mark.parametrize("odd", ["x", "1,5", "inf", "1e999"])
def test_a_text_among_amounts_is_named(odd):
    cells = [str(number % 30) for number in range(60)]
    assert made(age=cells)[2] == ()
    names, _, notes = made(age=[*cells, odd])
    assert len(names) == 30
    assert notes[0].startswith(f"age: {odd!r} is no number, so each value is an attribute of its")
    assert len(notes) == 1
