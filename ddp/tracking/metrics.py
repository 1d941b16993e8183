"""Errors of predictions, and the facts about ranked lists.

An error is kept as (sum of squares, count) until somebody prints it, because RMSEs of workers
cannot be averaged; sums and counts can be added.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # tables of results need no numpy
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class SquaredError:
    """The sum of squared errors over `count` ratings, in rating units squared."""

    total: float = 0.0
    count: int = 0

    def __add__(self, other: "SquaredError") -> "SquaredError":
        return SquaredError(self.total + other.total, self.count + other.count)

    @property
    def mse(self) -> float:
        """Mean squared error; NaN over no ratings."""
        return self.total / self.count if self.count else math.nan

    @property
    def rmse(self) -> float:
        """Root mean squared error; NaN over no ratings."""
        return math.sqrt(self.mse)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """The ranked lists behind ranking metrics; see ddp/results/ranking.py.

    | field           | meaning                                                                |
    |-----------------|------------------------------------------------------------------------|
    | `users`         | number of users whose lists count                                      |
    | `without`       | number of users with test ratings of which none is relevant            |
    | `left_out`      | number of users beyond the most that are ranked                        |
    | `relevant_from` | the lowest relevant rating                                             |
    | `most_popular`  | the same metrics, if items with more training ratings come first       |
    """

    users: int
    without: int
    left_out: int
    relevant_from: float
    most_popular: Mapping[str, float]


def squared_error(
    predictions: "npt.NDArray[np.float32]", ratings: "npt.NDArray[np.float32]"
) -> SquaredError:
    """The squared error of `predictions` against `ratings`, both (n,), accumulated in float64."""
    difference = predictions.astype("float64") - ratings
    return SquaredError(float(difference @ difference), len(difference))
