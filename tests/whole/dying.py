"""Main processes that kill themselves at a moment that the test chooses."""

import json
import multiprocessing
import os
import signal
import time

import psutil
from jobs import DEADLINE_S

from ddp.experiment import run
from ddp.tracking.messages import AggregateRound, EpochDone, Finished, Started, WorkerRound
from ddp.tracking.tracker import Tracker


class Killed(Tracker):
    """Kills its own process at an event; `step` events come before it.

    It first notes the ids of its children, and the number of rounds that it has heard of.
    """

    def __init__(self, step, note):
        self.left = step
        self.note = note
        self.num_rounds = 0

    def on(self, event):
        if isinstance(event, Started | EpochDone | WorkerRound | Finished | AggregateRound):
            self._step()
        if isinstance(event, AggregateRound):
            self.num_rounds += 1

    def _step(self):
        if self.left == 0:
            children = [child.pid for child in multiprocessing.active_children()]
            self.note.write_text(json.dumps({"orphans": children, "rounds": self.num_rounds}))
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1


def run_and_die(config, directory, step, note):
    """A main process of its own."""
    run(config, directory, [Killed(step, note)])


def run_and_die_while_writing(config, directory, call, nth):
    """The same, killed after `nth` of the system calls that write a checkpoint."""
    left = [nth]
    real = {"fsync": os.fsync, "replace": os.replace}

    def dying(name):
        def call_it(*args, **kwargs):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real[name](*args, **kwargs)

        return call_it

    setattr(os, call, dying(call))
    run(config, directory, [])


def ended(pid):
    """Whether the process has ended; a zombie has."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def with_deadline(condition):
    """Waits until the condition holds."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
