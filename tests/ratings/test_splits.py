"""Laws that every split keeps for any ratings, and the messages of impossible splits."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ddp.config.defaults import default_option
from ddp.config.options import OPTIONS
from ddp.config.split import DirichletSplit, Split
from ddp.errors import ConfigError, DataError, UserError
from ddp.ratings.arrays import IndexArray, Ratings
from ddp.ratings.holdout import PARTS
from ddp.ratings.splits import DEALERS, Deal, make_split, shard_summary

CONF = Path(__file__).parent.parent.parent / "conf" / "split"
HOLDOUTS = ("random", "user", "time", "files")
laws = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def ratings_of(users, items, values, timestamps=None, files=None) -> Ratings:
    users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
    return Ratings(
        name="made",
        users=users,
        items=items,
        ratings=np.asarray(values, np.float32),
        user_ids=np.arange(users.max(initial=-1) + 1),
        item_ids=np.arange(items.max(initial=-1) + 1),
        rating_min=1.0,
        rating_max=5.0,
        timestamps=None if timestamps is None else np.asarray(timestamps, np.int64),
        files=None if files is None else np.asarray(files, np.int16),
    )


def random_ratings(
    num_rows, *, seed=0, num_users=20, num_items=20, workers=1, continuous=False
) -> Ratings:
    rng = np.random.default_rng(seed)
    values = rng.normal(3, 1, num_rows) if continuous else rng.integers(1, 6, num_rows)
    users, items = rng.integers(num_users, size=num_rows), rng.integers(num_items, size=num_rows)
    return ratings_of(
        users,
        items,
        values,
        rng.integers(num_rows, size=num_rows),
        rng.integers(workers, size=num_rows),
    )


def split_of(name="iid", holdout="random", test=0.2, valid=0.05, alpha=0.5) -> Split:
    fields = {"name": name, "holdout": holdout, "test_fraction": test, "valid_fraction": valid}
    fields["test_file"] = "test.csv" if holdout == "files" else None
    return DirichletSplit(**fields, alpha=alpha) if name == "dirichlet" else Split(**fields)


@st.composite
def cases(draw, names=tuple(DEALERS), holdouts=HOLDOUTS, max_rows=200):
    """(ratings, split, workers, seed, test_rows): the arguments of make_split."""
    num_rows, workers = draw(st.integers(1, max_rows)), draw(st.integers(1, 12))
    ratings = random_ratings(
        num_rows,
        seed=draw(st.integers(0, 10**6)),
        num_users=draw(st.integers(1, 60)),
        num_items=draw(st.integers(1, 60)),
        workers=workers,
        continuous=draw(st.booleans()),
    )
    name, holdout, fraction = (
        draw(st.sampled_from(names)),
        draw(st.sampled_from(holdouts)),
        st.floats(0.01, 0.9),
    )
    split = split_of(
        name,
        holdout,
        draw(fraction),
        draw(st.just(0.0) | fraction),
        draw(st.sampled_from([1e-9, 0.1, 1, 1e6])),
    )
    test_rows = None
    if holdout == "files":
        test_rows = np.random.default_rng(num_rows).permutation(num_rows)[
            : draw(st.integers(1, num_rows))
        ]
    return ratings, split, workers, draw(st.integers(0, 2**32)), test_rows


def split_or_skip(case) -> Deal:
    """Some drawn cases cannot be split; the refusals have their own tests below."""
    try:
        return make_split(*case)
    except UserError:
        assume(False)
        raise


def shards_of(deal: Deal, part) -> list[IndexArray]:
    return [deal.rows(part, worker) for worker in range(deal.workers)]


def sizes_of(deal: Deal, part) -> list[int]:
    return [deal.size(part, worker) for worker in range(deal.workers)]


def rows_of(deal: Deal) -> list[list[int]]:
    return [rows.tolist() for part in PARTS for rows in (deal.rows(part), *shards_of(deal, part))]


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
    # as many as there are files
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


# --- holdouts ---


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
    assert 0.4 < ratings.items[test].mean() < 0.6  # which of the two is random


def test_user_holdout_finds_a_test_row_when_every_share_rounds_to_none():
    ratings = ratings_of([0, 1, 1, 1], [0, 0, 1, 2], [1, 2, 3, 4])
    deal = make_split(ratings, split_of(holdout="user", test=1e-9, valid=1e-9), 1, 0)
    for part in ("test", "valid"):
        assert ratings.users[deal.rows(part)].tolist() == [1]


@laws
@given(cases(holdouts=("files",)))
def test_files_holdout_is_the_given_rows(case):
    assert split_or_skip(case).rows("test").tolist() == sorted(case[4].tolist())


def test_random_holdout_is_uniform():
    ratings = random_ratings(50)
    hits = sum(
        np.bincount(make_split(ratings, split_of(), 1, seed).rows("test"), minlength=50)
        for seed in range(2000)
    )
    assert np.abs(hits / 2000 - 0.2).max() < 0.05  # 5.6 standard deviations


# --- dealing ---


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


# --- refusals ---


def test_more_workers_than_training_ratings():
    with pytest.raises(
        ConfigError, match="workers=9: must be at most 8: there are 8 training ratings"
    ):
        make_split(random_ratings(10), split_of(valid=0.0), 9, 0)


@pytest.mark.parametrize("kind", ["user", "item"])
def test_more_workers_than_users_or_items(kind):
    ratings = random_ratings(100, num_users=3, num_items=3)
    message = (
        f"workers=4: split={kind} deals whole {kind}s, and only 3 {kind}s have training ratings:"
        " use at most 3 workers"
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
    with pytest.raises(DataError, match=f"holds {num_rows} ratings.*at least 2"):
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


def test_files_holdout_without_rows_is_our_mistake():
    with pytest.raises(AssertionError, match="needs test_rows"):
        make_split(random_ratings(5), split_of(holdout="files"), 1, 0)


# --- the registry, the YAML files and size ---


def test_every_option_of_the_schema_has_a_dealer_and_a_file():
    assert (
        set(DEALERS) | {"copies"}
        == set(OPTIONS["split"])
        == {path.stem for path in CONF.glob("*.yaml")}
    )


def test_with_copies_everybody_has_everything():
    deal = make_split(random_ratings(40), split_of(name="copies"), 3, 0)
    for part in PARTS:
        for rows in shards_of(deal, part):
            assert rows.tolist() == deal.rows(part).tolist()


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
