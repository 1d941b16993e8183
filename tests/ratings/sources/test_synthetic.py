"""Made-up ratings: reproducible, each pair once, and as noisy as they say."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddp.config.data import SyntheticData
from ddp.errors import DataError
from ddp.ratings.load import load_ratings
from ddp.ratings.sources.synthetic import truth

DATA = SyntheticData(
    name="synthetic",
    num_users=500,
    num_items=300,
    num_ratings=30_000,
    rank=4,
    noise_std=0.5,
    popularity=0.8,
)


def test_same_seed_same_ratings_and_another_seed_others():
    one, same, other = (load_ratings(DATA, seed=seed) for seed in (7, 7, 8))
    for name in ("users", "items", "ratings"):
        assert np.array_equal(getattr(one, name), getattr(same, name))
    assert not np.array_equal(one.users, other.users)
    assert not np.array_equal(one.ratings, other.ratings)


@settings(max_examples=40)
@given(st.data())
def test_each_pair_once_and_every_id_known(data):
    users, items = data.draw(st.integers(1, 60)), data.draw(st.integers(2, 60))
    count = data.draw(st.integers(1, users * items // 2))
    options = replace(
        DATA,
        num_users=users,
        num_items=items,
        num_ratings=count,
        popularity=data.draw(st.sampled_from([0, 0.8, 1])),
    )
    ratings = load_ratings(options, seed=data.draw(st.integers(0, 100)))
    assert (
        len({*zip(ratings.users.tolist(), ratings.items.tolist(), strict=True)})
        == len(ratings)
        == count
    )
    assert ratings.user_ids.tolist() == list(range(users))
    assert ratings.item_ids.tolist() == list(range(items))
    assert 0 <= ratings.users.min() <= ratings.users.max() < users
    assert 0 <= ratings.items.min() <= ratings.items.max() < items
    assert (ratings.rating_min, ratings.rating_max) == (
        ratings.ratings.min(),
        ratings.ratings.max(),
    )
    assert [a.dtype for a in (ratings.users, ratings.items, ratings.ratings)] == [
        np.int32,
        np.int32,
        np.float32,
    ]


@pytest.mark.parametrize("noise_std", [0.0, 0.1, 0.5])
def test_residual_against_the_truth_is_the_noise_floor(noise_std):
    options = replace(DATA, noise_std=noise_std)
    ratings = load_ratings(options, seed=3)
    model = truth(options, seed=3)
    user, item = ratings.users, ratings.items
    true = (
        3.5
        + model.user_bias[user]
        + model.item_bias[item]
        + (model.user_factors[user] * model.item_factors[item]).sum(1)
    )
    residual = ratings.ratings - true
    assert ratings.noise_floor == noise_std
    assert residual.std() == pytest.approx(noise_std, rel=0.03, abs=1e-5)
    assert abs(residual.mean()) < 0.01
    # More than bell-shaped noise of the right size: it does not repeat from chunk to chunk or user
    # to user.
    assert abs(np.corrcoef(residual[1:], residual[:-1])[0, 1]) < 0.03 or noise_std == 0


def test_signal_has_unit_scale():
    options = replace(
        DATA, num_users=3000, num_items=3000, num_ratings=200_000, rank=8, noise_std=0, popularity=0
    )
    ratings = load_ratings(options, seed=1).ratings
    assert ratings.std() == pytest.approx(1, abs=0.08)
    assert ratings.mean() == pytest.approx(3.5, abs=0.1)


def test_the_maker_tells_how_far_it_is():
    told = []
    data = replace(DATA, num_users=2000, num_ratings=280_000)
    load_ratings(data, 0, tell=lambda *each: told.append(each))
    assert told[0] == ("drawing pairs of users and items",)
    assert told[1:] == [("making ratings", done, 280_000, "ratings") for done in (0, 1 << 18)]


def test_chunks_join_without_a_seam():
    options = replace(DATA, num_users=3000, num_items=1000, num_ratings=300_000, noise_std=0)
    ratings, model = load_ratings(options, seed=1), truth(options, seed=1)
    rows = np.r_[262_140:262_150, 299_990:300_000]
    assert model.ratings(ratings.users[rows], ratings.items[rows]) == pytest.approx(
        ratings.ratings[rows], abs=1e-5
    )


def test_popularity_follows_a_power_law_that_ids_do_not_reveal():
    ratings = load_ratings(
        replace(DATA, num_users=5000, num_items=400, num_ratings=100_000), seed=0
    )
    counts = np.bincount(ratings.items, minlength=400)
    ranked = np.sort(counts)[::-1]
    ranks = np.arange(20, 400)
    slope = np.polyfit(np.log(ranks), np.log(ranked[20:]), 1)[0]
    assert slope == pytest.approx(-0.8, abs=0.15)
    assert abs(np.corrcoef(np.arange(400), counts)[0, 1]) < 0.2
    flat = np.bincount(load_ratings(replace(DATA, popularity=0), seed=0).items)
    assert flat.std() < 2 * flat.mean() ** 0.5


def test_too_few_pairs_to_draw_is_an_error_and_no_endless_loop():
    with pytest.raises(DataError, match=r"data\.num_ratings=30,000.*Lower data\.popularity"):
        load_ratings(replace(DATA, popularity=6.0), seed=0)
