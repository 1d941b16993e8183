"""Splits that are impossible are refused with a reason and a remedy."""

import numpy as np
import pytest
from made_ratings import random_ratings, ratings_of, split_of

from ddp.errors import ConfigError, DataError
from ddp.ratings.splits import make_split


def test_more_workers_than_training_ratings():
    with pytest.raises(
        ConfigError, match="workers=9: must be at most 8: the data have 8 training ratings"
    ):
        make_split(random_ratings(10), split_of(valid=0.0), 9, 0)


@pytest.mark.parametrize("kind", ["user", "item"])
def test_more_workers_than_users_or_items(kind):
    ratings = random_ratings(100, num_users=3, num_items=3)
    message = (
        f"workers=4: split={kind} deals whole {kind}s, and there are training ratings of"
        f" only 3 {kind}s: use at most 3 workers"
    )
    with pytest.raises(ConfigError, match=message):
        make_split(ratings, split_of(kind), 4, 0)


def test_file_without_training_ratings():
    ratings = ratings_of(range(6), range(6), np.ones(6), files=[0, 0, 1, 1, 2, 2])
    with pytest.raises(DataError, match=r"file 1 .*no training rating"):
        make_split(ratings, split_of("files", "files", valid=0.0), 3, 0, np.array([2, 3]))


@pytest.mark.parametrize(
    ("name", "holdout", "key"), [("time", "random", "split"), ("iid", "time", "split.holdout")]
)
def test_time_without_timestamps(name, holdout, key):
    ratings = ratings_of(range(10), range(10), np.ones(10))
    with pytest.raises(ConfigError, match=f"{key}=time: needs timestamps, and made has none"):
        make_split(ratings, split_of(name, holdout), 2, 0)


@pytest.mark.parametrize("num_rows", [0, 1])
def test_too_few_ratings(num_rows):
    with pytest.raises(DataError, match=f"holds {num_rows} ratings?: .*at least 2"):
        make_split(random_ratings(num_rows), split_of(), 1, 0)


def test_user_holdout_of_users_with_one_rating_each():
    with pytest.raises(ConfigError, match=r"every user has one rating.*use split\.holdout=random"):
        make_split(ratings_of(range(5), range(5), np.ones(5)), split_of(holdout="user"), 1, 0)


@pytest.mark.parametrize(
    ("num_test", "message"), [(0, r"test\.csv holds no rating"), (5, "holds every rating")]
)
def test_test_file_with_nothing_or_everything(num_test, message):
    with pytest.raises(DataError, match=message):
        make_split(random_ratings(5), split_of(holdout="files"), 1, 0, np.arange(num_test))


def test_canonical_folds_of_other_ratings():
    with pytest.raises(DataError, match=r"made holds 5 ratings.*100,000.*another split\.holdout"):
        make_split(random_ratings(5), split_of(holdout="canonical", fold=1), 1, 0)


def test_files_holdout_without_rows_is_our_mistake():
    with pytest.raises(AssertionError, match="needs test_rows"):
        make_split(random_ratings(5), split_of(holdout="files"), 1, 0)
