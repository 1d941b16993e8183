"""The simplest predictors: the mean, and user and item means."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddp.ratings import baselines
from ddp.ratings.arrays import Ratings
from ddp.ratings.baselines import MEAN, MEANS, PULL
from ddp.ratings.splits import Deal
from ddp.results.simplest import in_words

TRIPLES = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(1, 5), st.integers(0, 2)),
    min_size=1,
    max_size=40,
)


def made(triples):
    users, items, values, parts = (np.array(column) for column in zip(*triples, strict=True))
    ratings = Ratings(
        name="made up",
        users=users.astype(np.int32),
        items=items.astype(np.int32),
        ratings=values.astype(np.float32),
        user_ids=np.arange(6),
        item_ids=np.arange(5),
        rating_min=1.0,
        rating_max=5.0,
    )
    return ratings, Deal(part=parts.astype(np.uint8), owner=None, workers=1)


def naive(triples, part):
    """Both predictors in plain Python."""
    train = [(u, i, r) for u, i, r, p in triples if p == 0]
    held = [(u, i, r) for u, i, r, p in triples if p == part]
    mean = sum(r for _, _, r in train) / len(train)
    items, users = {}, {}
    for item in range(5):
        left = [r - mean for _, i, r in train if i == item]
        items[item] = sum(left) / (len(left) + PULL)
    for user in range(6):
        left = [r - mean - items[i] for u, i, r in train if u == user]
        users[user] = sum(left) / (len(left) + PULL)
    if not held:
        return [math.nan, math.nan]
    plain = [(r - mean) ** 2 for _, _, r in held]
    additive = [(r - min(5, max(1, mean + users[u] + items[i]))) ** 2 for u, i, r in held]
    return [math.sqrt(sum(each) / len(held)) for each in (plain, additive)]


@given(TRIPLES, st.sampled_from([1, 3, 1000]))
def test_it_is_what_plain_python_computes(triples, chunk):
    triples = [(0, 0, 3, 0), *triples]  # one rating to train on
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(baselines, "CHUNK", chunk)
        told = baselines.baselines(*made(triples))
    for number, part in enumerate(("valid", "test"), 1):
        expected = naive(triples, number)
        assert [told[name][part] for name in (MEAN, MEANS)] == pytest.approx(expected, nan_ok=True)


def test_what_is_not_known_is_not_told():
    for told in (None, {MEAN: 3}, {MEAN: {"test": "x"}}):
        assert in_words(told, None) == []
    [line] = in_words({MEAN: {"test": None}, MEANS: {"test": 0.5}}, None)
    assert line.endswith(f"{MEANS} 0.5000")
