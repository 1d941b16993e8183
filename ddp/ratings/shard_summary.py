"""The shards of a deal in figures."""

import numpy as np
import numpy.typing as npt

from ddp.ratings.arrays import IndexArray, Ratings
from ddp.ratings.splits import Deal, levels_of


def shard_summary(ratings: Ratings, deal: Deal) -> list[dict[str, int | float]]:
    """The sizes of each shard, the users, items and mean rating of its training rows, and `skew`.

    `skew` is the total variation distance between the histogram of a shard's training ratings and
    that of all training rows: 0 if they are alike, 1 if they have nothing in common. A continuous
    scale is binned as in split=dirichlet.
    """
    levels, num_levels = levels_of(ratings.ratings, deal.rows("train"))

    def histogram(rows: IndexArray) -> npt.NDArray[np.float64]:
        return np.bincount(levels[rows], minlength=num_levels) / len(rows)

    overall = histogram(deal.rows("train"))
    summary: list[dict[str, int | float]] = []
    for worker in range(deal.workers):
        rows = deal.rows("train", worker)
        summary.append(
            {
                "worker": worker,
                "num_train": len(rows),
                "num_valid": deal.size("valid", worker),
                "num_test": deal.size("test", worker),
                "num_users": int(np.count_nonzero(np.bincount(ratings.users[rows]))),
                "num_items": int(np.count_nonzero(np.bincount(ratings.items[rows]))),
                "mean_rating": float(ratings.ratings[rows].mean(dtype=np.float64)),
                "skew": float(np.abs(histogram(rows) - overall).sum() / 2),
            }
        )
    return summary
