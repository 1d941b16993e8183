"""The features of each user and item: facts besides the values of their ratings.

| features             | one for each                                | value in a row             |
|----------------------|---------------------------------------------|----------------------------|
| implicit feedback    | row of the other side                       | 1 / sqrt(n), if the row is |
|                      |                                             | rated n times, also by it  |
| attributes           | column of `Ratings.user_features`, ...      | that of the column         |

Only training ratings count. Source of the first: Koren, Factorization meets the neighborhood, KDD
2008, eq. 15.
"""

from typing import NamedTuple

import numpy as np

from ddp.ratings.arrays import Features, FloatArray, IndexArray, IntArray


class Known(NamedTuple):
    """The features of all rows of a side, by row and by feature.

    Row r has the features by_row[starts[r]:starts[r + 1]], feature f the rows
    by_feature[feature_starts[f]:feature_starts[f + 1]]. The value of an entry is scales[row], times
    that of `row_values` or `feature_values` if these are not empty. `squares`: the sum of the
    squares of each feature's values.
    """

    starts: IndexArray
    by_row: IntArray
    row_values: FloatArray
    feature_starts: IndexArray
    by_feature: IntArray
    feature_values: FloatArray
    scales: FloatArray
    squares: FloatArray

    @property
    def num_rows(self) -> int:
        """The number of rows of the side."""
        return len(self.scales)

    @property
    def num_features(self) -> int:
        """The number of features."""
        return len(self.squares)


def nothing_known() -> Known:
    """No features, and no rows."""
    none, start = np.empty(0, np.float32), np.zeros(1, np.int64)
    ids = np.empty(0, np.int32)
    return Known(start, ids, none, start, ids, none, none, none)


def known_of(
    rated: IntArray,
    others: IntArray,
    numbers: IntArray,
    num_others: int,
    attributes: Features | None,
    *,
    implicit: bool,
) -> Known | None:
    """The features of a side; None if nothing is known.

    | argument     | meaning                                                                    |
    |--------------|----------------------------------------------------------------------------|
    | `rated`      | the row of each training rating                                            |
    | `others`     | its row of the other side                                                  |
    | `numbers`    | the row of each position in the attributes, so of each row of the side     |
    | `num_others` | the number of rows of the other side                                       |
    """
    if not implicit and attributes is None:
        return None
    num_rows, num_features = len(numbers), 0
    rows, features = [np.empty(0, np.int32)], [np.empty(0, np.int32)]
    values = [np.empty(0, np.float32)]
    scales = np.ones(num_rows, np.float32)
    if implicit:
        counts = np.bincount(rated, minlength=num_rows)
        scales = (1 / np.sqrt(np.maximum(counts, 1))).astype(np.float32)
        rows, features, num_features = [rated], [others], num_others
        values = [np.ones(len(rated) if attributes is not None else 0, np.float32)]
    if attributes is not None:
        own = numbers[attributes.rows]
        columns = np.repeat(np.arange(len(attributes.names)), np.diff(attributes.starts))
        rows.append(own)
        features.append((columns + num_features).astype(np.int32))
        values.append(attributes.values / scales[own])
        num_features += len(attributes.names)
    return _both_ways(
        np.concatenate(rows), np.concatenate(features), np.concatenate(values), scales, num_features
    )


def _both_ways(
    rows: IntArray, features: IntArray, values: FloatArray, scales: FloatArray, num_features: int
) -> Known:
    by_row = np.argsort(rows, kind="stable")
    # by feature, and by row within a feature
    by_feature = by_row[np.argsort(features[by_row], kind="stable")]
    squares = np.square(scales[rows], dtype=np.float64)
    if len(values):
        squares *= np.square(values)
    return Known(
        starts=_starts(rows, len(scales)),
        by_row=features[by_row],
        row_values=values[by_row] if len(values) else values,
        feature_starts=_starts(features, num_features),
        by_feature=rows[by_feature],
        feature_values=values[by_feature] if len(values) else values,
        scales=scales,
        squares=np.bincount(features, squares, num_features).astype(np.float32),
    )


def _starts(numbers: IntArray, count: int) -> IndexArray:
    return np.append(0, np.cumsum(np.bincount(numbers, minlength=count)))
