"""Compiled loops of several epochs in one call, around the kernel `sgd`.

| loop | split | besides training it |
|---|---|---|
| `sgd_in_turns` | stratified | waits for turns, evaluates at the end of a round, passes rows on |
| `sgd_selecting` | all others | evaluates after each epoch, and keeps the best state |
"""

import math

import numpy as np
import numpy.typing as npt
from numba import types

from ddp.machine.compiled.atomics import now_ns, thread_ns
from ddp.machine.compiled.gates import OPEN, is_turn, set_turn, wait_for_turn
from ddp.machine.compiled.jit import compiled
from ddp.model.parameters import Vector
from ddp.ratings.arrays import IndexArray
from ddp.trainers.sgd import (
    CHUNKS_TYPE,
    COLUMNS_TYPE,
    FLOAT_TYPE,
    MODEL_TYPE,
    PLACES_TYPE,
    SEEDS_TYPE,
    SUMS_TYPE,
    VECTOR_TYPE,
    Chunks,
    Columns,
    SeedArray,
    sgd,
    shuffle,
    squared_error,
)

Sums = npt.NDArray[np.float64]
TimeArray = npt.NDArray[np.int64]

VALID, TEST = 0, 1  # places in `held_out_errors`
ALL, WAITING, EVALUATING, COPYING = 0, 1, 2, 3  # rows of `times_ns`, see timing/loop_times.py
WALL, ON_CORE = 0, 1  # columns of `times_ns`


@compiled(types.void(types.Array(types.int64, 2, "C"), types.int64, types.int64, types.int64))
def add_elapsed(times_ns: TimeArray, on: int, wall_ns: int, on_core_ns: int) -> None:
    """Adds to row `on` the time since these readings of the two clocks, in nanoseconds."""
    times_ns[on, WALL] += now_ns() - wall_ns
    times_ns[on, ON_CORE] += thread_ns() - on_core_ns


@compiled(
    types.UniTuple(types.int64, 2)(
        *MODEL_TYPE,
        *(COLUMNS_TYPE, COLUMNS_TYPE, COLUMNS_TYPE, CHUNKS_TYPE, PLACES_TYPE, PLACES_TYPE),
        *(PLACES_TYPE, SEEDS_TYPE, PLACES_TYPE, types.int64, types.int64, types.boolean),
        *(VECTOR_TYPE, FLOAT_TYPE, FLOAT_TYPE, FLOAT_TYPE, FLOAT_TYPE, SUMS_TYPE, SUMS_TYPE),
        *(PLACES_TYPE, types.Array(types.int64, 2, "C")),
    ),
    calls=(sgd, squared_error, shuffle),
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
    times_ns: TimeArray,
) -> tuple[int, int]:
    """Runs `sgd` on one block after another, each in its turn (see gates.py).

    It does one epoch per learning rate in `lrs`. It passes each block on after its turn, except for
    the last turn of a round. In the last epoch of a round it evaluates the blocks of both held-out
    parts.

    | argument | the kernel |
    |---|---|
    | `blocks`, `seeds` | reads the block and the seed of each turn |
    | `counters` | reads and writes the turn of each group; waits at most `timeout_ns` for one |
    | `train_errors` | adds squared errors, by epoch |
    | `held_out_errors` | adds squared errors on validation (VALID) and test ratings (TEST) |
    | `waited_ns` | writes the nanoseconds that it waited for each turn |
    | `times_ns` | adds nanoseconds, in the rows and columns named above |

    Returns the outcome of the last wait (OPEN, LATE or CLOSED) and the turn that it was for.
    """
    outcome, turn = OPEN, first_turn
    wall, on_core = now_ns(), thread_ns()
    num_turns, num_epochs = blocks.shape[0], lrs.shape[0]
    for n in range(num_turns):
        block, turn = blocks[n], first_turn + n
        epoch = n * num_epochs // num_turns
        # A turn without a wait reads no clock here: the thread's clock takes a system call.
        if not is_turn(counters, block, turn):
            began, began_on_core = now_ns(), thread_ns()
            outcome = wait_for_turn(counters, block, turn, timeout_ns)
            waited_ns[n] = now_ns() - began
            add_elapsed(times_ns, WAITING, began, began_on_core)
            if outcome != OPEN:
                break
        count = shuffle(chunks, block, seeds[n], starts, stops)
        model = (user_factors, item_factors, user_bias, item_bias, global_mean)
        ratings = (train.users, train.items, train.ratings)
        train_errors[epoch] += sgd(
            *model, *ratings, starts[:count], stops[:count], lrs[epoch], reg_factors, reg_biases
        )
        if ends_round and epoch == num_epochs - 1:
            began, began_on_core = now_ns(), thread_ns()
            for kind, part in ((VALID, valid), (TEST, test)):
                here = slice(part.bounds[block], part.bounds[block + 1])
                columns = (part.users[here], part.items[here], part.ratings[here])
                held_out_errors[kind] += squared_error(*model, *columns, rating_min, rating_max)
            add_elapsed(times_ns, EVALUATING, began, began_on_core)
        if not (ends_round and n == num_turns - 1):
            set_turn(counters, block, turn + 1)
    add_elapsed(times_ns, ALL, wall, on_core)
    return outcome, turn


@compiled(
    types.Tuple((types.int64, types.float64))(
        *MODEL_TYPE,
        *(
            VECTOR_TYPE,
            VECTOR_TYPE,
            COLUMNS_TYPE,
            COLUMNS_TYPE,
            CHUNKS_TYPE,
            PLACES_TYPE,
            PLACES_TYPE,
        ),
        *(
            SEEDS_TYPE,
            VECTOR_TYPE,
            FLOAT_TYPE,
            FLOAT_TYPE,
            FLOAT_TYPE,
            FLOAT_TYPE,
            types.float64,
            SUMS_TYPE,
            types.Array(types.int64, 2, "C"),
        ),
    ),
    calls=(sgd, squared_error, shuffle),
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
    times_ns: TimeArray,
) -> tuple[int, float]:
    """Runs `sgd` for one epoch per learning rate in `lrs`, and keeps the best state.

    After an epoch it copies `parameters` to `best` if the RMSE on the held-out ratings is below
    `best_rmse` and all before. `parameters` is the vector that the model's arrays are views of. It
    writes the squared errors of each epoch to `train_errors`, and adds to `times_ns`.

    Returns the best epoch (-1: none was better) and the lowest RMSE.
    """
    best_epoch = -1
    num_held_out = held_out.ratings.shape[0]
    wall, on_core = now_ns(), thread_ns()
    model = (user_factors, item_factors, user_bias, item_bias, global_mean)
    for epoch in range(lrs.shape[0]):
        count = shuffle(chunks, 0, seeds[epoch], starts, stops)
        ratings = (train.users, train.items, train.ratings)
        train_errors[epoch] = sgd(
            *model, *ratings, starts[:count], stops[:count], lrs[epoch], reg_factors, reg_biases
        )
        if num_held_out > 0:
            began, began_on_core = now_ns(), thread_ns()
            columns = (held_out.users, held_out.items, held_out.ratings)
            rmse = math.sqrt(squared_error(*model, *columns, rating_min, rating_max) / num_held_out)
            if rmse < best_rmse:
                best_rmse, best_epoch = rmse, epoch
                copying = now_ns()
                best[:] = parameters
                times_ns[COPYING, WALL] += now_ns() - copying
            add_elapsed(times_ns, EVALUATING, began, began_on_core)
    add_elapsed(times_ns, ALL, wall, on_core)
    return best_epoch, best_rmse
