"""How far workers are that need rows of each other: one counter per group of items, or per worker.

| split      | a counter for       | it has                                                |
|------------|---------------------|-------------------------------------------------------|
| stratified | each group of items | the turn of the group                                 |
| both       | each worker         | the last phase that the worker has done               |

One counter more ends all waits (ddp/machine/compiled/gates.py).
"""

import math
from collections.abc import Sequence

import numpy as np

from ddp.model.sweeping import PHASES
from ddp.ratings.arrays import IndexArray
from ddp.workers.job import Task


def counters_of(task: Task) -> IndexArray | None:
    """The counters before the first round; None if workers need no rows of each other."""
    first = task.first_round
    if task.strata is not None:
        number, start = task.strata.num_workers, task.strata.first_turn(first)
    elif task.sweeping is not None:
        number, start = task.sweeping.blocks.num_workers, PHASES * first * task.config.local_epochs
    else:
        return None
    return np.array([start] * number + [0], np.int64)


def last_of(task: Task, counters: IndexArray, absent: Sequence[int]) -> int:
    """The worker that the other absent ones wait for.

    With split=stratified a worker that waits holds no rows of items, so it is the one that holds
    those of the oldest turn. With split=both it is the one that has done the fewest phases.
    """
    values = counters[:-1].tolist()
    if task.sweeping is not None:
        place = task.sweeping.blocks.place
        return min(absent, key=lambda worker: values[place(worker)])
    assert task.strata is not None
    holders = {task.strata.holder(group, turn): turn for group, turn in enumerate(values)}
    return min(absent, key=lambda worker: holders.get(worker, math.inf))
