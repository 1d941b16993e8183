"""Threads that hang until their test ends, and the run without a fault."""

import threading
from dataclasses import replace

import pytest
from faults import RELEASED
from faulty_jobs import JOB, ROUNDS, SPLITS, bits
from jobs import DEADLINE_S

from ddp.experiment import run


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
def whole(make_config, tmp_path_factory):
    """`whole(split)`: the models of the run without a fault, as its files hold them by round."""
    models = {}

    def of(split):
        if split not in models:
            config = make_config("backend=serial", *JOB, *SPLITS[split])
            models[split] = []
            for rounds in range(1, ROUNDS + 1):
                directory = tmp_path_factory.mktemp("whole") / "run"
                run(replace(config, rounds=rounds), directory, [])
                models[split].append(bits(directory))
        return models[split]

    return of
