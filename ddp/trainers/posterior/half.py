"""Compiled kernels of a half of a sweep: all that a worker does to draw its rows of a side.

| step          | draws                                          | needs of the other workers |
|---------------|------------------------------------------------|----------------------------|
| `begin_half`  | the prior of the side, the spread of its trust | the sums of their blocks   |
| `begin_known` | nothing: it makes residuals                    | weights of their features  |
| `draw_known`  | the weights of the worker's columns            | residuals of their rows    |
| `end_known`   | the strength of the prior of the weights       | residuals in their columns |
| `finish_half` | the worker's rows, and their trusts            | nothing                    |

The three in the middle are for a side about whose rows something is known.
"""

import numpy as np
from numba import types

from ddp.machine.compiled.jit import compiled
from ddp.ratings.arrays import Doubles
from ddp.trainers.posterior.arguments import (
    DOUBLES2_TYPE,
    HALF_TYPE,
    RULE_TYPE,
    HalfSweep,
    Rule,
)
from ddp.trainers.posterior.draws import key_of
from ddp.trainers.posterior.priors import add_blocks, add_up, draw_prior, lay_out
from ddp.trainers.posterior.rows import draw_rows
from ddp.trainers.posterior.trusts import draw_spread, draw_trusts, find_errors
from ddp.trainers.posterior.weight_arguments import PASS_TYPE, Pass
from ddp.trainers.posterior.weights import begin_pass, draw_weights, end_pass, set_roots

PRIOR, ROWS, NOISE, WEIGHTS, STRENGTH, TRUSTS, SPREAD = range(7)  # draws, for their keys
FIRST_TRUSTS = 4  # the sweep from which on trusts are drawn: before, errors say little


@compiled(
    types.void(HALF_TYPE, types.int64, types.int64, RULE_TYPE, DOUBLES2_TYPE),
    calls=(add_up, draw_prior, lay_out, key_of, draw_spread),
)
def begin_half(half: HalfSweep, sweep: int, side: int, rule: Rule, before: Doubles) -> None:
    """Draws what all rows have in common.

    `before`: the sums of all blocks of the side after the sweep before.
    """
    if rule.noise == 0:
        return
    number = half.own.bias.shape[0]
    add_up(before, half.total)
    draw_prior(half.total, number, key_of(rule.key, sweep, side, PRIOR), half.prior)
    lay_out(half.prior)
    if rule.trusts > 0 and sweep > FIRST_TRUSTS:
        draw_spread(half.spread, half.total, number, key_of(rule.key, sweep, side, SPREAD))


@compiled(types.void(HALF_TYPE, PASS_TYPE), calls=(set_roots, begin_pass))
def begin_known(half: HalfSweep, passed: Pass) -> None:
    """Makes the residuals of the worker's rows, and turns the weights of its features."""
    set_roots(passed.weights, half.prior)
    first, stop = half.bounds[half.blocks[0]], half.bounds[half.blocks[1]]
    features = passed.shares
    begin_pass(
        passed.known,
        passed.weights,
        half.own,
        half.prior,
        first,
        stop,
        features[0],
        features[1],
    )


@compiled(
    types.void(HALF_TYPE, PASS_TYPE, types.int64, types.int64, RULE_TYPE),
    calls=(draw_weights, key_of),
)
def draw_known(half: HalfSweep, passed: Pass, sweep: int, side: int, rule: Rule) -> None:
    """Draws the weights of the worker's columns."""
    key = key_of(rule.key, sweep, side, WEIGHTS)
    size, shares = half.prior.mean.shape[0], passed.shares
    draw_weights(passed.known, passed.weights, size, shares[2], shares[3], key)


@compiled(
    types.void(HALF_TYPE, PASS_TYPE, types.int64, types.int64, RULE_TYPE), calls=(end_pass, key_of)
)
def end_known(half: HalfSweep, passed: Pass, sweep: int, side: int, rule: Rule) -> None:
    """Makes the prior means of the worker's rows, and the weights of its features."""
    first, stop = half.bounds[half.blocks[0]], half.bounds[half.blocks[1]]
    features = passed.shares
    key = key_of(rule.key, sweep, side, STRENGTH)
    end_pass(
        passed.weights,
        half.own,
        half.prior,
        first,
        stop,
        features[0],
        features[1],
        key,
        half.terms,
    )


@compiled(
    types.void(
        *(HALF_TYPE, types.int64, types.int64, RULE_TYPE, types.float32, types.float32),
        DOUBLES2_TYPE,
    ),
    calls=(key_of, draw_rows, find_errors, draw_trusts, add_blocks),
)
def finish_half(
    half: HalfSweep,
    sweep: int,
    side: int,
    rule: Rule,
    mean: np.float32,
    precision: np.float32,
    after: Doubles,
) -> None:
    """Makes the worker's rows. `after`: gets the sums of its blocks. `mean`: the mean rating."""
    if half.offset.shape[0] == 0:
        half.right[0, : half.prior.right.shape[0]] = half.prior.right
        half.terms[:] = 0
    first, stop = half.blocks[0], half.blocks[1]
    draw_rows(
        half.ratings,
        half.bounds[first],
        half.own,
        half.other,
        mean,
        precision,
        half.prior,
        half.right,
        Rule(rule.noise, rule.weighted, rule.trusts, key_of(rule.key, sweep, side, ROWS)),
        half.terms,
        half.memory,
    )
    find_errors(half, precision)
    if rule.trusts > 0 and sweep >= FIRST_TRUSTS:
        draw_trusts(half, precision, key_of(rule.key, sweep, side, TRUSTS))
    add_blocks(half.own, half.offset, half.bounds, first, stop, half.errors, after)
