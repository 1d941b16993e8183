"""The compiled loops of the fused trainer. They hold no GIL, and trust their indices: fused.py checks those."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from ddp.machine.compiled.atomics import now_ns, thread_ns
from ddp.machine.compiled.gates import OPEN, is_turn, set_turn, wait_for_turn
from ddp.machine.compiled.jit import compiled
from ddp.machine.compiled.simd import FLOAT_BYTES, descend, dot, prefetch
from ddp.model.parameters import Vector
from ddp.ratings.arrays import FloatArray, IndexArray, IntArray

AHEAD = 8  # ratings: how early a row is asked for
LINE_BYTES = 64  # of a cache line

_FACTORS = types.Array(types.float32, 2, "C")
_VECTOR = types.Array(types.float32, 1, "C")
_IDS = types.Array(types.int32, 1, "C", readonly=True)
_RATINGS = types.Array(types.float32, 1, "C", readonly=True)
_PLACES = types.Array(types.int64, 1, "C")
_MODEL = (_FACTORS, _FACTORS, _VECTOR, _VECTOR, _VECTOR)
_FLOAT = types.float32


SeedArray = npt.NDArray[np.uint64]
Sums = npt.NDArray[np.float64]
TimeArray = npt.NDArray[np.int64]


class Columns(NamedTuple):
    """Ratings of a worker, block by block: those of block b are the rows bounds[b] .. bounds[b + 1]."""

    users: IntArray
    items: IntArray
    ratings: FloatArray
    bounds: IndexArray


class Chunks(NamedTuple):
    """The chunks of ratings of each block (see visits.py): starts[c] .. stops[c].

    Block b is cut into grids[b] x grids[b] cells; the chunks of its n-th are edges[first[b] + n] .. edges[first[b] + n + 1].
    """

    starts: IndexArray
    stops: IndexArray
    edges: IndexArray
    first: IndexArray
    grids: IndexArray


_COLUMNS = types.NamedTuple((_IDS, _IDS, _RATINGS, _PLACES), Columns)
_CHUNKS = types.NamedUniTuple(_PLACES, 5, Chunks)
_SEEDS = types.Array(types.uint64, 1, "C")
_SUMS = types.Array(types.float64, 1, "C")


@compiled(types.float64(*_MODEL, _IDS, _IDS, _RATINGS, _PLACES, _PLACES, _FLOAT, _FLOAT, _FLOAT))
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
    """One epoch of stochastic gradient descent on the parameters, in place; the sum of the squared errors seen on the way.

    Visits the chunks starts[c] .. stops[c] of the ratings one after another. Per rating, with error e (Koren, Bell,
    Volinsky 2009, p. 45; Paterek 2007 for the biases):
        p += lr * (e * q - reg_factors * p), q += lr * (e * p - reg_factors * q)     both from the values before
        b += lr * (e - reg_biases * b)
    The global mean stays, and empty biases are left out.
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


@compiled(types.float64(*_MODEL, _IDS, _IDS, _RATINGS, _FLOAT, _FLOAT))
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
    """The sum of squared errors of the model's predictions, clipped to the rating scale; a NaN stays one."""
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
        prediction = dot(first_user + user * row_bytes, first_item + item * row_bytes, dim) + global_mean[0]
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
    """A number from 0 to below - 1 (below < 2^32), and the next state. (splitmix64: Steele, Lea, Flood, OOPSLA 2014, fig. 17)"""
    state += np.uint64(0x9E3779B97F4A7C15)
    z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return ((z >> np.uint64(32)) * np.uint64(below)) >> np.uint64(32), state


@compiled(types.int64(_CHUNKS, types.int64, types.uint64, _PLACES, _PLACES))
def shuffle(chunks: Chunks, block: int, seed: np.uint64, starts: IndexArray, stops: IndexArray) -> int:
    """Writes the chunks of a block in random order to `starts` and `stops`; how many there are.

    Rows of cells in random order, in each its cells in random order, in each its chunks (Fisher-Yates each time).
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
            for c in range(first, end):  # inside out: each takes a random place among those that are there
                other, state = draw(state, c - first + 1)
                j = length + np.int64(other)
                here = length + c - first
                starts[here], stops[here] = starts[j], stops[j]
                starts[j], stops[j] = chunks.starts[c], chunks.stops[c]
            length += end - first
    return length


VALID, TEST = 0, 1  # in `held_out_errors`
ALL, WAITING, EVALUATING, COPYING = 0, 1, 2, 3  # rows of `spent_ns` (a copy is part of evaluating), ...
WALL, ON_CORE = 0, 1  # ... and its columns


@compiled(types.void(types.Array(types.int64, 2, "C"), types.int64, types.int64, types.int64))
def spend(spent_ns: TimeArray, on: int, wall_ns: int, on_core_ns: int) -> None:
    """Adds what has gone by since these readings of the two clocks."""
    spent_ns[on, WALL] += now_ns() - wall_ns
    spent_ns[on, ON_CORE] += thread_ns() - on_core_ns


@compiled(
    types.UniTuple(types.int64, 2)(
        *_MODEL,
        *(_COLUMNS, _COLUMNS, _COLUMNS, _CHUNKS, _PLACES, _PLACES),
        *(_PLACES, _SEEDS, _PLACES, types.int64, types.int64, types.boolean),
        *(_VECTOR, _FLOAT, _FLOAT, _FLOAT, _FLOAT, _SUMS, _SUMS),
        *(_PLACES, types.Array(types.int64, 2, "C")),
    )
)
def sgd_in_turns(
    user_factors: Vector,
    item_factors: Vector,
    user_bias: Vector,
    item_bias: Vector,
    global_mean: Vector,
    train: Columns,
    valid: Columns,
    test: Columns,
    chunks: Chunks,
    starts: IndexArray,
    stops: IndexArray,
    blocks: IndexArray,
    seeds: SeedArray,
    counters: IndexArray,
    first_turn: int,
    timeout_ns: int,
    ends_round: bool,
    lrs: Vector,
    reg_factors: np.float32,
    reg_biases: np.float32,
    rating_min: np.float32,
    rating_max: np.float32,
    train_errors: Sums,
    held_out_errors: Sums,
    waited_ns: IndexArray,
    spent_ns: TimeArray,
) -> tuple[int, int]:
    """`sgd` on one block after another, each when its turn comes (see gates.py), in as many epochs as there are `lrs`.

    Gives the OPEN, LATE or CLOSED of the last wait, and the turn that it was for.

    Passes each block on when it is done, but not the last one of a round. In the last epoch of a round it also takes the squared
    errors on the blocks of validation and test ratings. Adds to the errors, those of training by epoch, and to `spent_ns`, and
    writes the wait for each turn.
    """
    outcome, turn = OPEN, first_turn
    wall, on_core = now_ns(), thread_ns()
    num_turns, num_epochs = blocks.shape[0], lrs.shape[0]
    for n in range(num_turns):
        block, turn = blocks[n], first_turn + n
        epoch = n * num_epochs // num_turns
        if not is_turn(counters, block, turn):  # to read the thread's clock takes a system call
            began, began_on_core = now_ns(), thread_ns()
            outcome = wait_for_turn(counters, block, turn, timeout_ns)
            waited_ns[n] = now_ns() - began
            spend(spent_ns, WAITING, began, began_on_core)
            if outcome != OPEN:
                break
        count = shuffle(chunks, block, seeds[n], starts, stops)
        model = (user_factors, item_factors, user_bias, item_bias, global_mean)
        ratings = (train.users, train.items, train.ratings)
        train_errors[epoch] += sgd(*model, *ratings, starts[:count], stops[:count], lrs[epoch], reg_factors, reg_biases)
        if ends_round and epoch == num_epochs - 1:
            began, began_on_core = now_ns(), thread_ns()
            for kind, part in ((VALID, valid), (TEST, test)):
                here = slice(part.bounds[block], part.bounds[block + 1])
                columns = (part.users[here], part.items[here], part.ratings[here])
                held_out_errors[kind] += squared_error(*model, *columns, rating_min, rating_max)
            spend(spent_ns, EVALUATING, began, began_on_core)
        if not (ends_round and n == num_turns - 1):
            set_turn(counters, block, turn + 1)
    spend(spent_ns, ALL, wall, on_core)
    return outcome, turn


@compiled(
    types.Tuple((types.int64, types.float64))(
        *_MODEL,
        *(_VECTOR, _VECTOR, _COLUMNS, _COLUMNS, _CHUNKS, _PLACES, _PLACES),
        *(_SEEDS, _VECTOR, _FLOAT, _FLOAT, _FLOAT, _FLOAT, types.float64, _SUMS, types.Array(types.int64, 2, "C")),
    )
)
def sgd_selecting(
    user_factors: Vector,
    item_factors: Vector,
    user_bias: Vector,
    item_bias: Vector,
    global_mean: Vector,
    parameters: Vector,
    best: Vector,
    train: Columns,
    held_out: Columns,
    chunks: Chunks,
    starts: IndexArray,
    stops: IndexArray,
    seeds: SeedArray,
    lrs: Vector,
    reg_factors: np.float32,
    reg_biases: np.float32,
    rating_min: np.float32,
    rating_max: np.float32,
    best_rmse: float,
    train_errors: Sums,
    spent_ns: TimeArray,
) -> tuple[int, float]:
    """`sgd` in as many epochs as there are `lrs`; copies the parameters to `best` after each whose RMSE on the held-out ratings
    is below all before, and below `best_rmse`. Gives the last one of these, or -1, and the lowest RMSE.

    `parameters`: the vector that the model's arrays are views of. Writes the squared errors of each epoch to `train_errors`, and
    adds to `spent_ns`.
    """
    best_epoch = -1
    num_held_out = held_out.ratings.shape[0]
    wall, on_core = now_ns(), thread_ns()
    model = (user_factors, item_factors, user_bias, item_bias, global_mean)
    for epoch in range(lrs.shape[0]):
        count = shuffle(chunks, 0, seeds[epoch], starts, stops)
        ratings = (train.users, train.items, train.ratings)
        train_errors[epoch] = sgd(*model, *ratings, starts[:count], stops[:count], lrs[epoch], reg_factors, reg_biases)
        if num_held_out > 0:
            began, began_on_core = now_ns(), thread_ns()
            columns = (held_out.users, held_out.items, held_out.ratings)
            rmse = math.sqrt(squared_error(*model, *columns, rating_min, rating_max) / num_held_out)
            if rmse < best_rmse:
                best_rmse, best_epoch = rmse, epoch
                copying = now_ns()
                best[:] = parameters
                spent_ns[COPYING, WALL] += now_ns() - copying
            spend(spent_ns, EVALUATING, began, began_on_core)
    spend(spent_ns, ALL, wall, on_core)
    return best_epoch, best_rmse
