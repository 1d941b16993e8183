"""Ids are found in the data as numbers or as text, and a value that is no id is named."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from id_forms import FORMS

from ddp.results.ids import KnownIds

BIG = 2**53
NUMBERS = KnownIds(np.array([-7, 3, 20, 196, BIG, BIG + 1, 2**63 - 1]), "user")
TEXTS = KnownIds(np.array(["01", "196", "3.5", "Zoë", "ann"]), "item")


def rows(known, ids):
    return known.rows(ids).tolist()


@pytest.mark.parametrize("form", ["list", "texts", "uint64", "float32", "Series", "categories"])
@pytest.mark.parametrize("known", [NUMBERS, TEXTS], ids=["numbers", "texts"])
def test_no_ids_in_any_form(known, form):
    empty = known.rows(FORMS[form]([]))
    assert (empty.shape, empty.dtype) == ((0,), np.int64)


@pytest.mark.parametrize(
    ("ids", "wanted"),
    [
        ([" 196", "+196", "196.", "-7", "-07.00"], [3, 3, 3, 0, 0]),
        (["1_96", "١٩٦", "", "ann", "196.5", "nan", "1e1", "9" * 5000], [-1] * 8),
        ([BIG, BIG + 1, BIG + 2], [4, 5, -1]),
        ([BIG + 1, 3.0], [5, 1]),
        ([str(BIG + 1), f"{BIG}.0"], [5, 4]),
        ([2**63, -(2**63) - 1, 2**64 + 3, 2**100], [-1] * 4),
        ([-1, 2**63], [-1, -1]),
        (np.array([2**64 - 7, 2**63, 3], np.uint64), [-1, -1, 1]),
        (np.array([2**63 - 1], np.uint64), [6]),
        ([3.5, 3.0], [-1, 1]),
        (np.array([3.5, 3.0]), [-1, 1]),
        (["196\0", "196"], [-1, 3]),
    ],
)
def test_ids_that_are_numbers_are_neither_rounded_nor_wrapped(ids, wanted):
    assert rows(NUMBERS, ids) == wanted


@pytest.mark.parametrize(
    ("ids", "wanted"),
    [
        ([196, 196.0, "196", np.uint8(196)], [1] * 4),
        ([1, "1", "01", " 01\t", "01\0"], [-1, -1, 0, 0, -1]),
        ([3.5, np.float32(3.5), "3.5", "3.50"], [2, 2, 2, -1]),
        (np.array([196.0, 3.5]), [1, 2]),
        (["Zoë", "ann", "Ann", "x" * 10**6], [3, 4, -1, -1]),
        (np.array(["ann", "x"]), [4, -1]),
        ([2**64, -1], [-1, -1]),
    ],
)
def test_numbers_count_as_text_where_ids_are_text(ids, wanted):
    assert rows(TEXTS, ids) == wanted


@settings(max_examples=50, database=None, derandomize=True)
@given(
    known=st.sets(st.integers(-(2**63), 2**63 - 1), min_size=1),
    asked=st.lists(st.integers(-(2**65), 2**65)),
    data=st.data(),
)
def test_whole_numbers_are_found_whatever_their_size(known, asked, data):
    ids = np.array(sorted(known), np.int64)
    asked += data.draw(st.lists(st.sampled_from(sorted(known))))
    spell = st.sampled_from([int, str, "{:+030}".format, "  {}.00".format])
    spelled = [data.draw(spell)(number) for number in asked]
    wanted = [ids.tolist().index(number) if number in known else -1 for number in asked]
    assert rows(KnownIds(ids, "user"), spelled) == wanted


@pytest.mark.parametrize(
    "value",
    [
        True, np.True_, None, float("nan"), np.float32("nan"), pd.NA, pd.NaT, b"3", 3j, [3], (), {},
        float("inf"), float(BIG), -1e300, np.float32(2**24), np.float16(2048),
        np.datetime64("2020-01-01"), np.array([3]),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("known", [NUMBERS, TEXTS], ids=["numbers", "texts"])
def test_a_value_that_is_no_id_is_named_with_its_position(known, value):
    with pytest.raises(ValueError, match=rf"{known.kind}s\[2\] is "):
        known.rows([3, "3", value])
    if not np.iterable(value) or isinstance(value, bytes):
        with pytest.raises(ValueError, match=f"{known.kind} is "):
            known.rows(value)


@pytest.mark.parametrize(
    ("ids", "position"),
    [
        (np.array([False]), 0),
        (np.array([3, np.nan]), 1),
        (np.array([3, 2.0**53]), 1),
        (np.array([b"3"]), 0),
        (np.array(["2020-01-01"], "M8[ns]"), 0),
        (np.ma.array([3, 20, 3], mask=[False, True, False]), 1),
        (pd.Series([3, None]), 1),
        (pd.Series([3, 20, None], dtype="Int64"), 2),
        (pd.Series(["3", None]), 1),
        (pd.Series(["3", None], dtype="category"), 1),
        (pd.Series([True]), 0),
        (pd.Series(pd.to_datetime(["2020-01-01"])), 0),
    ],
)
@pytest.mark.parametrize("known", [NUMBERS, TEXTS], ids=["numbers", "texts"])
def test_an_array_with_a_value_that_is_no_id(known, ids, position):
    with pytest.raises(ValueError, match=rf"{known.kind}s\[{position}\] is "):
        known.rows(ids)


@pytest.mark.parametrize("ids", [np.zeros((2, 2)), pd.DataFrame({"user": [3]})], ids=type)
def test_a_table_is_no_list_of_ids(ids):
    with pytest.raises(ValueError, match=r"users of shape \(., .\): give a list of ids"):
        NUMBERS.rows(ids)
