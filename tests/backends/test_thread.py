"""Threads that fail or are stopped end, and each failure names its round."""

import threading

import numpy as np
import pytest
import torch
from jobs import DEADLINE_S, backend_of
from threads import after_tell, patch_epoch

from ddp.errors import WorkerError
from ddp.trainers.trainer import stepping_trainer


def test_a_failure_in_a_later_round_names_that_round(make_config, driven, monkeypatch, mode):
    def fail(number):
        if number == 5:
            raise ZeroDivisionError("in epoch 5")

    attempt = driven(make_config("rounds=4", "local_epochs=2", *mode))
    patch_epoch(monkeypatch, attempt.jobs, 1, fail)
    with pytest.raises(
        WorkerError, match=r"^worker 1 in round 3 \(compute\): ZeroDivisionError: in epoch 5"
    ) as caught:
        attempt.run()
    assert len(attempt.vectors) == 2
    assert caught.value.remote_traceback.rstrip().endswith("ZeroDivisionError: in epoch 5")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_ends_without_a_word_is_noticed(make_config, driven, monkeypatch):
    def leave(number):
        raise SystemExit(3)

    attempt = driven(make_config("backend=thread", "round_timeout=2"))
    patch_epoch(monkeypatch, attempt.jobs, 1, leave)
    with pytest.raises(
        WorkerError, match=r"^worker 1 in round 1 \(compute\): (?!nothing was heard)"
    ):
        attempt.run()


def test_stop_ends_workers_that_wait(make_config, mode):
    backend = backend_of(make_config("agg_timeout=3600", *mode))
    backend.start()
    try:
        backend.gather(0, DEADLINE_S)
        assert all(thread.is_alive() for thread in backend.threads.values())
    finally:
        backend.stop()
    assert not any(thread.is_alive() for thread in backend.threads.values())
    assert backend.shared == {}


def test_stop_ends_workers_that_train(make_config, mode):
    first = threading.Event()
    backend = backend_of(make_config("local_epochs=1000000", *mode))
    after_tell(backend, lambda message: first.set())
    backend.start()
    try:
        assert first.wait(DEADLINE_S)
    finally:
        backend.stop()
    assert not any(thread.is_alive() for thread in backend.threads.values())


def test_workers_compute_with_the_torch_threads_of_the_config(make_config, monkeypatch, tmp_path):
    from ddp.experiment import run

    seen = []

    def making(options, *rest, **more):
        seen.append((threading.current_thread().name, torch.get_num_threads()))
        return stepping_trainer(options)(options, *rest, **more)

    monkeypatch.setattr("ddp.workers.worker.stepping_trainer", lambda options: making)
    run(make_config("torch_threads=3", "backend=thread"), tmp_path / "run", [])
    assert sorted(seen) == [("worker-0", 3), ("worker-1", 3), ("worker-2", 3)]


def test_all_workers_start_from_the_same_state_and_leave_it_alone(make_config, drive):
    starts = []
    run = drive(
        make_config("backend=thread"),
        jobs=lambda jobs: starts.append(jobs[0].vector.copy()) or jobs,
    )
    assert all(np.array_equal(job.vector, starts[0]) for job in run.jobs)


def test_a_thread_that_cannot_be_started_is_the_error_that_is_seen(make_config, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    backend = backend_of(make_config("backend=thread"))
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            backend.start()
    backend.stop()
