"""A file that lists the test set: its rows in the data."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_delimited import DEFAULTS, write

from ddp.config.data import MovieLensData, SyntheticData
from ddp.errors import DataError
from ddp.ratings.load import load_ratings, read_pairs

HEADER = "userId,movieId,rating\n"


@pytest.mark.parametrize("ids", [("1", "2", "3"), ("007", "b", "7"), ("1", "x", "2")])
def test_rows_are_sorted_and_once(tmp_path, ids):
    one, two, three = ids
    content = HEADER + f"{three},{one},1\n{one},{two},2\n{two},{two},3\n{one},{one},4\n"
    data = replace(DEFAULTS, path=write(tmp_path / "all", content))
    test = write(tmp_path / "test", HEADER + f"{one},{one},4\n{three},{one},1\n{one},{one},4\n")
    rows = read_pairs(Path(test), data, load_ratings(data, seed=0))
    assert rows.tolist() == [0, 3]
    assert rows.dtype == np.int64


@pytest.mark.parametrize(
    ("user", "item"), [("1", "30"), ("9", "10"), ("x", "10"), ("2", "20"), ("2", "30")]
)
def test_first_unknown_pair_is_named(tmp_path, user, item):
    data = replace(DEFAULTS, path=write(tmp_path / "all", HEADER + "1,10,1\n1,20,2\n2,10,3\n"))
    test = write(tmp_path / "test", HEADER + f"1,20,2\n{user},{item},3\ny,99,3\n")
    with pytest.raises(DataError, match=rf"test:3: user {user} has no rating of item {item}"):
        read_pairs(Path(test), data, load_ratings(data, seed=0))


def test_unreadable_files(tmp_path):
    data = replace(DEFAULTS, path=write(tmp_path / "all", HEADER + "1,10,1\n"))
    ratings = load_ratings(data, seed=0)
    with pytest.raises(DataError, match=r"test:2: rating '\?'"):
        read_pairs(Path(write(tmp_path / "test", HEADER + "1,10,?\n")), data, ratings)
    with pytest.raises(DataError, match=r"absent: there is no such file.*split\.test_file"):
        read_pairs(tmp_path / "absent", data, ratings)
    with pytest.raises(DataError, match=r"u1\.test: there is no such file"):
        read_pairs(
            Path("u1.test"),
            MovieLensData(name="ml100k", root=str(tmp_path), connect_timeout_s=1),
            ratings,
        )


@pytest.mark.parametrize("name", ["../u1.test", "sub/../u1.test", "x" * 5000])
def test_only_a_bare_name_is_looked_for_in_the_folder_of_the_set(tmp_path, name):
    data = MovieLensData(name="ml1m", root=str(tmp_path), connect_timeout_s=1)
    (tmp_path / "ml-1m" / "sub").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "ml-1m"):
        for file in ("ratings.dat", "u1.test"):
            (folder / file).write_text("3::500::1::100\n")
    ratings = load_ratings(data, seed=0)
    assert read_pairs(Path("u1.test"), data, ratings).tolist() == [0]
    with pytest.raises(DataError, match="there is no such file"):
        read_pairs(Path(name), data, ratings)


def test_synthetic_data_have_no_files(tmp_path):
    data = SyntheticData(
        name="synthetic",
        num_users=5,
        num_items=5,
        num_ratings=5,
        rank=1,
        noise_std=0.1,
        popularity=0,
    )
    with pytest.raises(DataError, match="data=synthetic has no files"):
        read_pairs(tmp_path / "test", data, load_ratings(data, seed=0))
