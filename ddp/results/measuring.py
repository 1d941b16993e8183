"""Measures the metrics of the aggregate that a run keeps, on the test part."""

from statistics import NormalDist

import numpy as np

from ddp.config.metrics import MAE, ranking_metrics
from ddp.model.parameters import Rows
from ddp.model.rows import predicted
from ddp.model.samples import moments
from ddp.ratings.arrays import IndexArray, Ratings
from ddp.ratings.holdout import PARTS
from ddp.ratings.splits import Deal
from ddp.results.kept import Kept
from ddp.results.ranking import hits_by_scores, hits_in_order, lists_of, quality
from ddp.results.scores import scores_of
from ddp.tracking.messages import Measured
from ddp.tracking.metrics import Ranked
from ddp.workers.prepare import Prepared

CHUNK = 1 << 18  # ratings at a time
INTERVALS = (0.5, 0.8, 0.95)


def measure(prepared: Prepared, kept: Kept) -> Measured:
    """The metrics that the config asks for, of the model that the run keeps."""
    names, ratings, deal = prepared.config.metrics, prepared.ratings, prepared.deal
    model, covered = kept.parameters, coverage(kept, ratings, deal.rows("test"))
    known = {MAE: _mae(model, ratings, deal)} if MAE in names else {}
    if not ranking_metrics(names):
        return Measured(values=known, coverage=covered)
    lists = lists_of(ratings, deal)
    known |= quality(lists, hits_by_scores(lists, scores_of(model, lists.users), names), names)
    popular = hits_in_order(lists, _by_popularity(ratings, deal))
    return Measured(
        values={name: known[name] for name in names if name in known},
        ranked=Ranked(
            users=len(lists.users),
            without=lists.without,
            left_out=lists.left_out,
            relevant_from=lists.relevant_from,
            most_popular=quality(lists, popular, names),
        ),
        coverage=covered,
    )


def coverage(kept: Kept, ratings: Ratings, rows: IndexArray) -> dict[float, float]:
    """The share of these ratings that lies in each of the central intervals.

    An interval is that of a normal distribution around the mean of the samples, whose variance is
    that over the samples plus that of the noise. {} for a model without samples, or no rating.
    """
    if kept.noise is None or not len(rows):
        return {}
    pairs = ratings.users[rows], ratings.items[rows]
    scale = ratings.rating_min, ratings.rating_max
    means, variances = moments(kept.parameters, len(kept.noise.precisions), *pairs, scale)
    variances += kept.noise.variances(*pairs)
    distances = np.abs(ratings.ratings[rows] - means) / np.sqrt(variances)
    return {
        share: float(np.mean(distances <= NormalDist().inv_cdf((1 + share) / 2)))
        for share in INTERVALS
    }


def _mae(model: Rows, ratings: Ratings, deal: Deal) -> float:
    """The mean absolute error of predictions that are clipped to the scale."""
    rows = deal.rows("test")
    errors = predicted(model, ratings.users[rows], ratings.items[rows])
    errors = errors.clip(ratings.rating_min, ratings.rating_max) - ratings.ratings[rows]
    return float(np.abs(errors).mean(dtype=np.float64))


def _by_popularity(ratings: Ratings, deal: Deal) -> IndexArray:
    """The items, those with the most training ratings first."""
    counts = np.zeros(ratings.num_items, np.intp)
    for start in range(0, len(ratings), CHUNK):
        chunk = slice(start, start + CHUNK)
        items = ratings.items[chunk][deal.part[chunk] == PARTS.index("train")]
        counts += np.bincount(items, minlength=ratings.num_items)
    return np.argsort(-counts, kind="stable")
