"""Any rating file: its ratings come back, and a message names the file and line of a wrong one."""

import csv
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddp.config.data import CsvData
from ddp.errors import DataError
from ddp.ratings.load import load_ratings

DEFAULTS = CsvData(
    name="csv", path="unset", paths=None, separator=",", header=True, encoding="utf-8",
    user="userId", item="movieId",
    rating="rating", timestamp=None, rating_min=None, rating_max=None, duplicates="error",
    cache=None,
)  # fmt: skip
HEADER = "userId,movieId,rating,when\n"


def write(path: Path, content: str | bytes) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def load(path: Path, content: str | bytes, **options):
    return load_ratings(replace(DEFAULTS, path=write(path, content), **options), seed=0)


def rows(ratings) -> list[tuple]:
    return list(
        zip(
            ratings.user_ids[ratings.users].tolist(),
            ratings.item_ids[ratings.items].tolist(),
            ratings.ratings.tolist(),
            strict=True,
        )
    )


any_ids = st.one_of(
    st.just(st.integers(0, 50)),
    st.just(st.integers(-(2**63), 2**63 - 1)),
    st.just(st.integers(2**63, 2**80).map(str)),
    # A leading letter, so that the text is no number and no blank; quotes, separators and line ends
    # are fair.
    st.just(
        st.text(
            st.characters(
                codec="utf-8", exclude_characters="\0\r\ufeff\ufffd", exclude_categories=["Cs"]
            )
        ).map("x".__add__)
    ),
)


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_round_trip_of_any_ratings_in_any_format(tmp_path, data):
    users, items = data.draw(any_ids), data.draw(any_ids)
    pairs = data.draw(st.lists(st.tuples(users, items), min_size=1, max_size=20, unique=True))
    number = st.floats(-(2.0**100), 2.0**100, width=32)
    ratings = [data.draw(number) for _ in pairs]
    times = [data.draw(st.integers(-(2**63), 2**63 - 1)) for _ in pairs]
    separator, header = data.draw(st.sampled_from(",;\t|")), data.draw(st.booleans())
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    roles = data.draw(st.permutations(["user", "item", "rating", "timestamp", "other"]))
    timed = data.draw(st.booleans())
    path = tmp_path / "r.csv"
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(
            file, delimiter=separator, lineterminator=data.draw(st.sampled_from(["\n", "\r\n"]))
        )
        if header:
            writer.writerow(roles)
        for (user, item), rating, time in zip(pairs, ratings, times, strict=True):
            fields = {
                "user": user,
                "item": item,
                "rating": repr(rating),
                "timestamp": time,
                "other": "O, \u00e9",
            }
            writer.writerow([fields[role] for role in roles])
    by_name = header and data.draw(st.booleans())
    columns = {
        role: role if by_name else roles.index(role)
        for role in ("user", "item", "rating", "timestamp")
    }
    if not timed:
        columns["timestamp"] = None
    options = replace(
        DEFAULTS, path=str(path), separator=separator, header=header, encoding=encoding, **columns
    )

    got = load_ratings(options, seed=0)

    assert rows(got) == [
        (user, item, float(np.float32(rating)))
        for (user, item), rating in zip(pairs, ratings, strict=True)
    ]
    assert (got.timestamps.tolist() if timed else got.timestamps) == (times if timed else None)
    assert got.user_ids.tolist() == sorted({user for user, _ in pairs})
    assert got.item_ids.tolist() == sorted({item for _, item in pairs})
    assert (got.rating_min, got.rating_max) == (got.ratings.min(), got.ratings.max())
    assert got.files is None


def test_double_colon(tmp_path):
    got = load(
        tmp_path / "r",
        "u::m::r\n1::x y::2.5\n2::z::3\n",
        separator="::",
        user="u",
        item="m",
        rating="r",
    )
    assert rows(got) == [(1, "x y", 2.5), (2, "z", 3)]
    for line in ("2::a:b::3", "2::a:b:3"):  # the second has as many single colons as it should
        with pytest.raises(
            DataError,
            match=r"r:3: line cut short: 1 fields separated by '::', where 3 were expected",
        ):
            load(
                tmp_path / "r",
                f"u::m::r\n1::x::2.5\n{line}\n",
                separator="::",
                user="u",
                item="m",
                rating="r",
            )


def test_whole_numbers_are_one_id_however_they_are_written(tmp_path):
    assert rows(load(tmp_path / "r", HEADER + "007,1,2,0\n7,2,3,0\n")) == [(7, 1, 2), (7, 2, 3)]
    # The same when the other column is text, which sends both through the slower path.
    assert rows(load(tmp_path / "r", HEADER + "007,a,2,0\n7,b,3,0\n")) == [(7, "a", 2), (7, "b", 3)]


@pytest.mark.parametrize(
    "user", ["1.0", "1e5", "9007199254740993.0", "9" * 5000, "9223372036854775808"]
)
def test_what_is_no_whole_number_of_64_bits_is_an_id_as_it_stands(tmp_path, user):
    assert rows(load(tmp_path / "r", HEADER + f"{user},1,2,0\n2,1,3,0\n")) == [
        (user, 1, 2),
        ("2", 1, 3),
    ]


def test_numbers_at_the_edge_make_no_noise(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(tmp_path / "r", HEADER + "1,1,2,0\n", rating_min=-1e300, rating_max=1e300)
        with pytest.raises(DataError, match="timestamp '1e30' is not a whole number"):
            load(tmp_path / "r", HEADER + "1,1,2,1e30\n", timestamp="when")
        # more than pandas looks at in one piece
        mixed = "".join(f"{user},1,2,0\n" for user in [*range(200_000), "x"])
        assert load(tmp_path / "r", HEADER + mixed).num_users == 200_001


def test_words_that_mean_missing_elsewhere_are_ids(tmp_path):
    assert rows(load(tmp_path / "r", HEADER + "NA,nan,2,0\nnull,None,3,0\n")) == [
        ("NA", "nan", 2),
        ("null", "None", 3),
    ]


def test_several_files_share_their_ids(tmp_path):
    paths = [
        write(tmp_path / "a", HEADER + "1,5,3,0\n9,5,4,0\n"),
        write(tmp_path / "b", HEADER + "1,x,1,0\n"),
    ]
    got = load_ratings(replace(DEFAULTS, path=None, paths=paths), seed=0)
    assert rows(got) == [(1, "5", 3), (9, "5", 4), (1, "x", 1)]
    assert got.files.tolist() == [0, 0, 1]
    assert got.files.dtype == np.int16


def test_declared_scale_is_kept(tmp_path):
    got = load(tmp_path / "r", HEADER + "1,1,4,0\n1,2,9,0\n", rating_min=0, rating_max=10)
    assert (got.rating_min, got.rating_max) == (0, 10)


def test_blank_lines_and_a_byte_order_mark(tmp_path):
    got = load(tmp_path / "r", "\ufeff\n" + HEADER + "\n1,1,4,0\n   \n\n1,2,5,0")
    assert rows(got) == [(1, 1, 4), (1, 2, 5)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("header", [True, False])
def test_blank_lines_at_the_beginning_with_any_line_end(tmp_path, header, end):
    columns = {} if header else {"user": 0, "item": 1, "rating": 2}
    for blank in ("", "\n", "\n\n", " \n"):
        content = (blank + HEADER * header + "1,1,4,0\n1,2,5,0\n").replace("\n", end)
        assert rows(load(tmp_path / "r", content, header=header, **columns)) == [
            (1, 1, 4),
            (1, 2, 5),
        ]


GOOD = "1,10,3,100\n2,10,4,100\n"
BAD_LINES = [
    ("1,20,three,100", "rating 'three' is not a number"),
    ("1,20,,100", "rating '' is not a number"),
    ("1,20,nan,100", "rating 'nan' is not a finite number"),
    ("1,20,-inf,100", "rating '-inf' is not a finite number"),
    ("1,20,1e39,100", "rating '1e39' is too large"),
    ("1,20,5.5,100", r"rating 5.5 is outside the scale 0 to 5.*data\.rating_min"),
    ("1,20,-1,100", "rating -1 is outside the scale"),
    ("1,20,3", "line cut short: 3 fields separated by ',', where 4 were expected"),
    ("1,20", "line cut short: 2 fields"),
    ("1,20,3,100,7", "line too long: 5 fields"),
    (",20,3,100", "the user is missing"),
    ("1, ,3,100", "the item is missing"),
    ("1,10,5,100", r"user 1, item 10: already rated in .*r\.csv:2\. .*data\.duplicates"),
    (b"1,caf\xe9,3,100", r"not utf-8 text\. Set data\.encoding"),
    ('1,"20,3,100', "quote|cut short"),
]


@pytest.mark.parametrize("timestamp", [None, "when"])
@pytest.mark.parametrize(("line", "message"), BAD_LINES, ids=[str(line) for line, _ in BAD_LINES])
def test_bad_line_is_named(tmp_path, line, message, timestamp):
    content = (
        (HEADER + GOOD).encode()
        + (line if isinstance(line, bytes) else line.encode())
        + b"\n3,10,4,100\n"
    )
    cache = tmp_path / "cache"
    with pytest.raises(DataError, match=rf"r\.csv:4: .*({message})"):
        load(
            tmp_path / "r.csv",
            content,
            rating_min=0,
            rating_max=5,
            timestamp=timestamp,
            cache=str(cache),
        )
    assert not cache.exists()


@pytest.mark.parametrize("value", ["soon", "1.5", "", "9223372036854775808", "9" * 5000])
def test_bad_timestamp_is_named(tmp_path, value):
    with pytest.raises(DataError, match=rf"r\.csv:4: timestamp '{value}' is not a whole number"):
        load(tmp_path / "r.csv", HEADER + GOOD + f"1,20,3,{value}\n", timestamp="when")


def test_line_numbers_count_blank_lines_and_quoted_line_ends(tmp_path):
    with pytest.raises(DataError, match=r"r\.csv:6: rating 'x'"):
        load(tmp_path / "r.csv", HEADER + '\n1,"two\nlines",3,0\n\n1,b,x,0\n')
    with pytest.raises(DataError, match=r"r\.csv:6: user 1, item b: already rated in .*r\.csv:5"):
        load(tmp_path / "r.csv", HEADER + '\n1,"two\nlines",3,0\n1,b,1,0\n1,b,2,0\n')


def test_line_in_the_second_file(tmp_path):
    paths = [
        write(tmp_path / "a", HEADER + GOOD),
        write(tmp_path / "b", HEADER + "3,3,3,0\n2,10,1,0\n"),
    ]
    with pytest.raises(DataError, match=r"b:3: user 2, item 10: already rated in .*a:3"):
        load_ratings(replace(DEFAULTS, path=None, paths=paths), seed=0)
    write(tmp_path / "b", HEADER + "3,3,?,0\n")
    with pytest.raises(DataError, match=r"b:2: rating '\?' is not a number"):
        load_ratings(replace(DEFAULTS, path=None, paths=paths), seed=0)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("", {}, r"r\.csv: is empty"),
        ("\n\n", {}, r"r\.csv: has no ratings"),
        (HEADER, {}, "has no ratings, only a header line"),
        (
            HEADER + GOOD,
            {"rating": "stars"},
            r"r\.csv:1: no column 'stars' for data\.rating; the header has userId, movieId, rating",
        ),
        ("userId,rating,rating,movieId\n1,2,3,4\n", {}, r"r\.csv:1: 2 columns called 'rating'"),
        (
            HEADER + GOOD,
            {"timestamp": 4},
            r"r\.csv:1: no column 4 for data\.timestamp: the line has 4 fields",
        ),
        (HEADER + GOOD, {"separator": ";"}, r"r\.csv:1: no column 'userId'.*data\.separator"),
        (HEADER + GOOD, {"separator": '"'}, r"data\.separator"),
        (HEADER + GOOD, {"encoding": "klingon"}, r"data\.encoding='klingon': no such encoding"),
        (HEADER + GOOD, {"encoding": "undefined"}, r"data\.encoding='undefined': no such encoding"),
        (HEADER + GOOD, {"encoding": "a\0b"}, r"data\.encoding='a.x00b': no such encoding"),
        (
            HEADER + GOOD,
            {"encoding": "utf-16"},
            r"r\.csv: is not utf-16 text: .*BOM.*data\.encoding",
        ),
        (HEADER + GOOD, {"encoding": "idna"}, r"r\.csv: is not idna text: .*data\.encoding"),
        (HEADER + "1\0,2,3,4\n", {}, r"r\.csv:2: a NUL character is in it.*data\.encoding"),
        (HEADER + "x,y\0,3,4\n", {}, r"r\.csv:2: a NUL character is in it"),
        ("userId,movieId,rating,\0\n1,2,3,4\n", {}, r"r\.csv: cannot be read: a NUL character"),
        ("userId,movieId,rating\n1,2,3,4\n", {}, r"r\.csv:2: line too long: 4 fields"),
    ],
)
def test_bad_file(tmp_path, content, options, message):
    with pytest.raises(DataError, match=message):
        load(tmp_path / "r.csv", content, **options)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(DataError, match=r"nothing\.csv: there is no such file"):
        load_ratings(replace(DEFAULTS, path=str(tmp_path / "nothing.csv")), seed=0)
    with pytest.raises(DataError, match="is a folder"):
        load_ratings(replace(DEFAULTS, path=str(tmp_path)), seed=0)


def test_duplicates_by_policy(tmp_path):
    content = HEADER + "1,10,1,100\n2,10,5,101\n1,10,2,102\n1,20,3,103\n1,10,4.5,104\n"
    last = load(tmp_path / "r", content, duplicates="last", timestamp="when")
    assert rows(last) == [(2, 10, 5), (1, 20, 3), (1, 10, 4.5)]
    assert last.timestamps.tolist() == [101, 103, 104]
    mean = load(tmp_path / "r", content, duplicates="mean", timestamp="when")
    assert rows(mean) == [(2, 10, 5), (1, 20, 3), (1, 10, 2.5)]
    assert mean.timestamps.tolist() == [101, 103, 104]
    paths = [write(tmp_path / "a", content), write(tmp_path / "b", HEADER + "1,20,1,0\n")]
    both = load_ratings(replace(DEFAULTS, path=None, paths=paths, duplicates="last"), seed=0)
    assert (rows(both), both.files.tolist()) == ([(2, 10, 5), (1, 10, 4.5), (1, 20, 1)], [0, 0, 1])


def test_cache_per_file_and_options(tmp_path):
    cache = tmp_path / "cache"
    path = tmp_path / "r.csv"
    first = load(path, HEADER + GOOD, cache=str(cache))
    [file] = cache.iterdir()
    # A cache that was tampered with shows that the second load reads it, and not the file.
    tampered = dict(np.load(file))
    tampered["ratings"] = tampered["ratings"] + 1
    with file.open("wb") as opened:
        np.savez(opened, **tampered)
    options = replace(DEFAULTS, path=str(path), cache=str(cache))
    assert (load_ratings(options, seed=0).ratings == first.ratings + 1).all()
    assert (
        load_ratings(replace(options, duplicates="last"), seed=0).ratings == first.ratings
    ).all()
    assert len(list(cache.iterdir())) == 2
    write(path, HEADER + GOOD + "5,5,5,5\n")
    assert len(load_ratings(options, seed=0)) == 3
