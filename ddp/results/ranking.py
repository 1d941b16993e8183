"""Ranks the items that a user has not seen, and says how good the lists are.

A seen item is among the user's training or validation ratings. A relevant item is unseen, and the
user's test rating of it is among the higher ones (`relevant_from`). Relevance is yes or no. For a
user with r relevant items:

    recall@K = relevant items among the K best / r
    ndcg@K   = DCG / (DCG of a list that begins with the relevant items)
    DCG      = sum of 1 / log2(1 + rank) over the relevant items among the K best, ranks from 1

Sources: Jarvelin and Kekalainen, Cumulated gain-based evaluation of IR techniques, ACM TOIS 2002;
both formulas are those of RecBole (Zhao et al., CIKM 2021; recbole/evaluator/metrics.py). All
unseen items are ranked: samples of items give wrong answers (Krichene and Rendle, KDD 2020).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ddp.config.metrics import NDCG, ranking_metrics
from ddp.ratings.arrays import IndexArray, IntArray, Ratings
from ddp.ratings.holdout import PARTS
from ddp.ratings.splits import Deal
from ddp.results.scores import Matrix, Scores

# A relevant rating is at least this quantile of the training ratings: 4 of 5 on MovieLens. A
# quantile works on every scale, and 0.6 is far from a step of MovieLens' distributions.
QUANTILE = 0.6
MAX_USERS = 10_000  # more are too slow, and move no mean by more than 0.005
BLOCK = 1 << 20  # scores at a time: 8 MB, and as much again to find the best
USERS = 16  # at a time, at least: fewer make no quick product of matrices
LEAST = -(2.0**53)  # no score is lower; that of a seen item is -inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """The users whose unseen items are ranked, and their seen and their relevant items.

    | field              | meaning                                                                |
    |--------------------|------------------------------------------------------------------------|
    | `users`            | int32 (n,), ascending                                                  |
    | `seen`, `relevant` | int64, ascending: pairs, as position in `users` x `num_items` + item   |
    | `relevant_from`    | the lowest rating that is relevant                                     |
    | `without`          | number of users that have test ratings, but no relevant item           |
    | `left_out`         | number of users that have a relevant item, and are more than MAX_USERS |
    """

    num_items: int
    users: IntArray
    seen: IndexArray
    relevant: IndexArray
    relevant_from: float
    without: int
    left_out: int


def lists_of(ratings: Ratings, deal: Deal) -> Lists:
    """The lists to rank. Of more than MAX_USERS users it takes some at even distances."""
    test, relevant_from = deal.rows("test"), _relevant_from(ratings, deal)
    tested = np.unique(ratings.users[test])
    test = test[ratings.ratings[test] >= relevant_from]
    able = np.unique(ratings.users[test])
    users = able[np.arange(MAX_USERS) * len(able) // MAX_USERS] if len(able) > MAX_USERS else able
    ranked = np.zeros(ratings.num_users, np.bool_)
    ranked[users] = True
    before = np.flatnonzero(ranked[ratings.users] & (deal.part != PARTS.index("test")))
    return Lists(
        num_items=ratings.num_items,
        users=users,
        seen=_pairs(ratings, before, users),
        relevant=_pairs(ratings, test[ranked[ratings.users[test]]], users),
        relevant_from=relevant_from,
        without=len(tested) - len(able),
        left_out=len(able) - len(users),
    )


def _relevant_from(ratings: Ratings, deal: Deal) -> float:
    """The least rating that a share of QUANTILE of the training ratings does not exceed."""
    values = ratings.ratings[deal.part == PARTS.index("train")]
    place = math.ceil(QUANTILE * len(values)) - 1
    values.partition(place)
    return float(values[place])


def _pairs(ratings: Ratings, rows: IndexArray, users: IntArray) -> IndexArray:
    """The pairs of some ratings, ascending. `users` are those of the `Lists`."""
    pairs = np.searchsorted(users, ratings.users[rows])
    pairs *= ratings.num_items
    pairs += ratings.items[rows]
    pairs.sort()
    return pairs


def quality(lists: Lists, scores: Scores, names: Sequence[str]) -> dict[str, float]:
    """The ranking metrics among `names`, as means over the users; NaN if there is no user.

    `scores`: of the users of `lists`. The best item has the highest score; of items with equal
    scores the first comes first. So the values are the same to the bit on every backend.
    """
    wanted = ranking_metrics(names)
    most = min(max((k for _, k in wanted.values()), default=0), lists.num_items)
    gains = np.array([1 / math.log2(1 + rank) for rank in range(1, most + 1)])
    ideal = np.cumsum(gains)
    num_relevant = np.bincount(lists.relevant // lists.num_items, minlength=len(lists.users))
    values: dict[str, list[float]] = {name: [] for name in wanted}
    for block in _blocks(lists) if wanted else ():
        counts = num_relevant[block]
        user, rank = _hits(lists, scores, block, most)
        for name, (kind, k) in wanted.items():
            own = rank < k
            gain = gains[rank[own]] if kind == NDCG else None
            best = ideal[np.minimum(counts, k) - 1] if kind == NDCG else counts
            found = np.bincount(user[own], gain, len(counts))
            values[name] += (found / best).tolist()
    # an exact sum: the same for blocks of every size
    return {name: math.fsum(own) / len(own) if own else math.nan for name, own in values.items()}


def _blocks(lists: Lists) -> Iterator[slice]:
    """Positions of users: the scores of all would need too much RAM."""
    count = max(BLOCK // lists.num_items, USERS)
    return (slice(first, first + count) for first in range(0, len(lists.users), count))


def _hits(lists: Lists, scores: Scores, block: slice, most: int) -> tuple[IndexArray, IndexArray]:
    """The relevant items among the `most` best: the position of the user in the block, the rank.

    Ranks count from 0.
    """
    users, items = scores
    table = users[block] @ items.T
    table.ravel()[_inside(lists.seen, block, table)] = -np.inf
    relevant = np.zeros(table.shape, np.bool_)
    relevant.ravel()[_inside(lists.relevant, block, table)] = True
    last = table.shape[1] - most
    lowest = np.partition(table, last, axis=1)[:, last]
    # in the order of users, then of items; more than `most` where scores are equal
    places = np.flatnonzero(table >= np.maximum(lowest, LEAST)[:, None])
    user, item = np.divmod(places, table.shape[1])
    order = np.lexsort((-table[user, item], user))  # stable
    user, item = user[order], item[order]
    rank = np.arange(len(user)) - np.searchsorted(user, user)
    hit = relevant[user, item] & (rank < most)
    return user[hit], rank[hit]


def _inside(pairs: IndexArray, block: slice, table: Matrix) -> IndexArray:
    """The places of those pairs that lie in the block, in the table of its scores."""
    start = block.start * table.shape[1]
    first, stop = np.searchsorted(pairs, [start, start + table.size])
    places: IndexArray = pairs[first:stop] - start
    return places
