"""The format of a rating file is recognised, or the file is refused; a given option is obeyed."""

from dataclasses import replace

import numpy as np
import pytest
from delimited_files import AUTO, load, rows, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddp.errors import DataError
from ddp.ratings.load import load_ratings

# Names as public sets write them.
NAMES = {
    "user": [
        *("userId", "user_id", "User-ID", "uid", "reviewerID", "user_id:token", "UserID", "USER"),
        *(
            "customer_id",
            "reviewer_id",
            "User Id",
            " user ",
            "memberID",
            "user_name",
            "profileName",
        ),
    ],
    "item": [
        *("movieId", "item", "ISBN", "asin", "book_id", "item_id:token", "MovieID", "anime_id"),
        *("product_id", "parent_asin", "business_id", "Item-Id", "trackid", "podcast_id", "Title"),
    ],
    "rating": [
        *("rating", "stars", "score", "overall", "Rating", "rating:float", "Book-Rating", "Score"),
        *("review/score", "user_rating", "review_overall", "value"),
    ],
    "timestamp": [
        *("timestamp", "when", "date", "timestamp:float", "unixReviewTime", "time", "Created_At"),
        *("review/time", "rating_timestamp"),
    ],
}
SEPARATORS = [",", ";", "\t", "|", "::", " ", "   "]
ROLES = ["user", "item", "rating", "timestamp"]
made_rows = st.lists(
    st.tuples(
        st.integers(1, 99), st.integers(1, 99), st.integers(1, 10).map(lambda half: half / 2),
        st.integers(500_000_000, 2_000_000_000),
    ),
    min_size=3, max_size=20, unique_by=lambda row: row[:2],
)  # fmt: skip
quick = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def text_of(lines: list[list[object]], separator: str) -> str:
    return "".join(separator.join(map(str, line)) + "\n" for line in lines)


def ids_as(kind: str, rows_of: list[tuple]) -> list[tuple]:
    if kind == "numbers":
        return rows_of
    return [(f"A{user}Z", f"B{item}", *rest) for user, item, *rest in rows_of]


@quick
@given(
    written=made_rows, separator=st.sampled_from(SEPARATORS), roles=st.permutations(ROLES),
    timed=st.booleans(), kind=st.sampled_from(["numbers", "texts"]), data=st.data(),
)  # fmt: skip
def test_a_header_with_known_names(tmp_path, written, separator, roles, timed, kind, data):
    roles = [role for role in roles if timed or role != "timestamp"]
    names = [data.draw(st.sampled_from(NAMES[role])) for role in roles]
    if separator.isspace():
        names = [name.replace(" ", "") for name in names]
    written = ids_as(kind, written)
    lines = [[dict(zip(ROLES, row, strict=True))[role] for role in roles] for row in written]
    got = load(tmp_path / "r", text_of([names, *lines], separator), base=AUTO)
    assert rows(got) == [row[:3] for row in written]
    times = [row[3] for row in written]
    assert (got.timestamps.tolist() if timed else got.timestamps) == (times if timed else None)
    assert got.reading.format["header"] == ("yes", "recognised")
    unit = {"timestamp": ", seconds"}
    for role, name in zip(roles, names, strict=True):
        told = (name.strip() + unit.get(role, ""), "recognised")
        assert got.reading.format[role] == told


@quick
@given(
    written=made_rows, separator=st.sampled_from(SEPARATORS), timed=st.booleans(),
    kind=st.sampled_from(["numbers", "texts"]),
)  # fmt: skip
def test_no_header_and_the_usual_order(tmp_path, written, separator, timed, kind):
    written = ids_as(kind, written)
    lines = [row if timed else row[:3] for row in written]
    got = load(tmp_path / "r", text_of(lines, separator), base=AUTO)
    assert rows(got) == [row[:3] for row in written]
    assert (got.timestamps is not None) == timed
    assert got.reading.format["header"] == ("none", "recognised")


@pytest.mark.parametrize(
    "names",
    [
        ("reviewerID", "asin", "overall", "unixReviewTime", "reviewerName"),
        ("user_id", "parent_asin", "rating", "timestamp", "title"),
        ("", "user", "item", "rating", "when"),  # of pandas, with its index
        ("review_id", "user_id", "business_id", "stars", "date"),
    ],
)
def test_columns_beside_the_wanted_ones(tmp_path, names):
    roles = {"user": 7, "item": 8, "rating": 4}
    known = {
        **dict.fromkeys(("reviewerID", "user_id", "user"), "user"),
        **dict.fromkeys(("asin", "parent_asin", "item", "business_id"), "item"),
        **dict.fromkeys(("overall", "rating", "stars"), "rating"),
    }
    times = {"unixReviewTime", "timestamp", "when", "date"}
    line = [978300760 if name in times else roles.get(known.get(name), "x") for name in names]
    got = load(tmp_path / "r", text_of([list(names), line], ","), base=AUTO)
    assert rows(got) == [(7, 8, 4)]
    assert got.timestamps.tolist() == [978300760]


UNCLEAR = {
    "two columns for the user": ("user,uid,item,rating\n1,2,3,4\n", "'user' and 'uid'"),
    "two columns for the rating": ("user,item,stars,score\n1,2,3,4\n", "'stars' and 'score'"),
    "unknown name of the rating": ("user,item,clicks\n1,2,3\n", "the rating"),
    "unknown names": ("a,b,c\n1,2,3\n2,3,4\n", "the user"),
    "five columns without names": ("1,2,3,4,5\n2,3,4,5,6\n", "5 fields"),
    "the fourth is no time": ("1,2,3,4\n2,3,4,5\n", "column 3"),
    "time before rating": ("1,2,978300760,4\n2,3,978300761,5\n", "times, not ratings"),
    "text in place of ratings": ("a,b,c,978300760\n1,2,x,978300760\n", "rating"),
    "the header of a bare array": ("0,1,2\n5,6,3\n7,8,4\n", "numbers of the columns"),
    "text only": ("ann,bike,good\nbob,boat,bad\n", "a header or a rating"),
    "two columns": ("user,item\n1,2\n", "separator"),
    "one column": ("1\n2\n", "separator"),
}


@pytest.mark.parametrize(("content", "reason"), UNCLEAR.values(), ids=UNCLEAR)
def test_an_unclear_file_is_refused_with_its_first_line(tmp_path, content, reason):
    with pytest.raises(DataError) as refusal:
        load(tmp_path / "r.csv", "\n" + content, base=AUTO)
    message = str(refusal.value)
    assert f"{tmp_path / 'r.csv'}:2: " in message
    assert reason in message
    assert repr(content.splitlines()[0]) in message
    assert "data.separator" in message or "data.user=" in message or "data.header=" in message


OBEYED = [
    ("amazon.csv", "B1,A1,4.0,1500000000\nB2,A1,3.0,1500000060\n", {"user": 1, "item": 0},
     [("A1", "B1", 4), ("A1", "B2", 3)]),
    ("header", "10,20,3\n30,40,5\n", {"header": True, "user": 0, "item": 1, "rating": 2},
     [(30, 40, 5)]),
    ("no header", "0,1,2\n5,6,3\n", {"header": False}, [(0, 1, 2), (5, 6, 3)]),
    ("names", "who,what,how\n1,2,3\n", {"user": "who", "item": "what", "rating": "how"},
     [(1, 2, 3)]),
    ("other columns", "user,item,rating,stars\n1,2,3,4\n", {"rating": "stars"}, [(1, 2, 4)]),
    ("a position below a header", "a,b,c\n1,2,3\n4,5,2\n", {"user": 0, "item": 1, "rating": 2},
     [(1, 2, 3), (4, 5, 2)]),
    ("separator", "1;2,5;3\n", {"separator": ";"}, [(1, "2,5", 3)]),
    ("no timestamp", "1,2,3,978300760\n", {"timestamp": None}, [(1, 2, 3)]),
    ("five columns", "9,1,2,3,978300760\n", {"user": 1, "item": 2, "rating": 3}, [(1, 2, 3)]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "options", "expected"), [case[1:] for case in OBEYED], ids=[c[0] for c in OBEYED]
)
def test_a_given_option_is_obeyed(tmp_path, content, options, expected):
    got = load(tmp_path / "r", content, base=AUTO, **options)
    assert rows(got) == expected
    origins = {part: origin for part, (_, origin) in got.reading.format.items()}
    assert origins == {part: "given" if part in options else "recognised" for part in origins}


@pytest.mark.parametrize(
    "content", ['{"user": 1, "item": 2, "rating": 3}\n', '[{"user":1}]', "[[1, 2, 3],\n[2, 3, 4]]"]
)
def test_json_is_refused_by_name(tmp_path, content):
    with pytest.raises(DataError, match="r:1: is JSON"):
        load(tmp_path / "r", content, base=AUTO)
    got = load(tmp_path / "r", "{8A0B-11},[7],3\n{8A0B-12},[7],4\n", base=AUTO)
    assert rows(got) == [("{8A0B-11}", "[7]", 3), ("{8A0B-12}", "[7]", 4)]


@pytest.mark.parametrize("separator", [" ", ",", "\t", ";"])
def test_a_table_of_r_with_row_names_is_refused_by_name(tmp_path, separator):
    lines = [['"user"', '"item"', '"rating"'], ['"1"', 10, 19, 4], ['"2"', 11, 19, 5]]
    with pytest.raises(
        DataError, match=r"r:1: the header has 3 names and each line 4 fields, as R"
    ):
        load(tmp_path / "r", text_of(lines, separator), base=AUTO)


def test_a_first_line_that_is_a_rating_counts(tmp_path):
    for first in ("1,2,3", "u1,b2,4.5", "7,x y,0", "-1,2,-1"):
        content = f"{first}\n8,9,5\n9,9,4\n"
        assert len(load(tmp_path / "r", content, base=AUTO)) == 3


def test_a_known_word_or_a_number_does_not_make_the_header(tmp_path):
    assert len(load(tmp_path / "r", "movie,7,3\nu1,8,4\n", base=AUTO)) == 2
    got = load(tmp_path / "r", "user,item,rating,2019\n1,2,3,4\n", base=AUTO)
    assert rows(got) == [(1, 2, 3)]


def test_a_bad_first_line_is_not_taken_for_a_header(tmp_path):
    for first in ("1,2,NA", "1,2,", "u1,2,x"):
        with pytest.raises(DataError, match=r"r:1: rating '\w*' is not a number"):
            load(tmp_path / "r", f"{first}\n8,9,5\n9,9,4\n", base=AUTO)


@pytest.mark.parametrize("decimals", ["auto", ","])
def test_decimal_comma(tmp_path, decimals):
    for content in (
        "user;item;rating\n1;2;4,5\n2;2;3\n",
        '1,2,"4,5"\n2,2,3\n',
        "1\t2\t4,5\n2\t2\t3",
    ):
        got = load(tmp_path / "r", content, base=AUTO, decimal=decimals)
        assert rows(got) == [(1, 2, 4.5), (2, 2, 3)]
    with pytest.raises(DataError, match=r"r:2: rating '4\.5' is not a number.*data\.decimal=point"):
        load(tmp_path / "r", "1;2;4,5\n2;2;4.5\n", base=AUTO, decimal=decimals)


def test_the_files_of_one_run_may_differ(tmp_path):
    paths = [write(tmp_path / "a", "user,item,rating\n1,2,3\n"), write(tmp_path / "b", "1\t3\t4\n")]
    got = load_ratings(replace(AUTO, path=None, paths=paths), seed=0)
    assert rows(got) == [(1, 2, 3), (1, 3, 4)]
    assert got.reading.format["separator"] == ("comma; b: tab", "recognised")
    assert got.reading.format["header"] == ("yes; b: none", "recognised")


def test_wide_encodings_are_recognised_by_their_mark(tmp_path):
    for encoding in ("utf-16", "utf-32", "utf-8-sig"):
        got = load(
            tmp_path / "r", "user,item,rating\nj\u00fcrgen,2,3\n".encode(encoding), base=AUTO
        )
        assert rows(got) == [("j\u00fcrgen", 2, 3)]
        assert got.reading.format["encoding"][0] == encoding.removesuffix("-sig")


def test_what_is_recognised_does_not_depend_on_the_number_of_rows(tmp_path):
    lines = [[user, item, 1 + (user + item) % 5] for user in range(40) for item in range(40)]
    got = load(tmp_path / "r", text_of(lines, "::"), base=AUTO)
    assert len(got) == 1600
    assert np.array_equal(got.user_ids, np.arange(40))
