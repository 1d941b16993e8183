"""Ranking metrics: against a plain one for each user, by hand, and the same to the bit."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ddp.model.parameters import Parameters
from ddp.ratings.arrays import Ratings
from ddp.ratings.splits import Deal
from ddp.results import ranking
from ddp.results.ranking import hits_by_scores, hits_in_order, lists_of, quality
from ddp.results.scores import scores_of

TRAIN, VALID, TEST = 0, 1, 2
NAMES = ("ndcg@1", "recall@1", "ndcg@3", "recall@3", "ndcg@99", "recall@99")


def made(num_users, num_items, rows):
    """Ratings and their deal, of rows (user, item, rating, part)."""
    users, items, values, parts = (list(column) for column in zip(*rows, strict=True))
    ratings = Ratings(
        name="made",
        users=np.array(users, np.int32),
        items=np.array(items, np.int32),
        ratings=np.array(values, np.float32),
        user_ids=np.arange(num_users),
        item_ids=np.arange(num_items),
        rating_min=1.0,
        rating_max=5.0,
    )
    return ratings, Deal(part=np.array(parts, np.uint8), owner=None, workers=1)


def by_score(lists, scores, names):
    """The metrics of these scores of the items, the same for every user."""
    matrices = np.ones((len(lists.users), 1)), np.array(scores, float)[:, None]
    return quality(lists, hits_by_scores(lists, matrices, names), names)


@st.composite
def jobs(draw):
    """Few users and items, so that many scores are equal and lists are short."""
    num_users, num_items = draw(st.integers(1, 6)), draw(st.integers(1, 8))
    pairs = [(user, item) for user in range(num_users) for item in range(num_items)]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True, min_size=1))
    rest = st.tuples(st.integers(1, 5), st.sampled_from([TRAIN, VALID, TEST]))
    rows = [(*pair, *draw(rest)) for pair in chosen]
    rows[0] = (*rows[0][:3], TRAIN)  # a run has a training rating
    scores = draw(arrays.arrays(np.int64, num_items, elements=st.integers(-2, 2)))
    return (*made(num_users, num_items, rows), num_items, rows, scores)


def slowly(rows, num_items, scores, relevant_from, name):
    """The metric, user by user, in the words of its definition."""
    kind, _, k = name.partition("@")
    values = []
    for user in sorted({user for user, *_ in rows}):
        own = {item: (value, part) for owner, item, value, part in rows if owner == user}
        unseen = [item for item in range(num_items) if own.get(item, (0, TEST))[1] == TEST]
        relevant = {
            item for item, (value, part) in own.items() if part == TEST and value >= relevant_from
        }
        best = sorted(unseen, key=lambda item: (-scores[item], item))[: int(k)]
        ranks = [rank for rank, item in enumerate(best, 1) if item in relevant]
        if relevant and kind == "recall":
            values.append(len(ranks) / len(relevant))
        elif relevant:
            ideal = range(1, min(len(relevant), int(k)) + 1)
            values.append(
                sum(1 / math.log2(1 + rank) for rank in ranks)
                / sum(1 / math.log2(1 + rank) for rank in ideal)
            )
    return sum(values) / len(values) if values else math.nan


@given(job=jobs(), block=st.sampled_from([1, 1 << 20]))
def test_the_metrics_are_those_of_a_plain_loop_over_users(job, block):
    ratings, deal, num_items, rows, scores = job
    lists = lists_of(ratings, deal)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ranking, "USERS", 2)
        patched.setattr(ranking, "BLOCK", block)
        told = by_score(lists, scores, NAMES)
    order = np.argsort(-scores, kind="stable")
    assert quality(lists, hits_in_order(lists, order), NAMES) == pytest.approx(told, nan_ok=True)
    for name in NAMES:
        plain = slowly(rows, num_items, scores, lists.relevant_from, name)
        assert told[name] == pytest.approx(plain, nan_ok=True)
    tested = {user for user, _, _, part in rows if part == TEST}
    assert len(lists.users) + lists.without == len(tested)
    assert lists.left_out == 0


def test_by_hand():
    """User 0 has not seen items 1 to 4; of them 2 and 4 are relevant, and they rank 1st and 3rd."""
    rows = [
        *((0, 0, 4, TRAIN), (0, 1, 1, TEST), (0, 2, 5, TEST), (0, 4, 4, TEST)),
        *((1, 1, 4, TRAIN), (1, 3, 3, TEST)),  # no relevant item: it does not count
        *((2, 0, 4, TRAIN), (2, 2, 3, VALID)),  # no test rating
    ]
    lists = lists_of(*made(3, 5, rows))
    scores = np.array([9, 5, 8, 7, 7])  # 3 and 4 are equal: 3 comes first
    told = by_score(lists, scores, ["ndcg@2", "recall@2", "ndcg@3", "recall@3"])
    ideal = 1 + 1 / math.log2(3)
    assert told == {
        "ndcg@2": pytest.approx(1 / ideal),
        "recall@2": 1 / 2,
        "ndcg@3": pytest.approx((1 + 1 / math.log2(4)) / ideal),
        "recall@3": 1.0,
    }
    assert (lists.users.tolist(), lists.without, lists.relevant_from) == ([0], 1, 4.0)


@pytest.mark.parametrize(
    ("counts", "relevant_from"),
    [
        ({1: 6, 2: 11, 3: 27, 4: 34, 5: 22}, 4),  # MovieLens 100K
        ({3.0: 37, 3.5: 13, 4.0: 27, 4.5: 9, 5.0: 14}, 4),  # MovieLens 25M
        ({1: 10}, 1),  # only what somebody has bought
        ({0: 5, 1: 5}, 1),
        ({1: 50, 2: 20, 100: 20, 3000: 10}, 2),  # plays of songs
    ],
)
def test_a_relevant_rating_is_a_high_one_on_every_scale(counts, relevant_from):
    values = [value for value, count in counts.items() for _ in range(count)]
    rows = [(row, 0, value, TRAIN) for row, value in enumerate(values)]
    assert lists_of(*made(len(rows), 1, rows)).relevant_from == relevant_from


def test_of_too_many_users_some_are_ranked_at_even_distances(monkeypatch):
    monkeypatch.setattr(ranking, "MAX_USERS", 3)
    rows = [(user, 0, 4, TEST) for user in range(7)] + [(7, 1, 4, TRAIN)]
    lists = lists_of(*made(8, 2, rows))
    assert (lists.users.tolist(), lists.left_out, lists.without) == ([0, 2, 4], 4, 0)
    assert by_score(lists, [0, 1], ["recall@2"]) == {"recall@2": 1.0}


@pytest.mark.parametrize("biases", [False, True])
@pytest.mark.parametrize("size", [1e-20, 1.0, 1e8])
def test_scores_are_exact_and_follow_the_model(biases, size):
    """A sum in another order gives the same bits; plain float64 differs from it by very little."""
    random = np.random.default_rng(0)
    model = Parameters(50, 80, 64, biases=biases)
    model.vector[:] = random.standard_normal(len(model.vector)) * size
    users = np.arange(0, 50, 2)
    left, right = scores_of(model, users)
    order = random.permutation(left.shape[1])
    scores = left @ right.T
    assert (scores == left[:, order] @ right[:, order].T).all()
    assert (scores == [[math.fsum(a * b) for b in right] for a in left]).all()
    plain = model.views["user_factors"][users].astype(float) @ model.views["item_factors"].T.astype(
        float
    )
    if biases:
        plain += model.views["item_bias"]
    scale = np.abs(plain).max() / np.abs(scores).max()
    assert np.abs(plain - scores * scale).max() < 1e-5 * np.abs(plain).max()


def test_a_model_of_zeros_has_scores():
    left, right = scores_of(Parameters(2, 3, 4), np.array([0, 1]))
    assert (left @ right.T == 0).all()
