"""Threads: late aggregates and late workers at a moment that the test chooses."""

import threading

import pytest
from jobs import DEADLINE_S, backend_of, prepare
from threads import Rounds, patch_epoch

from ddp.aggregation.mean import weighted_mean
from ddp.aggregation.weights import worker_weights
from ddp.backends.make import make_backend
from ddp.backends.store import aggregate_key
from ddp.errors import WorkerError
from ddp.tracking.messages import EpochDone, Published, WorkerRound

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
            rf"^worker {late} in round 2 \(compute\): nothing was heard of it"
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
        match=r"^worker 0 in round 1 \(compute\): nothing was heard of it within"
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
            WorkerError, match=r"^worker 2 in round 1 \(wait\): nothing was heard of it"
        ):
            backend.finish(0.01)
        release.set()
        backend.finish(DEADLINE_S)
    finally:
        release.set()
        backend.stop()
