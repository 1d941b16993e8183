"""Ids of users and items: one id however a number is written, and text as it is written."""

from dataclasses import replace

import pytest
from delimited_files import AUTO, load, rows, write
from hypothesis import given
from hypothesis import strategies as st

from ddp.ratings.load import load_ratings
from ddp.ratings.sources.ids import whole_number

HEADER = "user,item,rating\n"
SPELLINGS = ["{}", "{}.0", "{}.", "{}.000", "0{}", "+{}", " {} ", "\t{}", "00{}.0"]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_number_is_one_id_however_it_is_written(tmp_path, spelling):
    content = HEADER + f"7,1,3\n{spelling.format(7)},2,4\n8,{spelling.format(1)},5\n"
    assert rows(load(tmp_path / "r", content, base=AUTO)) == [(7, 1, 3), (7, 2, 4), (8, 1, 5)]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_number_is_one_id_in_several_files(tmp_path, spelling):
    paths = [
        write(tmp_path / "a", HEADER + "7,1,3\n8,1,3\n"),
        write(tmp_path / "b", HEADER + f"{spelling.format(7)},2,4\n{spelling.format(9)},1,4\n"),
    ]
    got = load_ratings(replace(AUTO, path=None, paths=paths), seed=0)
    assert got.user_ids.tolist() == [7, 8, 9]
    assert got.reading.warnings == ()


@given(st.integers(-(2**64), 2**64), st.sampled_from(SPELLINGS))
def test_whole_numbers_of_64_bits_are_exact(number, spelling):
    text = f"{number}.0" if number < 0 else spelling.format(number)
    assert whole_number(text) == (number if -(2**63) <= number < 2**63 else None)


@pytest.mark.parametrize(
    "text", ["", "x", "1.5", "1e5", "1 2", "0x1", "1..", "\u0663", "1_0", "--1"]
)
def test_other_texts_are_no_whole_numbers(text):
    assert whole_number(text) is None


@pytest.mark.parametrize("blank", [" ", "  ", "\t", " \t"])
def test_blanks_around_ids_are_none_of_them(tmp_path, blank):
    content = HEADER + f"u1,b1,3\n{blank}u1,b2{blank},4\nu2{blank},{blank}b1,{blank}5{blank}\n"
    got = load(tmp_path / "r", content, base=AUTO)
    assert rows(got) == [("u1", "b1", 3), ("u1", "b2", 4), ("u2", "b1", 5)]


def test_ids_as_text_are_as_they_are_written(tmp_path):
    content = HEADER + "007,1,3\n7,1,4\n7.0,1,5\n 7,01,2\n"
    got = load(tmp_path / "r", content, base=AUTO, ids="text")
    assert rows(got) == [("007", "1", 3), ("7", "1", 4), ("7.0", "1", 5), ("7", "01", 2)]
    assert got.reading.warnings == ()


@pytest.mark.parametrize("text", ["anna", "034545104X", "1e+05", "7.5", "12-3"])
def test_text_among_numbers_is_told_with_its_first_line(tmp_path, text):
    content = HEADER + f"1,1,3\n2,1,3\n{text},1,3\n3,1,4\n{text},2,4\n"
    got = load(tmp_path / "r", content, base=AUTO)
    assert got.user_ids.tolist() == sorted(["1", "2", "3", text])
    [warning] = got.reading.warnings
    assert f"{tmp_path / 'r'}:4: user '{text}' is no whole number" in warning
    assert "data.ids=text" in warning
    assert load(tmp_path / "r", content, base=AUTO, ids="text").reading.warnings == ()


def test_numbers_among_texts_are_texts(tmp_path):
    got = load(tmp_path / "r", HEADER + "1,a,3\n1,b,3\n01,7,4\n", base=AUTO)
    assert got.item_ids.tolist() == ["7", "a", "b"]
    assert got.user_ids.tolist() == [1]
    assert got.reading.warnings == ()


def test_the_line_of_a_text_counts_the_rows_that_are_left_out(tmp_path):
    content = HEADER + "1,1,-1\n2,1,3\n3,1,-1\n4,1,2\nx,1,3\n"
    got = load(tmp_path / "r", content, base=AUTO, not_rated=[-1])
    assert "r:6: user 'x'" in got.reading.warnings[0]


def test_a_mark_before_any_line_is_none_of_its_id(tmp_path):
    mark = "\ufeff"
    for first in ("user,item,rating\n", ""):
        content = f"{mark}{first}{mark}1,1,3\n2,1,4\n{mark}1,2,5\n"
        assert rows(load(tmp_path / "r", content, base=AUTO)) == [(1, 1, 3), (2, 1, 4), (1, 2, 5)]
    parts = [f"{mark}user,item,rating\nu{number},a,3\n" for number in range(2)]
    joined = parts[0] + parts[1].replace("user,item,rating\n", "")
    assert rows(load(tmp_path / "r", joined, base=AUTO)) == [("u0", "a", 3), ("u1", "a", 3)]
