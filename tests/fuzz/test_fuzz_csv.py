"""data=csv gives, for any file and any options, the ratings of the file, or a DataError."""

import bz2
import gzip
import io
import lzma
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from inputs import check_ratings, damaged, fuzzed, no_hang

from ddp.config.data import CsvData
from ddp.errors import UserError
from ddp.ratings.arrays import Ratings
from ddp.ratings.load import load_ratings
from ddp.ratings.sources.content import read_content
from ddp.ratings.sources.delimited import layout_of
from ddp.ratings.sources.ids import whole_number
from ddp.ratings.sources.recognise import recognise
from ddp.ratings.sources.records import ratings_of
from ddp.ratings.sources.times import to_seconds

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

TIMES = [
    *(
        "978300760",
        "978300760.5",
        "1500000000123",
        "2020-01-01",
        "2020-01-01T12:00:00Z",
        "20050930",
    ),
    *("2020-01-01 12:00:00.25+02:00", "0", "-1", "1e9", "nan", "soon", "2020-13-01", "1970-01-01"),
]

small = st.integers(1, 9).map(str)
row = st.tuples(small, small, st.sampled_from("12345"), small).map(list)
padded_id = st.tuples(small, st.sampled_from(["{}", " {}", "{} ", "{}.0", "0{}", "u{}"])).map(
    lambda made: made[1].format(made[0])
)
odd_id = small | padded_id | st.sampled_from(ODD)
odd_row = st.tuples(
    odd_id,
    odd_id,
    st.sampled_from(["1", "2", "4,5", "True", "-1", "99", *ODD]),
    small | st.sampled_from(TIMES + ODD),
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
    auto = st.just("auto")
    options = CsvData(
        name="csv", path="unset", paths=None,
        separator=draw(auto | st.just(separator)) if separator not in '"\n\0\udcff' else "auto",
        header=draw(auto | st.just(header)),
        encoding=draw(auto | st.sampled_from([encoding] * 20 + ODD_ENCODINGS)),
        quote=draw(auto | st.sampled_from(["auto", '"', "", "'"]).filter(separator.__ne__)),
        decimal=draw(auto | st.sampled_from(["auto", ".", ","])),
        skip_lines=draw(st.sampled_from([0, 0, 0, 1, 3])),
        comment=draw(st.sampled_from([None, None, None, "#", "u"])),
        user=columns[0], item=columns[1], rating=columns[2], timestamp=columns[3],
        ids=draw(st.sampled_from(["auto", "auto", "text"])),
        not_rated=draw(st.sampled_from([None, None, [-1.0], [0.0, 99.0]])),
        rating_min=low, rating_max=high,
        duplicates=draw(st.sampled_from(["last", "mean", "error"])), cache=None,
    )  # fmt: skip
    if draw(st.booleans()):
        options = replace(options, user="auto", item="auto", rating="auto", timestamp="auto")
    return draw(damaged(tables, PIECES)), options


def check_against_the_file(ratings: Ratings, path: Path, data: CsvData) -> None:
    """A slow second reader finds the same pairs in the same order, each where its last one is."""
    layout = layout_of(data)
    content, form = recognise(read_content(path, layout), layout)
    records = [record.fields for record in ratings_of(content, form)]
    times = [0] * len(records)
    if form.timestamp is not None:
        texts = [fields[form.timestamp] for fields in records]
        times = to_seconds(np.array(texts, dtype=object))[0].tolist()

    def id_of(text: str, ids: np.ndarray) -> int | str | None:
        return whole_number(text) if ids.dtype.kind == "i" else text.strip()

    last: dict[tuple, tuple] = {}  # pair -> time, row, rating
    left_out = 0
    for row, (fields, time) in enumerate(zip(records, times, strict=True)):
        text = fields[form.rating]
        rating = float(text.replace(",", ".") if form.decimal == "," else text)
        user = id_of(fields[form.user], ratings.user_ids)
        pair = (user, id_of(fields[form.item], ratings.item_ids))
        if np.float32(rating) in np.array(layout.not_rated, np.float32):
            left_out += 1
        elif pair in last:
            left_out += 1
            last[pair] = max(last[pair], (time, row, rating))
        else:
            last[pair] = (time, row, rating)
    ordered = sorted(last, key=lambda pair: last[pair][1])
    users, items = ratings.user_ids[ratings.users], ratings.item_ids[ratings.items]
    assert ordered == list(zip(users.tolist(), items.tolist(), strict=True))
    assert ratings.reading is not None
    assert sum(ratings.reading.left_out.values()) == left_out
    if data.duplicates != "mean":
        assert [np.float32(last[pair][2]) for pair in ordered] == ratings.ratings.tolist()
    check_that_no_line_is_lost(content, len(records) + form.header)


def check_that_no_line_is_lost(content, num_records: int) -> None:
    lines = [line for line in content.lines() if line.strip(" \t\r\n")]
    if not any(quote in line for line in lines for quote in "\"'"):
        assert num_records == len(lines)


def check_refusal(error: UserError, path: Path) -> None:
    """A refusal of what is in a file names the line; the others say what to do."""
    message = str(error)
    if message.startswith(str(path)):
        assert "cannot be read" not in message
        whole_file = (
            "is empty|has no ratings|packed|unpacked|holds .* (files|characters)|is not .*text"
        )
        assert re.match(rf"{path}:[0-9]+: .", message) or re.search(whole_file, message), message


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
        except UserError as error:
            check_refusal(error, path)
            return
        check_ratings(ratings)
        check_against_the_file(ratings, path, data)


@fuzzed(0.3)
@given(data=st.data())
def test_any_file_with_the_test_part(tmp_path, data):
    content, options = data.draw(files())
    path, test = tmp_path / "ratings.csv", tmp_path / "test.csv"
    path.write_bytes(content)
    test.write_bytes(data.draw(damaged(st.just(content), PIECES)))
    options = replace(options, path=str(path))
    with no_hang():
        try:
            alone = load_ratings(options, seed=0)
            ratings = load_ratings(options, seed=0, test_file=str(test))
        except UserError:
            return
        check_ratings(ratings)
        found = ratings.test_rows
        assert found.dtype == np.int64
        assert len(found) > 0
        assert (found[1:] > found[:-1]).all()
        assert found[0] >= 0
        assert found[-1] < len(ratings)
        assert len(alone) in (len(ratings), len(ratings) - len(found))


def _zipped(content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ratings.csv", content)
    return packed.getvalue()


@fuzzed(0.2)
@given(
    file=files(),
    pack=st.sampled_from([gzip.compress, bz2.compress, lzma.compress, _zipped]),
    data=st.data(),
)
def test_any_packed_file(tmp_path, file, pack, data):
    content, options = file
    path, plain = tmp_path / "packed", tmp_path / "plain"
    plain.write_bytes(content)
    packed = pack(content)
    path.write_bytes(data.draw(damaged(st.just(packed), PIECES)))
    with no_hang():
        try:
            ratings = load_ratings(replace(options, path=str(path)), seed=0)
        except UserError as error:
            check_refusal(error, path)
            return
        check_ratings(ratings)
        if path.read_bytes() == packed:
            same = load_ratings(replace(options, path=str(plain)), seed=0)
            assert np.array_equal(same.ratings, ratings.ratings)
