"""Workers that share memory wait for each other: in turn, in time, and not after the end."""

import threading

import numpy as np
import pytest

from ddp.errors import Stopped
from ddp.machine.compiled.gates import Gates

DEADLINE_S = 60.0


def together(*functions):
    """Runs each function in a thread of its own to the end."""
    threads = [threading.Thread(target=function, daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize("workers", [2, 5])
def test_each_turn_sees_all_that_was_written_before(workers):
    gates, turns = Gates(np.zeros(4, np.int64)), 2000
    total = np.zeros(1000)
    seen = []

    def take_turns(worker):
        for turn in range(worker, turns, workers):
            assert gates.wait(1, turn, DEADLINE_S)
            seen.append(set(total))
            total[:] += 1
            gates.open(1, turn + 1)

    together(*(lambda worker=worker: take_turns(worker) for worker in range(workers)))
    assert seen == [{turn} for turn in range(turns)]


def test_a_turn_that_does_not_come_is_given_up():
    gates = Gates(np.zeros(3, np.int64))
    gates.open(0, 1)
    assert not gates.wait(1, 1, 0.0)
    assert not gates.wait(1, 1, 0.01)
    assert gates.wait(0, 1, 0.0)


def test_what_is_closed_ends_every_wait():
    gates, ended = Gates(np.zeros(3, np.int64)), []

    def wait(thing):
        try:
            gates.wait(thing, 1, 3600)
        except Stopped:
            ended.append(thing)

    together(lambda: wait(0), lambda: wait(1), gates.close)
    assert sorted(ended) == [0, 1]
