"""Bad rating files: a message names the file, the line and the fault."""

from dataclasses import replace

import pytest
from delimited_files import DEFAULTS, GOOD, HEADER, load, write

from ddp.errors import DataError
from ddp.ratings.load import load_ratings

BAD_LINES = [
    ("1,20,three,100", "rating 'three' is not a number"),
    ("1,20,,100", "rating '' is not a number"),
    ("1,20,nan,100", "rating 'nan' is not a finite number"),
    ("1,20,-inf,100", "rating '-inf' is not a finite number"),
    ("1,20,1e39,100", "rating '1e39' is too large"),
    ("1,20,5.5,100", r"rating 5.5 is outside the scale 0 to 5.*data\.rating_min"),
    ("1,20,-1,100", "rating -1 is outside the scale"),
    ("1,20,3", "line cut short: 3 fields separated by comma, where 4 were expected"),
    ("1,20", "line cut short: 2 fields"),
    ("1,20,3,100,7", "line too long: 5 fields"),
    (",20,3,100", "the user is missing"),
    ("1, ,3,100", "the item is missing"),
    ("1,10,5,100", r"user 1, item 10: already rated in .*r\.csv:2\. .*data\.duplicates"),
    (b"1,caf\xe9,3,100", r"not utf-8 text\. Set data\.encoding"),
    ('1,"20,3,100', "a quote opens here.*data.quote=false"),
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


@pytest.mark.parametrize(
    "value", ["soon", "", "9223372036854775808", "9" * 5000, "13/1/2020", "2020-02-30", "nan"]
)
def test_bad_timestamp_is_named(tmp_path, value):
    message = rf"r\.csv:4: timestamp '{value}' is not a number of seconds or an ISO 8601 date"
    with pytest.raises(DataError, match=message):
        load(tmp_path / "r.csv", HEADER + GOOD + f"1,20,3,{value}\n", timestamp="when")


def test_line_numbers_count_blank_lines_and_quoted_line_ends(tmp_path):
    with pytest.raises(DataError, match=r"r\.csv:6: rating 'x'"):
        load(tmp_path / "r.csv", HEADER + '\n1,a,3,"two\nlines"\n\n1,b,x,0\n')
    with pytest.raises(DataError, match=r"r\.csv:6: user 1, item b: already rated in .*r\.csv:5"):
        load(tmp_path / "r.csv", HEADER + '\n1,a,3,"two\nlines"\n1,b,1,0\n1,b,2,0\n')


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
        (HEADER + GOOD, {"encoding": "klingon"}, r"data\.encoding='klingon': no such encoding"),
        (HEADER + GOOD, {"encoding": "undefined"}, r"data\.encoding='undefined': no such encoding"),
        (HEADER + GOOD, {"encoding": "a\0b"}, r"data\.encoding='a.x00b': no such encoding"),
        (
            HEADER + GOOD,
            {"encoding": "utf-16"},
            r"r\.csv:3: is not utf-16 text: .*data\.encoding",
        ),
        (HEADER + "1\0,2,3,4\n", {}, r"r\.csv:2: a NUL character is in it.*data\.encoding"),
        (HEADER + "x,y\0,3,4\n", {}, r"r\.csv:2: a NUL character is in it"),
        ("userId,movieId,rating,\0\n1,2,3,4\n", {}, r"r\.csv:1: a NUL character is in it"),
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
