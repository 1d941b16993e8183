"""Averaging, as pure functions: vectors and weights in, one vector out."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ddp.errors import AggregationError
from ddp.options import Aggregation, SoftmaxAggregation
from ddp.parameters import Vector

Weights = npt.NDArray[np.float64]

BLOCK = 1 << 15  # floats averaged at a time: the float64 accumulator (256 KiB) stays in the second-level cache


def uniform(num_ratings: Sequence[int], losses: Sequence[float], options: Aggregation) -> Weights:
    """Every worker counts the same."""
    return np.ones(len(num_ratings))


def samples(num_ratings: Sequence[int], losses: Sequence[float], options: Aggregation) -> Weights:
    """By the number of training ratings (FedAvg; McMahan et al., AISTATS 2017, algorithm 1)."""
    return np.asarray(num_ratings, np.float64)


def inverse_loss(num_ratings: Sequence[int], losses: Sequence[float], options: Aggregation) -> Weights:
    """By 1 / loss, as the design document does."""
    with np.errstate(divide="ignore"):
        return 1.0 / np.asarray(losses, np.float64)


def softmax_loss(num_ratings: Sequence[int], losses: Sequence[float], options: Aggregation) -> Weights:
    """By softmax(-loss / temperature)."""
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


def worker_weights(options: Aggregation, num_ratings: Sequence[int], losses: Sequence[float]) -> Weights:
    """One weight per worker, summing to 1, from its number of training ratings and its published loss.

    Raises AggregationError, naming the worker, for a weight that is zero, negative, infinite or NaN.
    """
    weights = WEIGHTINGS[options.name](num_ratings, losses, options)
    for worker, weight in enumerate(weights):
        if not (np.isfinite(weight) and weight > 0):
            hint = "; its model has diverged: try a smaller trainer.lr"
            if np.isfinite(losses[worker]):
                hint = "; try a larger aggregation.temperature" if options.name == "softmax_loss" else ""
            raise AggregationError(
                f"worker {worker} has weight {weight} under aggregation={options.name} (loss {losses[worker]},"
                f" {num_ratings[worker]} ratings); weights must be finite and above zero{hint}"
            )
    normalised: Weights = weights / weights.sum()
    return normalised


def weighted_mean(vectors: Sequence[Vector], weights: Weights) -> Vector:
    """sum_w weights[w] * vectors[w] / sum_w weights[w], float32 (n,), accumulated in float64 in worker order.

    The order is fixed so that every backend gives the same bits. Works block by block: no temporary has the size of a
    vector. Raises AggregationError for unequal shapes, and names the first worker whose vector is not finite.
    """
    length = len(vectors[0])
    if any(vector.shape != (length,) for vector in vectors) or len(weights) != len(vectors):
        raise AggregationError(f"cannot average vectors of shapes {[v.shape for v in vectors]} with {len(weights)} weights")
    shares = weights / weights.sum()
    mean = np.empty(length, np.float32)
    accumulator = np.empty(min(BLOCK, length), np.float64)
    term = np.empty_like(accumulator)
    with np.errstate(invalid="ignore", over="ignore"):  # looked for afterwards
        for start in range(0, length, BLOCK):
            stop = min(start + BLOCK, length)
            block, part = accumulator[: stop - start], term[: stop - start]
            np.multiply(vectors[0][start:stop], shares[0], out=block)
            for vector, share in zip(vectors[1:], shares[1:], strict=True):
                np.multiply(vector[start:stop], share, out=part)
                block += part
            mean[start:stop] = block
    if not np.isfinite(mean).all():
        worker = next((w for w, vector in enumerate(vectors) if not np.isfinite(vector).all()), None)
        culprit = "the mean overflows float32" if worker is None else f"worker {worker} published a state with NaN or infinity"
        raise AggregationError(f"{culprit}; try a smaller trainer.lr")
    return mean
