"""Several epochs in one compiled call: the loops around `sgd` that wait, evaluate and keep the best
state.
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


VALID, TEST = 0, 1  # in `held_out_errors`
# rows of `times_ns` (a copy is part of evaluating), ...
ALL, WAITING, EVALUATING, COPYING = 0, 1, 2, 3
WALL, ON_CORE = 0, 1  # ... and its columns


@compiled(types.void(types.Array(types.int64, 2, "C"), types.int64, types.int64, types.int64))
def add_elapsed(times_ns: TimeArray, on: int, wall_ns: int, on_core_ns: int) -> None:
    """Adds what has gone by since these readings of the two clocks."""
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
    """`sgd` on one block after another, each when its turn comes (see gates.py), in as many epochs
    as there are `lrs`.

    Gives the OPEN, LATE or CLOSED of the last wait, and the turn that it was for.

    Passes each block on when it is done, but not the last one of a round. In the last epoch of a
    round it also takes the squared errors on the blocks of validation and test ratings. Adds to the
    errors, those of training by epoch, and to `times_ns`, and writes the wait for each turn.
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
    """`sgd` in as many epochs as there are `lrs`; copies the parameters to `best` after each whose
    RMSE on the held-out ratings is below all before, and below `best_rmse`. Gives the last one
    of these, or -1, and the lowest RMSE.

    `parameters`: the vector that the model's arrays are views of. Writes the squared errors of each
    epoch to `train_errors`, and adds to `times_ns`.
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
