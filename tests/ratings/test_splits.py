"""Laws that every split keeps for any ratings, its summary and its YAML file."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_ratings import (
    cases,
    laws,
    random_ratings,
    ratings_of,
    rows_of,
    shards_of,
    sizes_of,
    split_of,
    split_or_skip,
)
from programs import REPOSITORY

from ddp.config.defaults import default_option
from ddp.config.options import OPTIONS
from ddp.ratings.holdout import PARTS
from ddp.ratings.shard_summary import shard_summary
from ddp.ratings.splits import DEALERS, Deal, make_split

CONF = REPOSITORY / "conf" / "split"


# --- laws of every split ---


@laws
@given(cases())
def test_parts_cover_all_ratings_and_shards_cover_each_part(case):
    deal = split_or_skip(case)
    rows = np.concatenate([deal.rows(part) for part in PARTS])
    assert np.sort(rows).tolist() == list(range(len(case[0])))
    assert deal.workers == case[2]
    for part in PARTS:
        dealt = np.concatenate(shards_of(deal, part))
        assert dealt.dtype == deal.rows(part).dtype == np.int64
        assert np.sort(dealt).tolist() == deal.rows(part).tolist()
        assert sizes_of(deal, part) == list(map(len, shards_of(deal, part)))


@laws
@given(cases())
def test_training_shards_and_test_are_never_empty(case):
    deal = split_or_skip(case)
    assert deal.size("test") > 0
    assert min(sizes_of(deal, "train")) > 0
    if case[1].valid_fraction == 0:
        assert deal.size("valid") == 0
    elif case[1].holdout != "user":
        assert deal.size("valid") > 0 or deal.size("train") == 1


@laws
@given(cases())
def test_equal_arguments_give_equal_splits(case):
    assert rows_of(split_or_skip(case)) == rows_of(make_split(*case))


@laws
@given(cases(), st.integers(1, 12), st.sampled_from(sorted(DEALERS)))
def test_holdout_depends_on_neither_workers_nor_option(case, other_workers, other_name):
    deal = split_or_skip(case)
    ratings, split, workers, seed, test_rows = case
    # one worker for each file
    other_workers = workers if other_name == "files" else other_workers
    other = split_of(other_name, split.holdout, split.test_fraction, split.valid_fraction)
    again = split_or_skip((ratings, other, other_workers, seed, test_rows))
    assert deal.part.tolist() == again.part.tolist()


@laws
@given(cases())
def test_test_part_does_not_depend_on_validation(case):
    deal = split_or_skip(case)
    ratings, split, _, seed, test_rows = case
    other = split_of("iid", split.holdout, split.test_fraction, valid=0.0)
    again = make_split(ratings, other, 1, seed, test_rows)
    assert again.rows("test").tolist() == deal.rows("test").tolist()


def test_another_seed_gives_another_split():
    ratings = random_ratings(200)
    one, two = (make_split(ratings, split_of(), 3, seed) for seed in (0, 1))
    assert one.rows("test").tolist() != two.rows("test").tolist()
    # the holdout is the same, so that only the dealing can differ
    by_time = split_of(holdout="time")
    one, two = (make_split(ratings, by_time, 3, seed) for seed in (0, 1))
    assert one.rows("train", 0).tolist() != two.rows("train", 0).tolist()


# --- the summary ---


def test_summary_counts_and_measures_skew():
    ratings = ratings_of([0, 0, 1, 2, 2, 2], [0, 1, 1, 0, 1, 2], [1, 1, 5, 5, 5, 1])
    deal = Deal(
        part=np.array([0, 0, 0, 0, 1, 2], np.uint8),
        owner=np.array([0, 0, 1, 1, 1, 0], np.uint8),
        workers=2,
    )
    first, second = shard_summary(ratings, deal)
    sizes = [
        [
            row[key]
            for key in ("worker", "num_train", "num_valid", "num_test", "num_users", "num_items")
        ]
        for row in (first, second)
    ]
    assert sizes == [[0, 2, 0, 1, 1, 2], [1, 2, 1, 0, 2, 2]]
    assert [(row["mean_rating"], row["skew"]) for row in (first, second)] == [
        (1.0, 0.5),
        (5.0, 0.5),
    ]


@laws
@given(cases())
def test_summary_is_bounded_plain_numbers(case):
    for row in shard_summary(case[0], split_or_skip(case)):
        assert {type(value) for value in row.values()} == {int, float}, (
            "result.json needs plain numbers"
        )
        assert 0 <= row["skew"] <= 1
        assert 1 <= row["num_users"] <= row["num_train"]


# --- the registry, the YAML files and size ---


def test_every_option_of_the_schema_has_a_dealer_and_a_file():
    assert (
        set(DEALERS) | {"copies", "auto"}
        == set(OPTIONS["split"])
        == {path.stem for path in CONF.glob("*.yaml")}
    )


@pytest.mark.parametrize("name", sorted(OPTIONS["split"]))
def test_yaml_gives_every_field_and_describes_itself(name):
    assert default_option("split", name).name == name
    for path in (CONF / f"{name}.yaml", CONF / "base" / "holdout.yaml"):
        described, *fields = path.read_text().splitlines()
        assert described.startswith("# ")
        own = [line for line in fields if not line.startswith(("defaults: ", "name: "))]
        assert all("  # " in line for line in own), "a field has no comment"


def test_two_million_rows():
    ratings = random_ratings(2_000_000, num_users=30_000, num_items=5_000)
    deal = make_split(ratings, split_of("user", "user"), 8, 0)
    assert sum(sizes_of(deal, "train")) == deal.size("train")
