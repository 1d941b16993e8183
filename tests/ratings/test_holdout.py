"""The test and validation parts: their sizes, and the rows that each holdout takes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from made_ratings import cases, laws, random_ratings, ratings_of, split_of, split_or_skip

from ddp.ratings.holdout import PARTS
from ddp.ratings.splits import make_split


@laws
@given(cases(names=("iid",), holdouts=("random", "time")))
def test_parts_have_the_size_of_their_fraction(case):
    ratings, split, _, seed, _ = case
    num_rows = len(ratings)
    assume(num_rows > 1)
    deal = make_split(ratings, split, 1, seed)  # nothing here may be refused
    assert deal.size("test") == min(max(round(split.test_fraction * num_rows), 1), num_rows - 1)
    rest = num_rows - deal.size("test")
    assert split.valid_fraction == 0 or deal.size("valid") == min(
        max(round(split.valid_fraction * rest), 1), rest - 1
    )


@laws
@given(cases(names=("iid",), holdouts=("time",)))
def test_time_holdout_is_the_latest(case):
    deal, times = split_or_skip(case), case[0].timestamps
    parts = map(deal.rows, PARTS)
    early_to_late = np.concatenate([rows[np.argsort(times[rows], kind="stable")] for rows in parts])
    assert early_to_late.tolist() == np.argsort(times, kind="stable").tolist()


@laws
@given(cases(names=("iid",), holdouts=("user",)))
def test_user_holdout_takes_a_share_of_each_user_and_never_all(case):
    deal, users, split = split_or_skip(case), case[0].users, case[1]
    train, valid, test = (np.bincount(users[deal.rows(part)], minlength=61) for part in PARTS)
    total = test + valid + train
    assert (train[total > 0] > 0).all()
    if deal.size("test") > 1:  # a single row may be the one that test must have
        assert (
            np.abs(test - np.minimum(split.test_fraction * total, np.maximum(total - 1, 0))) < 1
        ).all()
    if deal.size("valid") > 1:
        rest = total - test
        assert (
            np.abs(valid - np.minimum(split.valid_fraction * rest, np.maximum(rest - 1, 0))) < 1
        ).all()


def test_user_holdout_keeps_its_fraction_where_users_have_few_ratings():
    ratings = ratings_of(np.repeat(np.arange(5000), 2), np.tile([0, 1], 5000), np.ones(10000))
    test = make_split(ratings, split_of(holdout="user", test=0.2), 1, 0).rows("test")
    assert len(test) == pytest.approx(2000, abs=150)
    assert 0.4 < ratings.items[test].mean() < 0.6  # chance chooses one of the two


def test_user_holdout_finds_a_test_row_when_every_share_rounds_to_none():
    ratings = ratings_of([0, 1, 1, 1], [0, 0, 1, 2], [1, 2, 3, 4])
    deal = make_split(ratings, split_of(holdout="user", test=1e-9, valid=1e-9), 1, 0)
    for part in ("test", "valid"):
        assert ratings.users[deal.rows(part)].tolist() == [1]


@laws
@given(cases(holdouts=("files",)))
def test_files_holdout_is_the_given_rows(case):
    assert split_or_skip(case).rows("test").tolist() == sorted(case[4].tolist())


@pytest.mark.parametrize("name", ["iid", "user"])
def test_canonical_folds_are_fifths_of_the_lines_in_their_order(name):
    ratings = random_ratings(100_000)
    for fold in range(1, 6):
        split = split_of(name, "canonical", valid=0.1, fold=fold)
        deal = make_split(ratings, split, 2, seed=7)
        test = deal.rows("test")
        assert (test[0], len(test), test[-1]) == ((fold - 1) * 20_000, 20_000, fold * 20_000 - 1)
        files = make_split(ratings, split_of(name, "files", valid=0.1), 2, 7, test_rows=test)
        assert np.array_equal(deal.part, files.part)
        assert np.array_equal(deal.owner, files.owner)
        assert deal.size("valid") == 8_000


@laws
@given(cases(), st.integers(0, 2**32), st.integers(0, 2**32))
def test_a_seed_of_the_split_fixes_the_holdout_and_is_otherwise_the_runs(case, fixed, other):
    ratings, split, workers, seed, test_rows = case
    own = replace(split, seed=fixed)
    deal = split_or_skip((ratings, own, workers, seed, test_rows))
    same = split_or_skip((ratings, own, workers, other, test_rows))
    assert same.part.tolist() == deal.part.tolist()
    as_run = split_or_skip((ratings, split, workers, fixed, test_rows))
    assert as_run.part.tolist() == deal.part.tolist()
    free = split_or_skip((ratings, split, workers, seed, test_rows))
    if split.holdout == "time":  # the shards follow the run's seed
        assert np.array_equal(free.owner, deal.owner)


def test_random_holdout_is_uniform():
    ratings = random_ratings(50)
    hits = sum(
        np.bincount(make_split(ratings, split_of(), 1, seed).rows("test"), minlength=50)
        for seed in range(2000)
    )
    assert np.abs(hits / 2000 - 0.2).max() < 0.05  # 5.6 standard deviations
