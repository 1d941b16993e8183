"""Threads: late aggregates and late workers at a moment that the test chooses."""

import threading

import numpy as np
import pytest
import torch
from jobs import backend_of, prepare

from ddp.aggregation.mean import weighted_mean
from ddp.aggregation.weights import worker_weights
from ddp.backends.make import make_backend
from ddp.backends.store import aggregate_key
from ddp.errors import WorkerError
from ddp.tracking.messages import EpochDone, Published, WorkerRound
from ddp.trainers.trainer import trainer_for

DEADLINE_S = 60.0
MODES = {"notified": "backend.poll_interval_s=null", "polling": "backend.poll_interval_s=0.001"}


@pytest.fixture(params=MODES)
def mode(request):
    return "backend=thread", MODES[request.param]


def after_tell(backend, told):
    """Calls `told(message)` after the real `tell` of a worker's message."""
    wrap = backend.wrap

    def wrapping(worker, exchange):
        exchange = wrap(worker, exchange)
        tell = exchange.tell

        def telling(message):
            tell(message)
            told(message)

        exchange.tell = telling
        return exchange

    backend.wrap = wrapping


class Rounds:
    """Lets the test wait until every worker has sent a message of `kind` for a round."""

    def __init__(self, backend, kind):
        self.told = set()
        self.changed = threading.Condition()
        self.kind = kind
        after_tell(backend, self._note)

    def _note(self, message):
        if isinstance(message, self.kind):
            with self.changed:
                self.told.add((message.worker, message.round_index))
                self.changed.notify_all()

    def wait(self, workers, round_index):
        with self.changed:
            assert self.changed.wait_for(
                lambda: {(w, round_index) for w in workers} <= self.told, DEADLINE_S
            )


def patch_epoch(monkeypatch, jobs, worker, before_epoch):
    """Calls `before_epoch(number)` in a worker before its epochs, counted over all rounds."""

    def making(options, model, train, **rest):
        trainer = trainer_for(options)(options, model, train, **rest)
        if train is jobs[worker].shard.train:
            real, number = trainer.epoch, iter(range(10**9))

            def epoch(order):
                before_epoch(next(number))
                return real(order)

            trainer.epoch = epoch
        return trainer

    monkeypatch.setattr("ddp.workers.worker.trainer_for", lambda options: making)


# --- a late aggregate ---


def test_a_worker_whose_aggregate_is_late_goes_on_with_its_own_model(
    make_config, drive, train_alone, mode
):
    config = make_config("agg_timeout=0.02", "workers=2", "rounds=3", "select_on=last", *mode)
    rounds, sizes = [], []

    def hold_back(backend):
        gave_up, broadcast = Rounds(backend, WorkerRound), backend.broadcast

        def late(round_index, vector):
            gave_up.wait(range(2), round_index)
            broadcast(round_index, vector)

        backend.broadcast = late

    def look(moment, round_index, backend):
        if moment in ("broadcast", "finish"):
            rounds.append(round_index)
            sizes.append({key for key in backend.shared if key.startswith("agg")})

    run = drive(config, prepare=hold_back, look=look)
    assert [row.aggregate_received for row in run.history.worker_rounds] == [False] * 6
    assert [row.round_index for row in run.history.worker(1)] == [0, 1, 2]
    assert all(
        not any(path.startswith("receive") for path in row.account.seconds)
        for row in run.history.worker_rounds
    )
    assert sizes == [{aggregate_key(round_index)} for round_index in rounds]

    # The reference: workers without any exchange.
    alone = [prepare(config).make_jobs()[worker] for worker in range(2)]
    for round_index, vector in enumerate(run.vectors):
        trained = [train_alone(job, round_index + 1) for job in alone]
        losses = [run.history.worker(worker)[round_index].valid.mse for worker in range(2)]
        weights = worker_weights(
            config.aggregation, [len(job.shard.train) for job in alone], losses
        )
        assert vector.tobytes() == weighted_mean(trained, weights).tobytes()


# --- a late worker ---


@pytest.mark.parametrize("late", [0, 1, 2])
def test_a_late_worker_is_named_with_its_round(make_config, monkeypatch, mode, late):
    config = make_config("rounds=3", "local_epochs=2", *mode)
    prepared, release = prepare(config), threading.Event()
    jobs = prepared.make_jobs()
    # the second epoch of round 1
    patch_epoch(monkeypatch, jobs, late, lambda number: number < 3 or release.wait(DEADLINE_S))
    backend = make_backend(prepared, jobs, lambda message: None)
    published, trained = Rounds(backend, Published), Rounds(backend, EpochDone)
    try:
        backend.start()
        updates = backend.gather(0, DEADLINE_S)
        assert [(update.worker, update.round_index) for update in updates] == [
            (0, 0),
            (1, 0),
            (2, 0),
        ]
        backend.broadcast(0, updates[0].vector)
        published.wait({0, 1, 2} - {late}, 1)
        trained.wait({late}, 1)
        told = (
            rf"^worker {late} in round 1 \(compute\): nothing was heard of it"
            r" within round_timeout=0.01 s\n"
        )
        with pytest.raises(WorkerError, match=told) as caught:
            backend.gather(1, 0.01)
        assert "release.wait(DEADLINE_S)" in caught.value.remote_traceback  # where it hangs
    finally:
        release.set()
        backend.stop()
    assert backend.shared == {}


def test_round_timeout_of_the_config_is_what_the_aggregator_waits(
    make_config, driven, monkeypatch, mode
):
    release = threading.Event()
    attempt = driven(make_config("round_timeout=0.25", *mode))
    patch_epoch(monkeypatch, attempt.jobs, 0, lambda number: release.wait(DEADLINE_S))
    stop = attempt.backend.stop

    def release_and_stop():
        release.set()
        stop()

    attempt.backend.stop = release_and_stop
    with pytest.raises(
        WorkerError,
        match=r"^worker 0 in round 0 \(compute\): nothing was heard of it within"
        r" round_timeout=0.25 s\n",
    ):
        attempt.run()


def test_finish_waits_for_the_last_rows(make_config, mode):
    config = make_config("rounds=1", *mode)
    backend = backend_of(config)
    release = threading.Event()

    def hold_back(worker, exchange):
        receive = exchange.receive_into
        if worker == 2:
            exchange.receive_into = lambda *args: release.wait(DEADLINE_S) and receive(*args)
        return exchange

    backend.wrap = hold_back
    try:
        backend.start()
        backend.broadcast(0, backend.gather(0, DEADLINE_S)[0].vector)
        while any(backend.threads[worker].is_alive() for worker in (0, 1)):
            backend.threads[0].join(DEADLINE_S)
            backend.threads[1].join(DEADLINE_S)
        with pytest.raises(
            WorkerError, match=r"^worker 2 in round 0 \(wait\): nothing was heard of it"
        ):
            backend.finish(0.01)
        release.set()
        backend.finish(DEADLINE_S)
    finally:
        release.set()
        backend.stop()


# --- failures and the end ---


def test_a_failure_in_a_later_round_names_that_round(make_config, driven, monkeypatch, mode):
    def fail(number):
        if number == 5:
            raise ZeroDivisionError("in epoch 5")

    attempt = driven(make_config("rounds=4", "local_epochs=2", *mode))
    patch_epoch(monkeypatch, attempt.jobs, 1, fail)
    with pytest.raises(
        WorkerError, match=r"^worker 1 in round 2 \(compute\): ZeroDivisionError: in epoch 5"
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
        WorkerError, match=r"^worker 1 in round 0 \(compute\): (?!nothing was heard)"
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
        return trainer_for(options)(options, *rest, **more)

    monkeypatch.setattr("ddp.workers.worker.trainer_for", lambda options: making)
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
