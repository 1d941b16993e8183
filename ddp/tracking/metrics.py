"""Errors of predictions, kept as (sum of squares, count) until somebody prints them.

RMSEs of workers cannot be averaged; sums and counts can be added.
"""

import math
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


def squared_error(
    predictions: "npt.NDArray[np.float32]", ratings: "npt.NDArray[np.float32]"
) -> SquaredError:
    """The squared error of `predictions` against `ratings`, both (n,), accumulated in float64."""
    difference = predictions.astype("float64") - ratings
    return SquaredError(float(difference @ difference), len(difference))
