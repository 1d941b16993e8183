"""How workers that share memory pass things on, without the GIL, a lock or a pipe: one counter for
   each thing.

Whoever wants a thing in turn t waits until its counter is t, and makes it t + 1 when it is done
with it. So only the one whose turn it is writes the counter: after all that it wrote in that turn,
which whoever has read the counter sees.

A wait may be for 10 us or for 10 s: at first it spins, then it lets others have the core, then it
sleeps.
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

SPINS = 500  # looks in a row, less than a microsecond ...
# ... then each after others had the core, then each after a nap: of 50 us, and every time 10 us
# more, ...
YIELDS = 100
# ... up to this for every worker, or those of many that wait would leave no core to those that work
MOST_US = 20
OPEN, LATE, CLOSED = 0, 1, 2  # how a wait ends

Counters = npt.NDArray[np.int64]

_COUNTERS = types.Array(types.int64, 1, "C")


@compiled(types.boolean(_COUNTERS, types.int64, types.int64))
def is_turn(counters: Counters, thing: int, turn: int) -> bool:
    """Whether it is this turn of the thing already."""
    is_it: bool = load_acquire(counters.ctypes.data + thing * LONG_BYTES) == turn
    return is_it


@compiled(types.int64(_COUNTERS, types.int64, types.int64, types.int64))
def wait_for_turn(counters: Counters, thing: int, turn: int, timeout_ns: int) -> int:
    """OPEN when the counter of the thing is `turn`, LATE if it is not in time, CLOSED if nothing
    more will come.
    """
    address = counters.ctypes.data + thing * LONG_BYTES
    closed = counters.ctypes.data + (counters.shape[0] - 1) * LONG_BYTES
    for _ in range(SPINS):
        if load_acquire(address) == turn:
            return OPEN
    deadline = now_ns() + timeout_ns
    looks, nap_us = 0, 50
    longest_us = MOST_US * counters.shape[0]
    while load_acquire(address) != turn:
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
def set_turn(counters: Counters, thing: int, turn: int) -> None:
    """Lets whoever waits for this turn have the thing."""
    store_release(counters.ctypes.data + thing * LONG_BYTES, turn)


class Gates:
    """`counters`: int64 (things + 1,), in memory that all workers share: the first turn of each
    thing, and at last a zero, which becomes 1 when all is over.
    """

    def __init__(self, counters: Counters) -> None:
        self.counters = counters

    def wait(self, thing: int, turn: int, timeout_s: float) -> bool:
        """Waits for our turn; False after `timeout_s`. Raises Stopped if it will not come."""
        outcome = wait_for_turn(self.counters, thing, turn, round(timeout_s * 1e9))
        if outcome == CLOSED:
            raise Stopped
        return outcome == OPEN

    def open(self, thing: int, turn: int) -> None:
        """We are done with the thing: its next turn may begin."""
        set_turn(self.counters, thing, turn)

    def close(self) -> None:
        """The run is over: ends every wait."""
        set_turn(self.counters, len(self.counters) - 1, 1)
