"""data=csv gives, for any file and any options, the ratings of the file, or a DataError."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from inputs import check_ratings, damaged, fuzzed, no_hang

from ddp.config.data import CsvData
from ddp.errors import UserError
from ddp.ratings.arrays import Ratings
from ddp.ratings.load import load_ratings, read_pairs
from ddp.ratings.sources.delimited import layout_of
from ddp.ratings.sources.layout import find_columns, records

HEADER = ["user", "item", "rating", "time"]
ODD = [
    *("", " ", " 4 ", "-3", "+5", "007", "2.5", "1e5", "1.0", "1e39"),
    *("-1e999", "1e-400", "nan", "inf", "-Infinity", "NA", "null"),
    *(
        "9" * 19,
        "9" * 30,
        "9" * 5000,
        "-9223372036854775808",
        "1_000",
        "0x10",
        "\uff11",
        "\xb2",
        "x",
        "é",
        "\U0001f3ac",
        "\ufeff",
    ),
    *('"', '""', '"a,b"', 'a"b', '"two\nlines"', "\0", "x\0y", "\ufffd"),
    *("\x1a", "\x85", "\u2028", ":", "::", "a:b", "\\", "'", "#"),
]
PIECES = [
    text.encode()
    for text in [
        *ODD,
        ",",
        ";",
        "\t",
        "::",
        "\n",
        "\r",
        "\r\n",
        "\n\n",
        "\n \n",
        ",,",
        '"\n',
        "1,1,3,9\n",
    ]
]
SEPARATORS = [
    *[","] * 9,
    *[";", "\t", "::"] * 3,
    "|",
    " ",
    ":",
    "1",
    "\0",
    "é",
    "'",
    "\\",
    "\x1f",
    "\udcff",
    '"',
    "\n",
]
ENCODINGS = [
    *["utf-8"] * 30,
    *["latin-1", "utf-16"] * 5,
    "UTF8",
    "cp1252",
    "utf-32",
    "ascii",
    "utf-7",
    "cp037",
    "shift_jis",
]
ODD_ENCODINGS = [
    *("klingon", "", "\0", "é", "base64", "undefined", "idna"),
    *("punycode", "unicode_escape", "utf-8-sig", "mbcs"),
]

small = st.integers(1, 9).map(str)
row = st.tuples(small, small, st.sampled_from("12345"), small).map(list)
odd_id = small | st.sampled_from(ODD)
odd_row = st.tuples(
    odd_id, odd_id, st.sampled_from(["1", "2", *ODD]), small | st.sampled_from(ODD)
).map(list)
rows = st.lists(row, min_size=1, max_size=6) | st.lists(row | odd_row, min_size=1, max_size=6)


def _table(lines: list[list[str]], header: bool, separator: str, end: str, encoding: str) -> bytes:
    text = end.join(separator.join(line) for line in [HEADER] * header + lines)
    try:
        return text.encode(encoding)
    except (LookupError, ValueError):
        return text.encode("utf-8", "surrogateescape")


# of the user, item, rating and timestamp; the usual ones are drawn most often
COLUMNS = [
    *[(0, 1, 2, None), (0, 1, 2, 3)] * 2,
    *[(1, 0, 2, 3), (0, 1, 3, None), (0, 5, 2, 3), (2, 1, 0, None)],
]


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, CsvData]:
    """A file, and options that mostly fit it."""
    header, separator = draw(st.booleans()), draw(st.sampled_from(SEPARATORS))
    encoding, end = (
        draw(st.sampled_from(ENCODINGS)),
        draw(st.sampled_from(["\n", "\n", "\n", "\r\n", "\r"])),
    )
    tables = st.builds(
        _table, rows, st.just(header), st.just(separator), st.just(end), st.just(encoding)
    )
    columns = draw(st.sampled_from(COLUMNS))
    if header and draw(st.booleans()):
        columns = tuple(
            column if column is None else [*HEADER, "?", "?"][column] for column in columns
        )
    low, high = draw(
        st.sampled_from(
            [(None, None), (None, None), (1.0, 5.0), (0.0, None), (None, 4.0), (-1e300, 1e300)]
        )
    )
    options = CsvData(
        name="csv", path="unset", paths=None, separator=separator, header=header,
        encoding=draw(st.sampled_from([encoding] * 20 + ODD_ENCODINGS)),
        user=columns[0], item=columns[1], rating=columns[2], timestamp=columns[3], rating_min=low,
        rating_max=high,
        duplicates=draw(st.sampled_from(["last", "mean", "error"])), cache=None,
    )  # fmt: skip
    return draw(damaged(tables, PIECES)), options


def _id(text: str, ids: np.ndarray) -> int | str:
    return int(text) if ids.dtype.kind == "i" else text


def check_against_the_file(ratings: Ratings, path: Path, data: CsvData) -> None:
    """A slow second reader finds the same pairs in the same order, each at its last place."""
    layout = layout_of(data)
    columns = find_columns(path, layout)
    pairs = {}
    for line, fields in islice(records(path, layout), int(data.header), None):
        if line == 1:
            # a second byte order mark: the fast reader skips it as well
            fields[0] = fields[0].removeprefix("\ufeff")
        pair = (
            _id(fields[columns.user], ratings.user_ids),
            _id(fields[columns.item], ratings.item_ids),
        )
        pairs.pop(pair, None)
        pairs[pair] = np.float32(fields[columns.rating])
    assert list(pairs) == list(
        zip(
            ratings.user_ids[ratings.users].tolist(),
            ratings.item_ids[ratings.items].tolist(),
            strict=True,
        )
    )
    if data.duplicates != "mean":
        assert list(pairs.values()) == ratings.ratings.tolist()


@fuzzed(0.7)
@given(file=files())
def test_any_file_with_any_options(tmp_path, file):
    content, data = file
    path = tmp_path / "ratings.csv"
    path.write_bytes(content)
    data = replace(data, path=str(path))
    with no_hang():
        try:
            ratings = load_ratings(data, seed=0)
        except UserError:
            return
        check_ratings(ratings)
        check_against_the_file(ratings, path, data)


@fuzzed(0.3)
@given(data=st.data())
def test_any_list_of_test_pairs(tmp_path, data):
    content, options = data.draw(files())
    path, test = tmp_path / "ratings.csv", tmp_path / "test.csv"
    path.write_bytes(content)
    test.write_bytes(data.draw(damaged(st.just(content), PIECES)))
    options = replace(options, path=str(path))
    with no_hang():
        try:
            ratings = load_ratings(options, seed=0)
            found = read_pairs(test, options, ratings)
        except UserError:
            return
        assert found.dtype == np.int64
        assert len(found) > 0
        assert (found[1:] > found[:-1]).all()
        assert found[0] >= 0
        assert found[-1] < len(ratings)
