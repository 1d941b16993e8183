"""A file that lists the test part: its rows in the data, or rows of its own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from delimited_files import AUTO, DEFAULTS, rows, write
from movielens_sets import config

from ddp.config.data import SyntheticData
from ddp.errors import DataError
from ddp.ratings.load import load_ratings

HEADER = "userId,movieId,rating\n"


def with_file(data, test: str | Path):
    return load_ratings(data, seed=0, test_file=str(test))


@pytest.mark.parametrize("ids", [("1", "2", "3"), ("007", "b", "7.5"), ("1", "x", "2")])
def test_rows_are_sorted_and_once(tmp_path, ids):
    one, two, three = ids
    content = HEADER + f"{three},{one},1\n{one},{two},2\n{two},{two},3\n{one},{one},4\n"
    data = replace(DEFAULTS, path=write(tmp_path / "all", content))
    test = write(tmp_path / "test", HEADER + f"{one},{one},4\n{three},{one},1\n{one},{one},4\n")
    got = with_file(data, test)
    assert got.test_rows.tolist() == [0, 3]
    assert got.reading.format["test part"] == ("2 of the ratings, listed by test", "given")
    assert got.test_rows.dtype == np.int64
    assert len(got) == 4


@pytest.mark.parametrize(
    ("user", "item"), [("1", "30"), ("9", "10"), ("x", "10"), ("2", "20"), ("2", "30")]
)
def test_first_unknown_pair_among_known_ones_is_named(tmp_path, user, item):
    data = replace(DEFAULTS, path=write(tmp_path / "all", HEADER + "1,10,1\n1,20,2\n2,10,3\n"))
    test = write(tmp_path / "test", HEADER + f"1,20,2\n{user},{item},3\ny,99,3\n")
    with pytest.raises(DataError, match=rf"test:3: user {user} has no rating of item {item}"):
        with_file(data, test)


@pytest.mark.parametrize("rating", ["4", "2.5", "1"])
@pytest.mark.parametrize("ids", [("1", "2"), ("a", "b")])
def test_first_pair_with_another_rating_is_named(tmp_path, rating, ids):
    one, two = ids
    data = replace(DEFAULTS, path=write(tmp_path / "all", HEADER + f"{one},9,3\n{two},9,2\n"))
    test = write(tmp_path / "test", HEADER + f"{two},9,2\n{one},9,{rating}\n{two},9,5\n")
    message = rf"test:3: user {one}, item 9: rated {rating} here and 3 in the data"
    with pytest.raises(DataError, match=message):
        with_file(data, test)


def test_pairs_of_their_own_are_added_as_the_test_part(tmp_path):
    data = replace(
        AUTO, path=write(tmp_path / "u1.base", "5\t7\t3\t900000000\n1\t9\t2\t900000001\n")
    )
    test = write(
        tmp_path / "u1.test", "user,item,rating,time\n1.0,7,5,900000002\n3,9,4,900000003\n"
    )
    got = with_file(data, test)
    assert rows(got) == [(5, 7, 3), (1, 9, 2), (1, 7, 5), (3, 9, 4)]
    assert got.test_rows.tolist() == [2, 3]
    told = ("2 ratings of u1.test, added to the data", "given")
    assert got.reading.format["test part"] == told
    assert got.user_ids.tolist() == [1, 3, 5]
    assert (got.rating_min, got.rating_max) == (2, 5)
    assert got.timestamps.tolist() == [900000000, 900000001, 900000002, 900000003]


def test_pairs_of_their_own_with_text_ids(tmp_path):
    data = replace(AUTO, path=write(tmp_path / "a", "5,7,3\n1,9,2\n"))
    got = with_file(data, write(tmp_path / "b", "x,9,4\n5,9,1\n"))
    assert rows(got) == [("5", 7, 3), ("1", 9, 2), ("x", 9, 4), ("5", 9, 1)]
    assert got.timestamps is None


def test_pairs_of_their_own_go_to_the_worker_that_knows_the_user(tmp_path):
    paths = [write(tmp_path / "a", "1,1,3\n2,1,4\n"), write(tmp_path / "b", "2,2,3\n2,3,4\n")]
    data = replace(AUTO, path=None, paths=paths)
    got = with_file(data, write(tmp_path / "t", "2,9,1\n1,9,1\n7,1,1\n"))
    assert got.files.tolist() == [0, 0, 1, 1, 1, 0, 0]
    assert got.files.dtype == np.int16


@pytest.mark.parametrize(("line", "kind"), [("8,1,3", "user"), ("1,8,3", "item")])
def test_a_file_of_other_users_or_items_is_refused(tmp_path, line, kind):
    data = replace(AUTO, path=write(tmp_path / "a", "1,1,3\n2,1,4\n"))
    with pytest.raises(DataError, match=f"test: has no {kind} in common with the data"):
        with_file(data, write(tmp_path / "test", line + "\n"))


def test_pairs_of_their_own_keep_the_policy_of_duplicates(tmp_path):
    data = replace(AUTO, path=write(tmp_path / "a", "1,1,3\n2,2,4\n"))
    test = write(tmp_path / "t", "1,2,5\n2,1,1\n1,2,4\n")
    with pytest.raises(DataError, match=r"t:3: user 1, item 2: already rated in .*t:1"):
        with_file(data, test)
    got = with_file(replace(data, duplicates="last"), test)
    assert rows(got)[2:] == [(2, 1, 1), (1, 2, 4)]


def test_unreadable_files(tmp_path):
    data = replace(DEFAULTS, path=write(tmp_path / "all", HEADER + "1,10,1\n"))
    with pytest.raises(DataError, match=r"test:2: rating '\?'"):
        with_file(data, write(tmp_path / "test", HEADER + "1,10,?\n"))
    for absent in (tmp_path / "absent", tmp_path, tmp_path / ("x" * 5000)):
        with pytest.raises(DataError, match=r"there is no such file.*split\.test_file"):
            with_file(data, absent)


@pytest.mark.parametrize("name", ["../u1.test", "sub/../u1.test", "x" * 5000])
def test_only_a_bare_name_is_looked_for_in_the_folder_of_the_set(tmp_path, name):
    data = config(tmp_path, "ml1m")
    (tmp_path / "ml-1m" / "sub").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "ml-1m"):
        for file in ("ratings.dat", "u1.test"):
            (folder / file).write_text("3::500::1::100\n")
    assert with_file(data, "u1.test").test_rows.tolist() == [0]
    with pytest.raises(DataError, match="there is no such file"):
        with_file(data, name)


def test_a_published_set_has_all_its_ratings(tmp_path):
    data = config(tmp_path, "ml1m")
    (tmp_path / "ml-1m").mkdir()
    (tmp_path / "ml-1m" / "ratings.dat").write_text("3::500::1::100\n4::501::1::100\n")
    (tmp_path / "t").write_text("3::501::1::100\n")
    with pytest.raises(DataError, match="t:1: user 3 has no rating of item 501"):
        with_file(data, tmp_path / "t")


def test_synthetic_data_have_no_files(tmp_path):
    data = SyntheticData(
        name="synthetic", num_users=5, num_items=5, num_ratings=5, rank=1, noise_std=0.1,
        popularity=0,
    )  # fmt: skip
    with pytest.raises(DataError, match="data=synthetic has no files"):
        with_file(data, tmp_path / "test")
