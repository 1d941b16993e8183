"""Any rating file: its ratings come back, in any format."""

import csv
import gzip
import warnings
from dataclasses import replace

import numpy as np
import pytest
from delimited_files import DEFAULTS, GOOD, HEADER, load, rows, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddp.errors import DataError
from ddp.ratings.load import load_ratings

any_ids = st.one_of(
    st.just(st.integers(0, 50)),
    st.just(st.integers(-(2**63), 2**63 - 1)),
    st.just(st.integers(2**63, 2**80).map(str)),
    # A letter at both ends, so that the text is no number and no blank is at an end; quotes and
    # separators are fair.
    st.just(
        st.text(
            st.characters(
                codec="utf-8", exclude_characters="\0\r\n\ufeff\ufffd", exclude_categories=["Cs"]
            )
        ).map("x{}x".format)
    ),
)


# larger numbers are milliseconds, and some of eight digits are days
seconds = st.integers(-(10**11) + 1, 19_000_100) | st.integers(21_010_000, 10**11 - 1)


@st.composite
def formats(draw):
    """Options of a file with all columns, and the end of its lines."""
    separator, header = draw(st.sampled_from(",;\t|")), draw(st.booleans())
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    roles = draw(st.permutations(["user", "item", "rating", "timestamp", "other"]))
    timed, by_name = draw(st.booleans()), header and draw(st.booleans())
    columns = {
        role: role if by_name else roles.index(role)
        for role in ("user", "item", "rating", "timestamp")
    }
    columns["timestamp"] = columns["timestamp"] if timed else None
    options = replace(
        DEFAULTS, separator=separator, header=header, encoding=encoding, quote='"', **columns
    )
    return options, roles, draw(st.sampled_from(["\n", "\r\n"]))


def write_rows(path, options, roles, line_end, rows):
    """Writes rows (user, item, rating, timestamp) in that format, with one more column."""
    with path.open("w", encoding=options.encoding, newline="") as file:
        writer = csv.writer(file, delimiter=options.separator, lineterminator=line_end)
        if options.header:
            writer.writerow(roles)
        for user, item, rating, time in rows:
            fields = {"user": user, "item": item, "rating": repr(rating), "timestamp": time}
            fields["other"] = "O, \u00e9"
            writer.writerow([fields[role] for role in roles])


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_round_trip_of_any_ratings_in_any_format(tmp_path, data):
    users, items = data.draw(any_ids), data.draw(any_ids)
    pairs = data.draw(st.lists(st.tuples(users, items), min_size=1, max_size=20, unique=True))
    number = st.floats(-(2.0**100), 2.0**100, width=32)
    ratings = [data.draw(number) for _ in pairs]
    times = [data.draw(seconds) for _ in pairs]
    options, roles, line_end = data.draw(formats())
    written = [(*pair, *rest) for pair, *rest in zip(pairs, ratings, times, strict=True)]
    write_rows(tmp_path / "r.csv", options, roles, line_end, written)

    got = load_ratings(replace(options, path=str(tmp_path / "r.csv")), seed=0)

    assert rows(got) == [(*ids, float(np.float32(rating))) for *ids, rating, _ in written]
    timed = options.timestamp is not None
    assert (got.timestamps.tolist() if timed else got.timestamps) == (times if timed else None)
    assert got.user_ids.tolist() == sorted({user for user, _ in pairs})
    assert got.item_ids.tolist() == sorted({item for _, item in pairs})
    assert (got.rating_min, got.rating_max) == (got.ratings.min(), got.ratings.max())
    assert got.files is None


def test_double_colon(tmp_path):
    options = {"separator": "::", "user": "u", "item": "m", "rating": "r", "quote": ""}
    for item in ("x y", "a:b", "Star Wars: A New Hope", '"'):
        got = load(tmp_path / "r", f"u::m::r\n1::{item}::2.5\n2::z::3\n", **options)
        assert rows(got) == [(1, item, 2.5), (2, "z", 3)]
    with pytest.raises(DataError, match=r"r:3: line cut short: 2 fields separated by '::', where"):
        load(tmp_path / "r", "u::m::r\n1::x::2.5\n2::a:b:3\n", **options)


def test_whole_numbers_are_one_id_however_they_are_written(tmp_path):
    assert rows(load(tmp_path / "r", HEADER + "007,1,2,0\n7,2,3,0\n")) == [(7, 1, 2), (7, 2, 3)]
    # The same when the other column is text, which sends both through the slower path.
    assert rows(load(tmp_path / "r", HEADER + "007,a,2,0\n7,b,3,0\n")) == [(7, "a", 2), (7, "b", 3)]


@pytest.mark.parametrize(
    "user", ["1.5", "1e5", "9007199254740993.5", "9" * 900, "9223372036854775808"]
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
        with pytest.raises(DataError, match="timestamp '1e30' is not a number of seconds"):
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


@pytest.mark.parametrize("packed", [False, True])
def test_the_reader_tells_how_far_it_is(tmp_path, packed):
    lines = [HEADER.strip(), *(f"{n},{n % 7},{n % 5},0" for n in range(150_000))]
    text = "\n".join(lines).encode()
    path, told = tmp_path / "many.csv", []
    data = replace(DEFAULTS, path=write(path, gzip.compress(text, 1) if packed else text))
    assert len(load_ratings(data, 0, tell=lambda *each: told.append(each))) == 150_000
    phases = dict.fromkeys(each[0] for each in told)
    assert list(phases) == [
        *["unpacking many.csv"] * packed, "reading many.csv", "numbering users and items",
    ]  # fmt: skip
    parts = [each[1:] for each in told if each[0] == "reading many.csv"]
    done = [part[0] for part in parts]
    assert done == sorted(done)
    assert done[0] < done[-1] == len(text)
    assert {part[1:] for part in parts} == {(len(text), "bytes")}
