"""Workers that die in shared memory or with rows of others are named."""

import pytest
from in_workers import in_workers
from jobs import BACKENDS

from ddp.errors import WorkerError
from ddp.experiment import run
from ddp.tracking.messages import Started
from ddp.tracking.tracker import Tracker
from ddp.workers.stratified import StratifiedWorker

DIES_IN_MID_COPY = """
import os, signal
import ddp.backends.shm as shm

publish = shm.ShmExchange.publish

class Halves:
    def __getattr__(self, name):
        return getattr(numpy, name)
    def copyto(self, to, what):
        to[: len(to) // 2] = what[: len(to) // 2]
        os.kill(os.getpid(), signal.SIGKILL)

def publishing(exchange, update):
    global numpy
    if (update.worker, update.round_index) == (1, 1):
        numpy, shm.np = shm.np, Halves()
    publish(exchange, update)

shm.ShmExchange.publish = publishing
"""


@pytest.mark.parametrize("method", ["forkserver", pytest.param("spawn", marks=pytest.mark.slow)])
def test_a_worker_killed_in_the_middle_of_a_copy_is_named_and_the_last_aggregate_is_whole(
    make_config, driven, tmp_path, reference_vector, method
):
    config = make_config(
        *("backend=shm", f"backend.directory={tmp_path}", f"backend.start_method={method}"),
        *("workers=2", "rounds=3", "round_timeout=3600", "agg_timeout=3600"),
    )
    attempt = driven(config, jobs=in_workers(DIES_IN_MID_COPY))
    with pytest.raises(
        WorkerError, match=r"^worker 1 in round 2 \(publish\): the process died \(signal SIGKILL\)$"
    ):
        attempt.run()
    assert [vector.tobytes() for vector in attempt.vectors] == [reference_vector]
    assert list(tmp_path.iterdir()) == []


DIES_WITH_ROWS = """
import os, signal
from ddp.workers.stratified import StratifiedWorker

keep = StratifiedWorker._keep

def dying(worker, turn, round_index):
    if (worker.job.worker, turn) == (1, 11):
        os.kill(os.getpid(), signal.SIGKILL)
    keep(worker, turn, round_index)

StratifiedWorker._keep = dying
"""


@pytest.mark.parametrize(
    "backend", ["shm", "process", pytest.param("process spawned", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("trainer", ["fused", "autograd"])  # each has its own server
def test_a_worker_killed_with_rows_that_others_wait_for_is_named(
    make_config, driven, backend, trainer
):
    config = make_config(
        *(
            *BACKENDS[backend],
            "split=stratified",
            "aggregation=none",
            "workers=3",
            "rounds=3",
            "local_epochs=2",
        ),
        *(f"trainer={trainer}", "round_timeout=3600", "agg_timeout=3600"),
    )
    with pytest.raises(
        WorkerError, match=r"^worker 1 in round 2 \(compute\): the process died \(signal SIGKILL\)$"
    ):
        driven(config, jobs=in_workers(DIES_WITH_ROWS)).run()


@pytest.mark.parametrize("trainer", ["fused", "autograd"])
def test_a_thread_that_fails_with_rows_that_others_wait_for_is_named(
    make_config, drive, monkeypatch, trainer
):
    keep = StratifiedWorker._keep

    def failing(worker, turn, round_index):
        if (worker.job.worker, turn) == (1, 11):
            raise RuntimeError("made up")
        keep(worker, turn, round_index)

    monkeypatch.setattr(StratifiedWorker, "_keep", failing)
    options = (
        *("backend=thread", "split=stratified", "aggregation=none"),
        *("workers=3", "rounds=3", "local_epochs=2"),
    )
    with pytest.raises(
        WorkerError, match=r"^worker 1 in round 2 \((compute|evaluate)\): RuntimeError: made up"
    ):
        drive(make_config(*options, f"trainer={trainer}", "round_timeout=3600"))


@pytest.fixture(scope="module")
def reference_vector(make_config, drive):
    return drive(make_config("backend=serial", "workers=2", "rounds=1")).vectors[0].tobytes()


class Interrupts(Tracker):
    def on(self, event):
        if isinstance(event, Started):
            raise KeyboardInterrupt


def test_an_interrupted_run_leaves_nothing(make_config, tmp_path, leaks):
    """When the first of three workers has started, the segment still has its name."""
    (tmp_path / "memory").mkdir()
    config = make_config("backend=shm", "rounds=1000", f"backend.directory={tmp_path / 'memory'}")
    with leaks(), pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "run", [Interrupts()])
    assert list((tmp_path / "memory").iterdir()) == []
