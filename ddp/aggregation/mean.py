"""Averaging, as pure functions: vectors and weights in, one vector out."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from numba import types

from ddp.aggregation.weights import Weights
from ddp.errors import AggregationError
from ddp.machine.compiled.jit import compiled
from ddp.machine.compiled.simd import FLOAT_BYTES, weighted_sum
from ddp.machine.memory import num_cores
from ddp.model.parameters import Parameters, Vector
from ddp.ratings.arrays import IndexArray

# not for less than this, 2 ms of memory traffic: to start and end a thread takes 0.3 ms
THREAD_FLOATS = 1 << 22
LARGEST = np.finfo(np.float32).max


def weighted_mean(
    vectors: Sequence[Vector],
    weights: Weights,
    out: Vector | None = None,
    workers: Sequence[int] | None = None,
) -> Vector:
    """sum_w weights[w] * vectors[w] / sum_w weights[w], float32 (n,), accumulated in float64 in
    worker order.

    One pass over the vectors, on all cores if they are long; written into `out` if given. The order
    of the sum is fixed, so that every backend gives the same bits. Raises AggregationError for
    unequal shapes, and names the first worker whose vector is not finite (`workers`: which they
    are; None: all, counted from 0).
    """
    addresses = _addresses(vectors, len(weights))
    length = len(vectors[0])
    mean = np.empty(length, np.float32) if out is None else out
    shares = weights / weights.sum()
    bounds = (
        np.linspace(0, length, max(1, min(num_cores(), length // THREAD_FLOATS)) + 1)
        .astype(int)
        .tolist()
    )
    ranges = list(pairwise(bounds))
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
    """Of float32 vectors, contiguous as everywhere here. Raises AggregationError if they are not as
    many, or unequal.
    """
    shapes = [vector.shape for vector in vectors]
    if len(set(shapes)) > 1 or len(vectors) != expected:
        raise AggregationError(f"cannot average vectors of shapes {shapes} with {expected} weights")
    if not all(vector.dtype == np.float32 and vector.flags.c_contiguous for vector in vectors):
        raise ValueError("expected contiguous float32 vectors")
    return np.array([vector.ctypes.data for vector in vectors])


def not_finite(worker: int) -> AggregationError:
    """What to say of a worker whose vector must not be averaged."""
    return AggregationError(
        f"worker {worker} published a state with NaN or infinity; try a smaller trainer.lr", worker
    )


def _culprit(vectors: Sequence[Vector], workers: Sequence[int] | None) -> AggregationError:
    for worker, vector in zip(
        range(len(vectors)) if workers is None else workers, vectors, strict=True
    ):
        if not np.isfinite(vector).all():
            return not_finite(worker)
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
    """mean[start:stop] of the float32 vectors at `addresses`, without the GIL; whether all of it is
    finite.
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
    """row r = sum_w weights[r, w] * (row r of worker w), the factors and bias of each user and
    item; into `out`.

    Accumulated in float64 in worker order, so that every backend gives the same bits. Rows whose
    weights are all zero, and the global mean, are those of `before`. Raises AggregationError,
    naming the first worker whose vector is not finite (`workers`: which they are; None: all,
    counted from 0).
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
    """Rows of `width` floats from `start` on in `mean`, those with weights, without the GIL;
    whether all of it is finite.
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
