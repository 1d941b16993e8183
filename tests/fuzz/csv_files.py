"""Strategies for files of ratings, and for options that mostly fit them."""

from dataclasses import replace

from hypothesis import strategies as st
from inputs import damaged

from ddp.config.data import CsvData

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
        user_features=None, item_features=None,
    )  # fmt: skip
    if draw(st.booleans()):
        options = replace(options, user="auto", item="auto", rating="auto", timestamp="auto")
    return draw(damaged(tables, PIECES)), options
