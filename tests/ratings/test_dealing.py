"""The shards of each split: the rows that a worker is dealt."""

import numpy as np
import pytest
from hypothesis import given
from made_ratings import (
    cases,
    laws,
    random_ratings,
    ratings_of,
    shards_of,
    sizes_of,
    split_of,
    split_or_skip,
)

from ddp.ratings.holdout import PARTS
from ddp.ratings.shard_summary import shard_summary
from ddp.ratings.splits import make_split


@laws
@given(cases(names=("iid",)))
def test_iid_shards_are_of_equal_size(case):
    for part in PARTS:
        sizes = sizes_of(split_or_skip(case), part)
        assert max(sizes) - min(sizes) <= 1


@laws
@given(cases(names=("user", "item")))
def test_whole_users_or_items_are_dealt_in_balance(case):
    deal, ratings = split_or_skip(case), case[0]
    owned = ratings.users if case[1].name == "user" else ratings.items
    groups = [
        set(owned[np.concatenate([deal.rows(part, worker) for part in PARTS])].tolist())
        for worker in range(deal.workers)
    ]
    assert sum(map(len, groups)) == len(set.union(*groups)), "a user or item has two workers"
    loads = sizes_of(deal, "train")
    assert max(loads) <= np.mean(loads) + np.bincount(owned[deal.rows("train")]).max()


def test_one_large_user_outweighs_many_small_ones():
    # user 0 has 10 training ratings, ten others 1 each; the last row is the test part
    users = [*range(11), *([0] * 9), 0]
    ratings = ratings_of(users, range(21), np.ones(21))
    deal = make_split(ratings, split_of("user", "files", valid=0.0), 2, 0, np.array([20]))
    assert sizes_of(deal, "train") == [10, 10]


def test_items_without_training_ratings_are_dealt_in_turn():
    items = [0, 1, 2, 3, *range(4, 12)]
    ratings = ratings_of(np.zeros(12), items, np.ones(12))
    deal = make_split(ratings, split_of("item", "files", valid=0.0), 4, 0, np.arange(4, 12))
    assert sizes_of(deal, "test") == [2, 2, 2, 2]


@laws
@given(cases(names=("time",)))
def test_time_shards_are_equal_consecutive_chunks(case):
    deal, times = split_or_skip(case), case[0].timestamps
    for part in PARTS:
        chunks = shards_of(deal, part)
        assert max(map(len, chunks)) - min(map(len, chunks)) <= 1
        in_order = np.concatenate(
            [chunk[np.argsort(times[chunk], kind="stable")] for chunk in chunks]
        )
        rows = deal.rows(part)
        assert in_order.tolist() == rows[np.argsort(times[rows], kind="stable")].tolist()


@laws
@given(cases(names=("files",)))
def test_files_shards_are_the_files(case):
    deal = split_or_skip(case)
    for worker in range(deal.workers):
        for part in PARTS:
            assert (case[0].files[deal.rows(part, worker)] == worker).all()


@pytest.mark.parametrize("continuous", [False, True])
def test_dirichlet_small_alpha_skews_and_large_alpha_does_not(continuous):
    ratings = random_ratings(5000, continuous=continuous)
    skews = {}
    for alpha in (0.05, 1.0, 1e6):
        deal = make_split(ratings, split_of("dirichlet", alpha=alpha), 4, 0)
        skews[alpha] = np.mean([row["skew"] for row in shard_summary(ratings, deal)])
    assert skews[0.05] > skews[1.0] + 0.1
    assert skews[1.0] > skews[1e6] + 0.1
    assert skews[1e6] < 0.01


def test_dirichlet_uses_the_same_proportions_in_every_part():
    ratings = random_ratings(30_000)
    deal = make_split(ratings, split_of("dirichlet", test=0.3, valid=0.3), 4, 0)
    for value in range(1, 6):
        shares = [
            (ratings.ratings[rows] == value).sum()
            / (ratings.ratings[deal.rows(part)] == value).sum()
            for part in PARTS
            for rows in shards_of(deal, part)
        ]
        train, valid, test = np.reshape(shares, (3, 4))
        np.testing.assert_allclose(valid, train, atol=0.002)
        np.testing.assert_allclose(test, train, atol=0.002)


@pytest.mark.parametrize("seed", range(5))
def test_dirichlet_repair_takes_from_the_largest_shard(seed):
    # one value: a tiny alpha gives all to one worker
    ratings = ratings_of(range(100), range(100), np.full(100, 3))
    deal = make_split(ratings, split_of("dirichlet", alpha=1e-9), 8, seed)
    num_train = deal.size("train")
    assert sorted(sizes_of(deal, "train")) == [1] * 7 + [num_train - 7]
    tight = make_split(ratings, split_of("dirichlet", alpha=1e-9), num_train, seed)
    assert sizes_of(tight, "train") == [1] * num_train


def test_with_copies_everybody_has_everything():
    deal = make_split(random_ratings(40), split_of(name="copies"), 3, 0)
    for part in PARTS:
        for rows in shards_of(deal, part):
            assert rows.tolist() == deal.rows(part).tolist()
