"""Workers that fail in every way and at every moment, on every backend.

Each is the real loop over an exchange that misbehaves.
"""

import os
import signal
import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ddp.tracking.messages import EpochDone, Started

CULPRIT = 1
RELEASED = threading.Event()  # lets a thread that hangs go, at the end of its test


def hang():
    RELEASED.wait()


def raise_it():
    raise RuntimeError("a fault")


def leave():
    raise SystemExit(3)


def send_self(number):
    os.kill(os.getpid(), number)
    threading.Event().wait()  # the signal may take a moment


DEEDS = {
    "exception": raise_it,
    "sys.exit": leave,
    "hang": hang,
    "os._exit": partial(os._exit, 3),
    "SIGKILL": partial(send_self, signal.SIGKILL),
    "SIGSEGV": partial(send_self, signal.SIGSEGV),
}
STATES = ("NaN", "unpicklable")  # of what is published
DEADLY = ("os._exit", "SIGKILL", "SIGSEGV")  # for the whole process
MOMENTS = ("start", "first epoch", "publishing", "waiting", "last round")


@dataclass
class Fault:
    """The fault of worker 1, which happens once at that moment.

    Publishing and waiting are those of round 1. `marker` is a file that says that it has happened.
    """

    kind: str
    moment: str
    marker: Path
    last_round: int

    def due(self, moment, round_index):
        rounds = {
            "start": None,
            "first epoch": 0,
            "publishing": 1,
            "waiting": 1,
            "last round": self.last_round,
        }
        if (moment, round_index) != (self.moment, rounds[self.moment]):
            return False
        try:
            self.marker.touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def wrap(self, worker, exchange):
        return Faulty(self, exchange) if worker == CULPRIT else exchange


class Faulty:
    """Worker 1's end of a backend."""

    def __init__(self, fault, exchange):
        self._fault = fault
        self._exchange = exchange
        self._heard_in = None  # the round of its last message

    def __getattr__(self, name):
        return getattr(self._exchange, name)

    def _may_fail(self, moment, round_index):
        if self._fault.kind in DEEDS and self._fault.due(moment, round_index):
            DEEDS[self._fault.kind]()

    def tell(self, message):
        if isinstance(message, Started):
            self._may_fail("start", None)
        if isinstance(message, EpochDone) and message.round_index != self._heard_in:
            self._heard_in = message.round_index
            moment = (
                "last round" if message.round_index == self._fault.last_round else "first epoch"
            )
            self._may_fail(moment, message.round_index)
        self._exchange.tell(message)

    def publish(self, update):
        self._may_fail("publishing", update.round_index)
        if self._fault.kind in STATES and self._fault.due("publishing", update.round_index):
            update.vector = (
                np.full_like(update.vector, np.nan) if self._fault.kind == "NaN" else NotAState()
            )
        self._exchange.publish(update)

    def wait(self, round_index, timeout_s):
        self._may_fail("waiting", round_index)
        return self._exchange.wait(round_index, timeout_s)


class NotAState:
    """An object that can neither be copied nor pickled."""

    def __reduce__(self):
        raise TypeError("cannot be sent")

    def copy(self):
        raise TypeError("cannot be copied")


def infect(monkeypatch, fault):
    """From now on every backend of a run has this worker 1."""
    import ddp.experiment

    make_backend = ddp.experiment.make_backend

    def make(*given):
        backend = make_backend(*given)
        backend.wrap = fault.wrap
        return backend

    monkeypatch.setattr(ddp.experiment, "make_backend", make)


def run_infected(fault, config, directory):
    """The main process of a run with this worker 1, for deaths that its parent must survive."""
    import pytest

    from ddp.experiment import run

    with pytest.MonkeyPatch.context() as monkeypatch:
        infect(monkeypatch, fault)
        run(config, directory, [])
