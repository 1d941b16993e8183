"""Compiled random numbers: draws one after another from one stream, and the keys of streams."""

import math

import numpy as np
import numpy.typing as npt
from numba import types

from ddp.machine.compiled.jit import compiled
from ddp.trainers.posterior.arguments import STATE_TYPE

Stream = npt.NDArray[np.uint64]  # one number: its state


@compiled(types.uint64(types.uint64))
def mixed(state: np.uint64) -> np.uint64:
    """The output of splitmix64 for a state (Steele, Lea, Flood, OOPSLA 2014)."""
    state += np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


@compiled(types.uint64(types.uint64, types.int64, types.int64, types.int64))
def key_of(key: np.uint64, sweep: int, side: int, draw: int) -> np.uint64:
    """The key of a draw of a side in a sweep; half.py has the numbers of the draws."""
    return mixed(key ^ mixed(np.uint64((sweep * 2 + side) * 8 + draw)))


@compiled(types.float64(STATE_TYPE))
def uniform(state: Stream) -> float:
    """A number above 0 and below 1."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    return (np.float64(mixed(state[0]) >> np.uint64(11)) + 0.5) / 9007199254740992.0


@compiled(types.float64(STATE_TYPE))
def normal(state: Stream) -> float:
    """A standard normal number (Box and Muller 1958)."""
    radius = math.sqrt(-2 * math.log(uniform(state)))
    return radius * math.cos(2 * math.pi * uniform(state))


@compiled(types.float64(STATE_TYPE, types.float64))
def gamma(state: Stream, shape: float) -> float:
    """A number of the gamma distribution with this shape (at least 1/2) and scale 1.

    Source: Marsaglia and Tsang, A simple method for generating gamma variables, 2000.
    """
    boost = 1.0
    if shape < 1:
        boost = uniform(state) ** (1 / shape)
        shape += 1
    d = shape - 1 / 3
    c = 1 / math.sqrt(9 * d)
    while True:
        x = normal(state)
        v = (1 + c * x) ** 3
        if v > 0 and math.log(uniform(state)) < 0.5 * x * x + d - d * v + d * math.log(v):
            return d * v * boost
