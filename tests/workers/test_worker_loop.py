"""A worker's loop: its messages, its seconds and its failures."""

import time

import pytest
from jobs import prepare
from noting import Noting

from ddp.errors import Stopped, WorkerError
from ddp.timing.spans import Spans
from ddp.tracking.messages import EpochDone, Failed, Finished, Started, WorkerRound
from ddp.workers.worker import run_worker, worker_loop


def test_the_loop_waits_once_a_round_and_tells_in_order(make_config, exchange, told):
    job = prepare(make_config("workers=1", "rounds=2", "local_epochs=1")).make_jobs()[0]
    loop = worker_loop(job, exchange)
    for round_index in range(2):
        next(loop)
        update = exchange.backend.updates.pop(0)
        assert update.round_index == round_index
        assert not any(
            isinstance(message, WorkerRound) and message.round_index == round_index
            for message in told
        )
        exchange.backend.aggregate = update.vector
        next(loop)  # it has told its row, and lets others have their turn
        assert isinstance(told[-1], WorkerRound)
        assert told[-1].round_index == round_index
    assert next(loop, "ended") == "ended"
    kinds = [type(message) for message in told]
    assert kinds == [Started, EpochDone, WorkerRound, EpochDone, WorkerRound, Finished]
    assert all(message.aggregate_received for message in told if isinstance(message, WorkerRound))


def test_seconds_cover_the_rounds_and_no_more(make_config, exchange, told):
    """Moments noted outside bracket the rows' seconds, which are those without the start-up."""
    job = prepare(make_config("workers=1", "rounds=5")).make_jobs()[0]
    began = time.perf_counter()
    exchange.spans = Spans()
    loop = worker_loop(job, exchange)
    while next(loop, "ended") is None:  # when it waits, and when it has told its row
        if exchange.backend.updates:
            exchange.backend.aggregate = exchange.backend.updates.pop(0).vector
    walls = [message.account.wall_s for message in told if isinstance(message, WorkerRound)]
    [startup_s] = [message.startup_s for message in told if isinstance(message, Started)]
    ended, received = exchange.moments("WorkerRound"), exchange.moments("receive")
    assert len(walls) == len(ended) == len(received) == 5
    assert startup_s + walls[0] <= ended[0] - began
    assert received[-1] - ended[0] <= sum(walls[1:]) <= ended[-1] - received[0]


def test_a_failure_carries_worker_round_and_traceback(make_config, exchange, told):
    job = prepare(make_config()).make_jobs()[2]
    job.shard.train.users[0] = 10**6
    run_worker(job, exchange)
    failed = told[-1]
    assert isinstance(failed, Failed)
    assert (failed.error.worker, failed.error.round_index, failed.error.phase) == (2, 0, "compute")
    assert "IndexError" in failed.error.remote_traceback


def test_a_failure_before_the_first_round_says_so(make_config, exchange, told):
    job = prepare(make_config()).make_jobs()[1]
    job.vector = job.vector[:-1]
    run_worker(job, exchange)
    assert told[-1].error.round_index is None
    assert str(told[-1].error).startswith("worker 1 before its first round: ValueError: ")


def test_a_worker_that_is_stopped_does_not_fail(make_config, told):
    class Stopping(Noting):
        def tell(self, message):
            if isinstance(message, EpochDone):
                raise Stopped
            super().tell(message)

    prepared = prepare(make_config())
    with pytest.raises(Stopped):
        run_worker(prepared.make_jobs()[0], Stopping(prepared, told))
    assert [type(message) for message in told] == [Started]


def test_a_worker_error_survives_pickling():
    import pickle

    error = pickle.loads(
        pickle.dumps(WorkerError(3, 4, "reason", "remote traceback", "wait", -9, True))
    )
    assert (error.worker, error.round_index, error.reason, error.remote_traceback) == (
        3,
        4,
        "reason",
        "remote traceback",
    )
    assert (error.phase, error.exit_code, error.diverged) == ("wait", -9, True)
    assert str(error) == "worker 3 in round 5 (wait): reason\nremote traceback"
    assert str(WorkerError(3, 4, "reason")) == "worker 3 in round 5: reason"
