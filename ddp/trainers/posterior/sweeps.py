"""The compiled loop of several sweeps in one call: a sweep draws all users, then all items.

A worker draws the rows of its blocks. After each half of a sweep it waits until all others have
drawn theirs, because the next half needs their rows and the sums of their blocks:

    worker 0   prior | its users | wait | prior | its items | wait | precision, predictions
    worker 1   prior | its users | wait | prior | its items | wait | precision, predictions

Every worker draws the prior and the precision of the noise itself. The draws have the same key and
the same sums, so they are the same.
"""

import math

import numpy as np
from numba import types

from ddp.machine.compiled.atomics import now_ns, thread_ns
from ddp.machine.compiled.gates import OPEN, set_turn, wait_for_turn
from ddp.machine.compiled.jit import compiled
from ddp.machine.compiled.prefetching import prefetch_to_read
from ddp.machine.compiled.simd import FLOAT_BYTES, dot
from ddp.ratings.arrays import Doubles, IndexArray
from ddp.ratings.row_blocks import ITEMS, USERS
from ddp.trainers.loops import ALL, EVALUATING, WAITING, TimeArray, add_elapsed
from ddp.trainers.posterior.arguments import (
    DOUBLES2_TYPE,
    DOUBLES_TYPE,
    HALF_TYPE,
    INDEX_TYPE,
    PAIRS_TYPE,
    RULE_TYPE,
    SIDE_TYPE,
    HalfSweep,
    Pairs,
    Rule,
    Side,
)
from ddp.trainers.posterior.draws import gamma, key_of
from ddp.trainers.posterior.half import (
    NOISE,
    begin_half,
    begin_known,
    draw_known,
    end_known,
    finish_half,
)
from ddp.trainers.posterior.priors import add_up
from ddp.trainers.posterior.weight_arguments import PASS_TYPE, Pass

PLACES = 4  # more than any outcome of a wait
STEPS = 3  # phases of a half of a sweep; those of its weights are left out if nothing is known
PRECISION_PRIOR = 1.0  # shape and rate of the gamma prior of the precision
SUMS_TYPE = types.Array(types.float64, 4, "C")
SIDES_TYPE = types.UniTuple(HALF_TYPE, 2)
PASSES_TYPE = types.UniTuple(PASS_TYPE, 2)


@compiled(
    types.UniTuple(types.float64, 2)(
        HALF_TYPE, types.int64, RULE_TYPE, types.float64, types.int64, DOUBLES2_TYPE
    ),
    calls=(add_up, gamma, key_of),
)
def draw_precision(
    items: HalfSweep,
    sweep: int,
    rule: Rule,
    precision: float,
    num_ratings: int,
    sums: Doubles,
) -> tuple[float, float]:
    """The precision of the noise after a sweep, and the squared error on all training ratings.

    `sums`: those of all blocks of items after the sweep. The error of a rating counts by the trusts
    of its user and item. `precision`: the one of the sweep.
    """
    add_up(sums, items.total)
    error = items.total[0]
    if rule.noise == 0:
        return precision, error
    state = np.array([key_of(rule.key, sweep, ITEMS, NOISE)])
    drawn: float = gamma(state, PRECISION_PRIOR + num_ratings / 2) / (PRECISION_PRIOR + error / 2)
    return drawn, error


@compiled(types.void(SIDE_TYPE, SIDE_TYPE, types.float32, types.float32, types.float32, PAIRS_TYPE))
def add_predictions(
    users: Side,
    items: Side,
    mean: np.float32,
    rating_min: np.float32,
    rating_max: np.float32,
    pairs: Pairs,
) -> None:
    """Adds the prediction of each pair, clipped to the rating scale, to its sum."""
    dim = users.factors.shape[1]
    row_bytes = dim * FLOAT_BYTES
    first_user, first_item = users.factors.ctypes.data, items.factors.ctypes.data
    last = pairs.users.shape[0] - 1
    for n in range(pairs.users.shape[0]):
        later = np.int64(pairs.items[min(n + 8, last)])
        prefetch_to_read(first_item + later * row_bytes)
        user, item = np.int64(pairs.users[n]), np.int64(pairs.items[n])
        prediction = dot(first_user + user * row_bytes, first_item + item * row_bytes, dim)
        prediction += mean + users.bias[user] + items.bias[item]
        pairs.predictions[n] += min(max(prediction, rating_min), rating_max)


@compiled(types.int64(INDEX_TYPE, types.int64, types.int64, types.int64))
def wait_for_all(counters: IndexArray, own: int, phase: int, timeout_ns: int) -> int:
    """Says that this worker is done with a phase, and waits until all others are.

    Returns OPEN, LATE or CLOSED (gates.py), the last two with PLACES times the place of the worker
    that it waited for added.
    """
    set_turn(counters, own, phase)
    for place in range(counters.shape[0] - 1):
        outcome = wait_for_turn(counters, place, phase, timeout_ns)
        if outcome != OPEN:
            return outcome + PLACES * place
    return OPEN


@compiled(
    types.int64(
        *(HALF_TYPE, PASS_TYPE, types.int64, types.int64, RULE_TYPE, types.float32),
        *(types.float32, DOUBLES2_TYPE, DOUBLES2_TYPE, INDEX_TYPE, types.int64, types.int64),
        types.Array(types.int64, 2, "C"),
    ),
    calls=(begin_half, begin_known, draw_known, end_known, finish_half, add_elapsed),
)
def half_in_phases(
    half: HalfSweep,
    passed: Pass,
    sweep: int,
    side: int,
    rule: Rule,
    mean: np.float32,
    precision: np.float32,
    before: Doubles,
    after: Doubles,
    counters: IndexArray,
    own: int,
    timeout_ns: int,
    times_ns: TimeArray,
) -> int:
    """Does a half of a sweep with all others in step; returns the outcome of the last wait."""
    phase = STEPS * (2 * sweep + side)
    begin_half(half, sweep, side, rule, before)
    if passed.weights.lines.shape[0] > 0:
        begin_known(half, passed)
        for step in range(1, STEPS):
            began, began_on_core = now_ns(), thread_ns()
            outcome = wait_for_all(counters, own, phase + step, timeout_ns)
            add_elapsed(times_ns, WAITING, began, began_on_core)
            if outcome != OPEN:
                return outcome
            if step == 1:
                draw_known(half, passed, sweep, side, rule)
        end_known(half, passed, sweep, side, rule)
    finish_half(half, sweep, side, rule, mean, precision, after)
    began, began_on_core = now_ns(), thread_ns()
    outcome = wait_for_all(counters, own, phase + STEPS, timeout_ns)
    add_elapsed(times_ns, WAITING, began, began_on_core)
    return outcome


@compiled(
    types.Tuple((types.int64, types.float64))(
        *(SIDES_TYPE, PASSES_TYPE, SUMS_TYPE, types.Array(types.float64, 3, "C"), PAIRS_TYPE),
        *(PAIRS_TYPE, RULE_TYPE, types.float32, types.float32, types.float32),
        *(types.float64, types.int64, INDEX_TYPE, types.int64, types.int64, types.int64),
        *(types.int64, types.int64, DOUBLES_TYPE, types.Array(types.int64, 2, "C")),
    ),
    calls=(add_elapsed,),
)
def sweep_in_phases(
    halves: tuple[HalfSweep, HalfSweep],
    passes: tuple[Pass, Pass],
    sums: Doubles,
    initial: Doubles,
    valid: Pairs,
    test: Pairs,
    rule: Rule,
    mean: np.float32,
    rating_min: np.float32,
    rating_max: np.float32,
    precision: float,
    num_ratings: int,
    counters: IndexArray,
    own: int,
    first: int,
    number: int,
    burn_in: int,
    timeout_ns: int,
    precisions: Doubles,
    times_ns: TimeArray,
) -> tuple[int, float]:
    """Does the sweeps `first` to `first` + `number` - 1, with all others in step.

    | argument      | meaning                                                                  |
    |---------------|--------------------------------------------------------------------------|
    | `sums`        | of all blocks: (side, parity of the sweep, block, sum)                   |
    | `initial`     | those before `first`: (side, block, sum); empty if `sums` has them       |
    | `num_ratings` | the training ratings of all workers                                      |
    | `counters`    | the last phase that each worker has done (gates.py); `own`: this one's   |
    | `burn_in`     | predictions count from this sweep on                                     |
    | `precision`   | of the noise in the first sweep                                          |

    It writes the precision after each sweep to `precisions`. Returns the outcome of the last wait,
    and the squared error of the last sweep.
    """
    outcome, error = OPEN, math.nan
    wall, on_core = now_ns(), thread_ns()
    for sweep in range(first, first + number):
        before, after = sweep % 2, (sweep + 1) % 2
        for side in range(2):
            known = sums[side, before]
            if sweep == first and initial.shape[0] > 0:
                known = initial[side]
            outcome = half_in_phases(
                halves[side],
                passes[side],
                sweep,
                side,
                rule,
                mean,
                np.float32(precision),
                known,
                sums[side, after],
                counters,
                own,
                timeout_ns,
                times_ns,
            )
            if outcome != OPEN:
                add_elapsed(times_ns, ALL, wall, on_core)
                return outcome, error
        precision, error = draw_precision(
            halves[ITEMS], sweep, rule, precision, num_ratings, sums[ITEMS, after]
        )
        precisions[sweep - first] = precision
        if sweep >= burn_in:
            began, began_on_core = now_ns(), thread_ns()
            users, items = halves[USERS].own, halves[ITEMS].own
            add_predictions(users, items, mean, rating_min, rating_max, valid)
            add_predictions(users, items, mean, rating_min, rating_max, test)
            add_elapsed(times_ns, EVALUATING, began, began_on_core)
    add_elapsed(times_ns, ALL, wall, on_core)
    return outcome, error
