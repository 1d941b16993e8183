"""The weight of each worker in the mean: pure functions from counts and losses."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ddp.config.aggregation import Aggregation, SoftmaxAggregation
from ddp.counting import counted
from ddp.errors import AggregationError
from ddp.ratings.arrays import IndexArray

Weights = npt.NDArray[np.float64]


def uniform(num_ratings: Sequence[int], losses: Sequence[float], options: Aggregation) -> Weights:
    """Equal weights."""
    return np.ones(len(num_ratings))


def samples(num_ratings: Sequence[int], losses: Sequence[float], options: Aggregation) -> Weights:
    """The numbers of training ratings (FedAvg; McMahan et al., AISTATS 2017, algorithm 1)."""
    return np.asarray(num_ratings, np.float64)


def inverse_loss(
    num_ratings: Sequence[int], losses: Sequence[float], options: Aggregation
) -> Weights:
    """1 / loss, as in the seed systems."""
    with np.errstate(divide="ignore"):
        return 1.0 / np.asarray(losses, np.float64)


def softmax_loss(
    num_ratings: Sequence[int], losses: Sequence[float], options: Aggregation
) -> Weights:
    """exp(-loss / temperature), up to a common factor."""
    assert isinstance(options, SoftmaxAggregation)
    scaled = -np.asarray(losses, np.float64) / options.temperature
    weights: Weights = np.exp(scaled - np.max(scaled))
    return weights


WEIGHTINGS: dict[str, Callable[[Sequence[int], Sequence[float], Aggregation], Weights]] = {
    "uniform": uniform,
    "samples": samples,
    "inverse_loss": inverse_loss,
    "softmax_loss": softmax_loss,
}


def worker_weights(
    options: Aggregation,
    num_ratings: Sequence[int],
    losses: Sequence[float],
    workers: Sequence[int] | None = None,
) -> Weights:
    """One weight per worker, float64 (workers,), summing to 1.

    | argument | meaning |
    |---|---|
    | `num_ratings` | the training ratings of each worker |
    | `losses` | the loss that each worker published |
    | `workers` | the numbers of these workers; None: all, counted from 0 |

    Raises AggregationError for the first worker whose weight is zero, negative, infinite or NaN.
    """
    weights = WEIGHTINGS[options.name](num_ratings, losses, options)
    names = range(len(weights)) if workers is None else workers
    for worker, weight, loss, ratings in zip(names, weights, losses, num_ratings, strict=True):
        if not (np.isfinite(weight) and weight > 0):
            hint = "; its model has diverged: try a smaller trainer.lr"
            if np.isfinite(loss):
                hint = (
                    "; try a larger aggregation.temperature"
                    if options.name == "softmax_loss"
                    else ""
                )
            raise AggregationError(
                f"worker {worker} has weight {weight} under aggregation={options.name} (loss"
                f" {loss},"
                f" {counted(ratings, 'rating')}); weights must be finite and above zero{hint}",
                worker,
            )
    normalised: Weights = weights / weights.sum()
    return normalised


def row_weights(counts: Sequence[IndexArray], power: float) -> Weights:
    """The weight of each worker in each row, float64 (rows, workers); each row sums to 1.

    `counts`: per worker, its number of training ratings of each user (or item). The weights are
    proportional to counts ** power; a worker without ratings of a row has weight 0 there.

    | `power` | gives the same weight to |
    |---|---|
    | 1 | each rating of the row |
    | 0 | each worker with a rating of the row (FedSubAvg; Ding et al., 2021) |

    A row without any ratings is all zeros.
    """
    matrix = np.ascontiguousarray(np.array(counts, np.float64).T)
    matrix /= np.maximum(matrix.max(axis=1, keepdims=True), 1)  # without it, a power may overflow
    return normalised(np.where(matrix > 0, matrix**power, 0.0))


def normalised(weights: Weights) -> Weights:
    """The weights with rows that sum to 1; rows of zeros stay zeros."""
    total = weights.sum(axis=1, keepdims=True)
    out: Weights = np.zeros(weights.shape)
    np.divide(weights, total, out=out, where=total > 0)
    return out
