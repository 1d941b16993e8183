"""Threads that hang until their test ends, and the run without a fault."""

import threading

import pytest
from faults import RELEASED
from faulty_jobs import JOB, SPLITS
from jobs import DEADLINE_S


@pytest.fixture(autouse=True)
def _let_go(monkeypatch):
    """Threads that hang end with their test. Until then the end of a run waits for them briefly."""
    monkeypatch.setattr("ddp.backends.thread.STOP_GRACE_S", 0.1)
    RELEASED.clear()
    yield
    RELEASED.set()
    for thread in threading.enumerate():
        if thread.name.startswith("worker-"):
            thread.join(DEADLINE_S)


@pytest.fixture(scope="module")
def whole(make_config, drive):
    """The aggregates of the run without a fault, round by round."""
    runs = {}

    def of(split):
        if split not in runs:
            done = drive(make_config("backend=serial", *JOB, *SPLITS[split]))
            runs[split] = [done.prepared.in_data_order(vector) for vector in done.vectors]
        return runs[split]

    return of
