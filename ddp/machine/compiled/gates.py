"""Gates: how workers that share memory pass groups of rows on, without the GIL, a lock or a pipe.

Each group has a counter that says whose turn it is. A worker that wants the group in turn t waits
until the counter is t. When it is done it sets the counter to t + 1. So only the current owner
writes a counter, with release order. The others read it with acquire order, so they see everything
that the owner wrote before.

A wait may last 10 us or 10 s: at first it spins, then it gives the core to others, then it sleeps.
"""

import numpy as np
import numpy.typing as npt
from numba import types

from ddp.errors import Stopped
from ddp.machine.compiled.atomics import (
    LONG_BYTES,
    give_way,
    load_acquire,
    nap,
    now_ns,
    store_release,
)
from ddp.machine.compiled.jit import compiled

SPINS = 500  # looks in a row: less than a microsecond
YIELDS = 100  # then looks that give the core away in between; then naps of 50 us, 60 us, 70 us ...
# The longest nap, per worker. With shorter ones, many waiting workers would leave no core to those
# that compute.
MOST_US = 20
OPEN, LATE, CLOSED = 0, 1, 2  # the ways in which a wait ends

Counters = npt.NDArray[np.int64]

_COUNTERS = types.Array(types.int64, 1, "C")


@compiled(types.boolean(_COUNTERS, types.int64, types.int64))
def is_turn(counters: Counters, group: int, turn: int) -> bool:
    """True if the group is in this turn."""
    is_it: bool = load_acquire(counters.ctypes.data + group * LONG_BYTES) == turn
    return is_it


@compiled(types.int64(_COUNTERS, types.int64, types.int64, types.int64))
def wait_for_turn(counters: Counters, group: int, turn: int, timeout_ns: int) -> int:
    """Waits until the counter of the group is `turn` or more: OPEN.

    Returns LATE if that takes longer than `timeout_ns`, and CLOSED if the run ends before.
    """
    address = counters.ctypes.data + group * LONG_BYTES
    closed = counters.ctypes.data + (counters.shape[0] - 1) * LONG_BYTES
    for _ in range(SPINS):
        if load_acquire(address) >= turn:
            return OPEN
    deadline = now_ns() + timeout_ns
    looks, nap_us = 0, 50
    longest_us = MOST_US * counters.shape[0]
    while load_acquire(address) < turn:
        if load_acquire(closed) != 0:
            return CLOSED
        if now_ns() >= deadline:
            return LATE
        if looks < YIELDS:
            give_way()
        else:
            nap(nap_us)
            nap_us = max(50, min(nap_us + 10, longest_us))
        looks += 1
    return OPEN


@compiled(types.void(_COUNTERS, types.int64, types.int64))
def set_turn(counters: Counters, group: int, turn: int) -> None:
    """Gives the group to the worker that waits for this turn."""
    store_release(counters.ctypes.data + group * LONG_BYTES, turn)


class Gates:
    """The gates of the groups that workers share.

    `counters`: int64 (groups + 1,), in memory that all workers share. They begin with the first
    turn of each group; the last one is 0, and becomes 1 when the run ends.
    """

    def __init__(self, counters: Counters) -> None:
        self.counters = counters

    def wait(self, group: int, turn: int, timeout_s: float) -> bool:
        """Waits for a turn of the group; False after `timeout_s`. Raises Stopped at the end."""
        outcome = wait_for_turn(self.counters, group, turn, round(timeout_s * 1e9))
        if outcome == CLOSED:
            raise Stopped
        return outcome == OPEN

    def open(self, group: int, turn: int) -> None:
        """Lets this turn of the group begin."""
        set_turn(self.counters, group, turn)

    def close(self) -> None:
        """Ends every wait, because the run is over."""
        set_turn(self.counters, len(self.counters) - 1, 1)
