"""A manager that is dead, or stopped, so that workers would wait for it without end."""

import multiprocessing
import os
import signal

import numpy as np
import psutil
import pytest

from ddp.errors import BackendError, WorkerError
from ddp.experiment import run
from ddp.tracking.messages import AggregateRound
from ddp.tracking.tracker import Tracker

OPTIONS = (
    *("backend=process", "backend.start_method=forkserver"),
    *("trainer=fused", "workers=2", "rounds=1000", "agg_timeout=3600"),
)


class Does(Tracker):
    """Sends a signal to the manager's process after the second aggregate."""

    def __init__(self, number):
        self.number = number

    def on(self, event):
        if isinstance(event, AggregateRound) and event.round_index == 1:
            (manager,) = (
                child
                for child in multiprocessing.active_children()
                if not child.name.startswith("worker-")
            )
            os.kill(manager.pid, self.number)


@pytest.mark.parametrize("polling", ["null", "0.001"])
@pytest.mark.parametrize("split", ["split=iid", "split=stratified"])
@pytest.mark.parametrize(
    ("number", "reason"), [(signal.SIGKILL, ""), (signal.SIGSTOP, "did not answer for ")]
)
def test_a_run_ends_with_its_manager(
    make_config, monkeypatch, tmp_path, number, reason, split, polling
):
    timeout = "round_timeout=3600"
    # The run waits so long for a manager that is stopped; others answer within milliseconds.
    if number == signal.SIGSTOP:
        timeout = "round_timeout=1"
        monkeypatch.setattr("ddp.backends.process.MANAGER_GRACE_S", 1.0)
    options = (
        *OPTIONS,
        split,
        "aggregation=uniform",
        timeout,
        f"backend.poll_interval_s={polling}",
    )
    with pytest.raises((BackendError, WorkerError)) as caught:
        run(make_config(*options), tmp_path / "run", [Does(number)])
    # The worker that asks a dead manager first may be the one that reports it.
    if reason:
        assert isinstance(caught.value, BackendError)
        assert reason in str(caught.value)
    else:
        assert any(
            word in str(caught.value)
            for word in ("manager's process died", "EOFError", "ConnectionResetError", "BrokenPipe")
        )


def test_one_that_is_stopped_does_not_keep_the_end_waiting(make_config):
    from ddp.backends.manager import ManagerStore

    manager = ManagerStore(multiprocessing.get_context("forkserver"), 60.0, lambda: 0)
    before = set(multiprocessing.active_children())
    manager.start()
    manager["key"] = np.zeros(3)
    (process,) = set(multiprocessing.active_children()) - before
    pid = process.pid
    os.kill(pid, signal.SIGSTOP)
    manager.stop()
    assert not psutil.pid_exists(pid)
