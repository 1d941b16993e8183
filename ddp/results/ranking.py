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
from collections.abc import Sequence
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
MAX_USERS = 5_000  # more would take too long; the mean of so many is known to about 0.003
BLOCK = 1 << 22  # scores at a time: 32 MB, and as much again to find the best
USERS = 16  # at a time, at least: fewer make no quick product of matrices
# the relevant items in the lists, int64 each: position of the user, rank counted from 0
Hits = tuple[IndexArray, IndexArray]
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


def quality(lists: Lists, hits: Hits, names: Sequence[str]) -> dict[str, float]:
    """The ranking metrics among `names`, as means over the users; NaN if there is no user."""
    user, rank = hits
    values: dict[str, float] = {}
    num_relevant = np.bincount(lists.relevant // lists.num_items, minlength=len(lists.users))
    gains = np.array([1 / math.log2(1 + rank) for rank in range(1, _longest(lists, names) + 1)])
    ideal = np.cumsum(gains)
    for name, (kind, k) in ranking_metrics(names).items():
        own = rank < k
        gain = gains[rank[own]] if kind == NDCG else None
        best = ideal[np.minimum(num_relevant, k) - 1] if kind == NDCG else num_relevant
        each = np.bincount(user[own], gain, len(lists.users)) / best
        values[name] = math.fsum(each) / len(each) if len(each) else math.nan
    return values


def _longest(lists: Lists, names: Sequence[str]) -> int:
    """The length of the longest list that a metric asks for."""
    longest = max((k for _, k in ranking_metrics(names).values()), default=0)
    return min(longest, lists.num_items)


def hits_in_order(lists: Lists, order: IndexArray) -> Hits:
    """The relevant items in lists that have the same order for every user, but for seen items.

    `order`: all items, the best first.
    """
    place = np.empty(lists.num_items, np.int64)
    place[order] = np.arange(lists.num_items)
    seen, relevant = (
        pairs - pairs % lists.num_items + place[pairs % lists.num_items]
        for pairs in (lists.seen, lists.relevant)
    )
    seen.sort()
    user = relevant // lists.num_items
    before = np.searchsorted(seen, relevant) - np.searchsorted(seen, user * lists.num_items)
    return user, relevant % lists.num_items - before


def hits_by_scores(lists: Lists, scores: Scores, names: Sequence[str]) -> Hits:
    """The relevant items in lists as long as the metrics `names` need, by the scores of a model.

    `scores`: of the users of `lists`. The best item has the highest score; of items with equal
    scores the first comes first.
    """
    count = max(BLOCK // lists.num_items, USERS)  # the scores of all users need too much RAM
    most = _longest(lists, names)
    found = [
        _hits(lists, scores, slice(first, first + count), most)
        for first in range(0, len(lists.users), count)
    ]
    users, ranks = zip(*found, strict=True) if found else ((), ())
    nothing = np.empty(0, np.int64)
    return np.concatenate([nothing, *users]), np.concatenate([nothing, *ranks])


def _hits(lists: Lists, scores: Scores, block: slice, most: int) -> Hits:
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
    return block.start + user[hit], rank[hit]


def _inside(pairs: IndexArray, block: slice, table: Matrix) -> IndexArray:
    """The places of those pairs that lie in the block, in the table of its scores."""
    start = block.start * table.shape[1]
    first, stop = np.searchsorted(pairs, [start, start + table.size])
    places: IndexArray = pairs[first:stop] - start
    return places
