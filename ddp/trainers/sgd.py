"""The compiled kernels of the fused trainer: one epoch of SGD, the squared error, the visit order.

They release the GIL. They do not check their indices; `check_indices` in kernel_arguments.py does.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from ddp.machine.compiled.jit import compiled
from ddp.machine.compiled.prefetching import prefetch
from ddp.machine.compiled.simd import FLOAT_BYTES, descend, dot
from ddp.model.parameters import Vector
from ddp.ratings.arrays import FloatArray, IndexArray, IntArray

AHEAD = 8  # a kernel prefetches the rows of a rating so many ratings before it
LINE_BYTES = 64  # a cache line

FACTORS_TYPE = types.Array(types.float32, 2, "C")
VECTOR_TYPE = types.Array(types.float32, 1, "C")
IDS_TYPE = types.Array(types.int32, 1, "C", readonly=True)
RATINGS_TYPE = types.Array(types.float32, 1, "C", readonly=True)
PLACES_TYPE = types.Array(types.int64, 1, "C")
MODEL_TYPE = (FACTORS_TYPE, FACTORS_TYPE, VECTOR_TYPE, VECTOR_TYPE, VECTOR_TYPE)
FLOAT_TYPE = types.float32

SeedArray = npt.NDArray[np.uint64]


class Columns(NamedTuple):
    """The ratings of a worker, block by block.

    Block b has the rows bounds[b] .. bounds[b + 1] of the other three arrays.
    """

    users: IntArray
    items: IntArray
    ratings: FloatArray
    bounds: IndexArray


class Chunks(NamedTuple):
    """The chunks of ratings of each block (see visits.py).

    | part | has |
    |---|---|
    | chunk c | the rows starts[c] .. stops[c] of the ratings |
    | block b | grids[b] x grids[b] cells |
    | cell n of block b | the chunks edges[first[b] + n] .. edges[first[b] + n + 1] |
    """

    starts: IndexArray
    stops: IndexArray
    edges: IndexArray
    first: IndexArray
    grids: IndexArray


COLUMNS_TYPE = types.NamedTuple((IDS_TYPE, IDS_TYPE, RATINGS_TYPE, PLACES_TYPE), Columns)
CHUNKS_TYPE = types.NamedUniTuple(PLACES_TYPE, 5, Chunks)
SEEDS_TYPE = types.Array(types.uint64, 1, "C")
SUMS_TYPE = types.Array(types.float64, 1, "C")


@compiled(
    types.float64(
        *MODEL_TYPE,
        IDS_TYPE,
        IDS_TYPE,
        RATINGS_TYPE,
        PLACES_TYPE,
        PLACES_TYPE,
        FLOAT_TYPE,
        FLOAT_TYPE,
        FLOAT_TYPE,
    )
)
def sgd(
    user_factors: Vector,
    item_factors: Vector,
    user_bias: Vector,
    item_bias: Vector,
    global_mean: Vector,
    users: IntArray,
    items: IntArray,
    ratings: FloatArray,
    starts: IndexArray,
    stops: IndexArray,
    lr: np.float32,
    reg_factors: np.float32,
    reg_biases: np.float32,
) -> float:
    """Trains one epoch of stochastic gradient descent, in place on the parameters.

    It visits the chunks starts[c] .. stops[c] of the ratings, one after another. For each rating
    with error e (Koren, Bell, Volinsky, IEEE Computer 2009, p. 45; for the biases Paterek, KDD Cup
    2007):

        p += lr * (e * q - reg_factors * p)
        q += lr * (e * p - reg_factors * q)     both from the values before
        b += lr * (e - reg_biases * b)          for both biases, if the model has them

    The global mean stays as it is. Returns the sum of e^2 of all steps.
    """
    dim = user_factors.shape[1]
    row_bytes = dim * FLOAT_BYTES
    first_user, first_item = user_factors.ctypes.data, item_factors.ctypes.data
    columns = (users.ctypes.data, items.ctypes.data, ratings.ctypes.data)
    biased = user_bias.shape[0] > 0
    keep_factors = np.float32(1) - lr * reg_factors
    keep_biases = np.float32(1) - lr * reg_biases
    mean = global_mean[0]
    total = 0.0
    last_chunk = starts.shape[0] - 1
    for c in range(starts.shape[0]):
        start, stop = starts[c], stops[c]
        # Chunks come in random order, so the hardware cannot guess where the next one begins.
        following = starts[min(c + 1, last_chunk)] * FLOAT_BYTES
        for offset in range(0, (stop - start) * FLOAT_BYTES, LINE_BYTES):
            for column in columns:
                prefetch(column + following + offset)
        for n in range(start, stop):
            later = min(n + AHEAD, stop - 1)
            later_user = first_user + np.int64(users[later]) * row_bytes
            later_item = first_item + np.int64(items[later]) * row_bytes
            for offset in range(0, row_bytes, LINE_BYTES):
                prefetch(later_user + offset)
                prefetch(later_item + offset)
            user, item = np.int64(users[n]), np.int64(items[n])
            user_row, item_row = first_user + user * row_bytes, first_item + item * row_bytes
            error = ratings[n] - dot(user_row, item_row, dim) - mean
            if biased:
                error -= user_bias[user] + item_bias[item]
            total += error * error
            step = lr * error
            descend(user_row, item_row, dim, keep_factors, step)
            if biased:
                user_bias[user] = keep_biases * user_bias[user] + step
                item_bias[item] = keep_biases * item_bias[item] + step
    return total


@compiled(types.float64(*MODEL_TYPE, IDS_TYPE, IDS_TYPE, RATINGS_TYPE, FLOAT_TYPE, FLOAT_TYPE))
def squared_error(
    user_factors: Vector,
    item_factors: Vector,
    user_bias: Vector,
    item_bias: Vector,
    global_mean: Vector,
    users: IntArray,
    items: IntArray,
    ratings: FloatArray,
    rating_min: np.float32,
    rating_max: np.float32,
) -> float:
    """The sum of squared errors of the model's predictions, clipped to the rating scale.

    A NaN among the predictions makes the sum NaN.
    """
    dim = user_factors.shape[1]
    row_bytes = dim * FLOAT_BYTES
    first_user, first_item = user_factors.ctypes.data, item_factors.ctypes.data
    biased = user_bias.shape[0] > 0
    last = users.shape[0] - 1
    total = 0.0
    for n in range(users.shape[0]):
        later = min(n + AHEAD, last)
        later_user = first_user + np.int64(users[later]) * row_bytes
        later_item = first_item + np.int64(items[later]) * row_bytes
        for offset in range(0, row_bytes, LINE_BYTES):
            prefetch(later_user + offset)
            prefetch(later_item + offset)
        user, item = np.int64(users[n]), np.int64(items[n])
        prediction = (
            dot(first_user + user * row_bytes, first_item + item * row_bytes, dim) + global_mean[0]
        )
        if biased:
            prediction += user_bias[user] + item_bias[item]
        if prediction < rating_min:
            prediction = rating_min
        elif prediction > rating_max:
            prediction = rating_max
        difference = np.float64(prediction) - np.float64(ratings[n])
        total += difference * difference
    return total


@compiled(types.UniTuple(types.uint64, 2)(types.uint64, types.int64))
def draw(state: np.uint64, below: int) -> tuple[np.uint64, np.uint64]:
    """A random number from 0 to below - 1 (below < 2^32), and the next state of the generator.

    The generator is splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators,
    OOPSLA 2014, fig. 17).
    """
    state += np.uint64(0x9E3779B97F4A7C15)
    z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return ((z >> np.uint64(32)) * np.uint64(below)) >> np.uint64(32), state


@compiled(types.int64(CHUNKS_TYPE, types.int64, types.uint64, PLACES_TYPE, PLACES_TYPE))
def shuffle(
    chunks: Chunks, block: int, seed: np.uint64, starts: IndexArray, stops: IndexArray
) -> int:
    """Writes the chunks of a block in random order to `starts` and `stops`; returns their number.

    It shuffles the ranges of the first kind, within each the cells, and within each cell the chunks
    (Fisher-Yates; visits.py has the terms).
    """
    grid = chunks.grids[block]
    edges = chunks.edges[chunks.first[block] :]
    outer, inner = np.arange(grid), np.arange(grid)
    state = seed
    length = 0
    for i in range(grid):
        other, state = draw(state, grid - i)
        j = i + np.int64(other)
        outer[i], outer[j] = outer[j], outer[i]
        for k in range(grid):
            other, state = draw(state, grid - k)
            j = k + np.int64(other)
            inner[k], inner[j] = inner[j], inner[k]
            cell = outer[i] * grid + inner[k]
            first, end = edges[cell], edges[cell + 1]
            # Inside out: each chunk takes a random place, and the chunk there goes to the end.
            for c in range(first, end):
                other, state = draw(state, c - first + 1)
                j = length + np.int64(other)
                here = length + c - first
                starts[here], stops[here] = starts[j], stops[j]
                starts[j], stops[j] = chunks.starts[c], chunks.stops[c]
            length += end - first
    return length
