"""300 ratings of 30 users for 25 items, in the files that people have: all of them are read."""

import bz2
import gzip
import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from composing import composed
from delimited_files import AUTO, write

from ddp.errors import DataError
from ddp.launch.composed import load_config
from ddp.ratings.arrays import Ratings
from ddp.ratings.load import load_ratings
from ddp.workers.prepare import prepare

NUM, USERS, ITEMS = 300, 30, 25
_random = np.random.default_rng(19)
# each pair once, and every user and item
PAIRS = [(user, item) for user in range(USERS) for item in range(ITEMS) if (user + item) % 5 < 2]
ROWS = [
    (user + 1, item + 1, int(rating), 1_500_000_000 + 60 * row)
    for row, ((user, item), rating) in enumerate(
        zip(_random.permutation(PAIRS).tolist(), _random.integers(1, 6, NUM), strict=True)
    )
]
assert len(ROWS) == NUM


def lines(
    separator: str, *columns: int | str, names: str = "", rows: list[tuple] = ROWS, end: str = "\n"
) -> str:
    """A line of each row; a column is its position, or a text with the row as `{0}`, `{1}`, ..."""
    made = [
        separator.join(
            str(row[column]) if isinstance(column, int) else column.format(*row)
            for column in columns
        )
        for row in rows
    ]
    return end.join([names] * bool(names) + made) + end


def zipped(text: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("ratings.csv", text)
    return packed.getvalue()


PLAIN = lines(",", 0, 1, 2, names="user,item,rating")
STRAY = [
    (*row[:3], ('"Nice' if number in (20, 170) else "Nice")) for number, row in enumerate(ROWS)
]
FILES: dict[str, tuple[str | bytes, dict]] = {
    "stray quotes between tabs": (
        lines("\t", 0, 1, 2, 3, names="user\titem\trating\theadline", rows=STRAY), {}),
    "double colons": (lines("::", 0, 1, 2, 3), {}),
    "no header": (lines(",", 0, 1, 2), {}),
    "u.data": (lines("\t", 0, 1, 2, 3), {}),
    "a blank after some commas": (
        PLAIN.replace("7,", "7, "), {}),
    "blanks": (lines("  ", "{0:>4}", "{1:>5}", 2), {}),
    "not rated": (PLAIN + "1,999,-1\n999,1,-1\n", {"not_rated": [-1]}),
    "item first": (
        lines(",", "B{1:09}XQ", "A{0:05}ZZ", 2, 3), {"user": 1, "item": 0}),
    "UserID": (lines(",", 0, 1, 2, names="UserID,MovieID,Rating"), {}),
    "RecBole": (
        lines("\t", 0, 1, 2, 3, names="user_id:token\titem_id:token\trating:float\tt:float"), {}),
    "ISO 8601": (
        lines(",", 0, 1, 2, "2020-01-{0:02}T12:{1:02}:00Z", names="user,item,rating,when"), {}),
    "fractions of seconds": (lines(",", 0, 1, 2, "{3}.25", names="user,item,rating,when"), {}),
    "gz": (gzip.compress(PLAIN.encode()), {}),
    "bz2": (bz2.compress(PLAIN.encode()), {}),
    "zip": (zipped(PLAIN), {}),
    "decimal commas": (
        lines(";", 0, 1, "{2},5", names="user;item;rating", end="\r\n"), {}),
    "a comment": ("# made by export 1.2\n" + PLAIN, {"comment": "#"}),
    "a line to skip": ("export 1.2, of today\n" + PLAIN, {"skip_lines": 1}),
    "control characters in a name": (
        PLAIN.replace("rating", "ra\x1b[31mting", 1), {"user": 0, "item": 1, "rating": 2}),
    "the Windows mark": ("\ufeff" + PLAIN.replace("\n", "\r\n"), {}),
}  # fmt: skip


def check_sizes(ratings: Ratings) -> None:
    assert (len(ratings), ratings.num_users, ratings.num_items) == (NUM, USERS, ITEMS)


@pytest.mark.parametrize(("content", "options"), FILES.values(), ids=FILES)
def test_all_ratings_are_read(tmp_path, content, options):
    ratings = load_ratings(
        replace(AUTO, path=write(tmp_path / "ratings", content), **options), seed=0
    )
    check_sizes(ratings)
    half = 0.5 if "item;rating" in str(content) else 0.0
    assert [float(rating) for rating in ratings.ratings] == [row[2] + half for row in ROWS]


def test_one_and_one_point_zero_in_two_files(tmp_path):
    header = "user,item,rating"
    paths = [
        write(tmp_path / "p1.csv", lines(",", 0, 1, 2, names=header, rows=ROWS[:150])),
        write(tmp_path / "p2.csv", lines(",", "{0}.0", 1, 2, names=header, rows=ROWS[150:])),
    ]
    check_sizes(load_ratings(replace(AUTO, path=None, paths=paths), seed=0))


def test_the_newest_line_may_come_first(tmp_path):
    older = [(*row[:2], row[2] % 5 + 1, row[3] - 9_000_000) for row in ROWS[:100]]
    rows = [*reversed(ROWS), *reversed(older)]
    content = lines(",", 0, 1, 2, 3, names="user,item,rating,when", rows=rows)
    data = replace(AUTO, path=write(tmp_path / "r", content), duplicates="last")
    ratings = load_ratings(data, seed=0)
    check_sizes(ratings)
    assert ratings.ratings.tolist() == [row[2] for row in reversed(ROWS)]
    assert ratings.reading.left_out == {"rated again (duplicates=last)": 100}


def config_of(*overrides: str):
    return load_config(composed("data=csv", "data.cache=null", *overrides))


def test_training_and_test_in_two_files(tmp_path):
    base = write(tmp_path / "u1.base", lines("\t", 0, 1, 2, 3, rows=ROWS[:240]))
    test = write(tmp_path / "u1.test", lines("\t", 0, 1, 2, 3, rows=ROWS[240:]))
    for split in ("stratified", "iid", "user", "time"):
        chosen = (f"split={split}", f"aggregation={'none' if split == 'stratified' else 'rows'}")
        config = config_of(f"data.path={base}", f"split.test_file={test}", *chosen)
        assert config.split.holdout == "files"
        ratings = load_ratings(config.data, 0, config.split.test_file)
        check_sizes(ratings)
        deal = prepare(config, ratings).deal
        assert deal.rows("test").tolist() == list(range(240, NUM))
        assert deal.size("train") + deal.size("valid") == 240
        assert deal.size("valid") == 12


def test_a_test_file_that_contradicts_the_data(tmp_path):
    every = write(tmp_path / "u.all", lines("\t", 0, 1, 2, 3))
    other = [(*row[:2], row[2] % 5 + 1, row[3]) for row in ROWS[240:]]
    test = write(tmp_path / "u1.test_other", lines("\t", 0, 1, 2, 3, rows=other))
    user, item, rating, _ = other[0]
    with pytest.raises(
        DataError, match=rf"u1\.test_other:1: user {user}, item {item}: rated {rating} here"
    ):
        load_ratings(replace(AUTO, path=every), 0, test)


def test_time_splits_take_any_time(tmp_path):
    content = FILES["ISO 8601"][0]
    path = write(tmp_path / "iso.csv", content)
    options = ("split.holdout=time", "split=time", "aggregation=rows", "workers=2")
    config = config_of(f"data.path={path}", *options)
    ratings = load_ratings(config.data, 0)
    deal = prepare(config, ratings).deal
    assert ratings.timestamps is not None
    test = ratings.timestamps[deal.rows("test")]
    assert test.min() >= ratings.timestamps[deal.rows("train")].max()


def test_a_run_without_the_times_that_it_needs_is_refused(tmp_path: Path):
    path = write(tmp_path / "r.csv", PLAIN)
    config = config_of(f"data.path={path}", "split.holdout=time")
    with pytest.raises(ValueError, match=r"split\.holdout=time: needs timestamps"):
        prepare(config, load_ratings(config.data, 0))
