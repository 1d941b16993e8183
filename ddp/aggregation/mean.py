"""Averages states: pure functions from vectors and weights to one vector."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from numba import types

from ddp.aggregation.weights import Weights
from ddp.errors import AggregationError
from ddp.machine.compiled.jit import compiled
from ddp.machine.compiled.simd import FLOAT_BYTES, weighted_sum
from ddp.machine.cores import num_cores
from ddp.model.parameters import Parameters, Vector
from ddp.ratings.arrays import IndexArray

# The fewest floats that are worth a thread. They take 2 ms through RAM; the start and the end of a
# thread take 0.3 ms.
THREAD_FLOATS = 1 << 22


def weighted_mean(
    vectors: Sequence[Vector],
    weights: Weights,
    out: Vector | None = None,
    workers: Sequence[int] | None = None,
) -> Vector:
    """The weighted mean of the vectors, float32 (n,), in `out` if it is given.

        mean = sum_w weights[w] * vectors[w] / sum_w weights[w]

    It adds in float64 in the order of the workers, so every backend gives the same bits. It reads
    the vectors once, on all cores if they are long. `workers`: the workers of the vectors; None:
    all, counted from 0.

    Raises AggregationError for unequal shapes, or for the first worker whose vector is not finite.
    """
    addresses = _addresses(vectors, len(weights))
    length = len(vectors[0])
    mean = np.empty(length, np.float32) if out is None else out
    shares = weights / weights.sum()
    num_threads = max(1, min(num_cores(), length // THREAD_FLOATS))
    ranges = list(pairwise(np.linspace(0, length, num_threads + 1).astype(int).tolist()))
    if len(ranges) == 1:
        finite = [mean_of_range(addresses, shares, mean, *ranges[0])]
    else:
        with ThreadPoolExecutor(len(ranges)) as threads:
            finite = list(
                threads.map(lambda bounds: mean_of_range(addresses, shares, mean, *bounds), ranges)
            )
    if not all(finite):
        raise _culprit(vectors, workers)
    return mean


def _addresses(vectors: Sequence[Vector], expected: int) -> IndexArray:
    """The addresses of contiguous float32 vectors.

    Raises AggregationError if their number is not `expected` or their shapes differ, ValueError for
    arrays of another kind.
    """
    shapes = [vector.shape for vector in vectors]
    if len(set(shapes)) > 1 or len(vectors) != expected:
        raise AggregationError(f"cannot average vectors of shapes {shapes} with {expected} weights")
    if not all(vector.dtype == np.float32 and vector.flags.c_contiguous for vector in vectors):
        raise ValueError("expected contiguous float32 vectors")
    return np.array([vector.ctypes.data for vector in vectors])


def _culprit(vectors: Sequence[Vector], workers: Sequence[int] | None) -> AggregationError:
    """The error for a mean that is not finite: it names the first such worker, or an overflow."""
    for worker, vector in zip(
        range(len(vectors)) if workers is None else workers, vectors, strict=True
    ):
        if not np.isfinite(vector).all():
            return AggregationError.not_finite(worker)
    return AggregationError("the mean overflows float32; try a smaller trainer.lr")


@compiled(
    types.boolean(
        types.Array(types.int64, 1, "C"),
        types.Array(types.float64, 1, "C"),
        types.Array(types.float32, 1, "C"),
        types.int64,
        types.int64,
    )
)
def mean_of_range(
    addresses: IndexArray, shares: Weights, mean: Vector, start: int, stop: int
) -> bool:
    """Writes mean[start:stop] of the float32 vectors at `addresses`, without the GIL.

    Returns True if all of it is finite.
    """
    count, offset, length = len(addresses), start * FLOAT_BYTES, stop - start
    finite: bool = weighted_sum(
        addresses.ctypes.data, shares.ctypes.data, count, offset, mean.ctypes.data, length
    )
    return finite


def mean_by_row(
    vectors: Sequence[Vector],
    users: Weights,
    items: Weights,
    before: Parameters,
    out: Vector,
    workers: Sequence[int] | None = None,
) -> None:
    """Writes into `out` a mean in which each user and each item has weights of its own.

        row r = sum_w weights[r, w] * (row r of worker w)

    A row is the factors and the bias of a user or an item. Rows without weights, and the global
    mean, stay as in `before`. It adds in float64 in the order of the workers, so every backend
    gives the same bits.

    | argument | meaning |
    |---|---|
    | `users`, `items` | the weights, float64 (rows, workers) |
    | `workers` | the workers of the vectors; None: all, counted from 0 |

    Raises AggregationError for the first worker whose vector is not finite.
    """
    addresses = _addresses([before.vector, *vectors], users.shape[1] + 1)[1:]
    np.copyto(out, before.vector)
    finite, start = True, 0
    for name, view in before.views.items():
        if name != "global_mean":
            weights = users if name.startswith("user_") else items
            finite &= mean_of_rows(addresses, weights, out, start, view.size // len(view))
        start += view.size
    if not finite:
        raise _culprit(vectors, workers)


@compiled(
    types.boolean(
        types.Array(types.int64, 1, "C"),
        types.Array(types.float64, 2, "C"),
        types.Array(types.float32, 1, "C"),
        types.int64,
        types.int64,
    )
)
def mean_of_rows(
    addresses: IndexArray, weights: Weights, mean: Vector, start: int, width: int
) -> bool:
    """Writes the mean of rows of `width` floats into `mean`, from `start` on, without the GIL.

    It leaves rows without weights as they are. Returns True if all that it writes is finite.
    """
    count = len(addresses)
    finite = True
    for row in range(weights.shape[0]):
        share = weights[row]
        if share.max() > 0:
            offset = (start + row * width) * FLOAT_BYTES
            finite &= weighted_sum(
                addresses.ctypes.data, share.ctypes.data, count, offset, mean.ctypes.data, width
            )
    return finite
