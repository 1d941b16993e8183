"""Slots in shared memory: ratings lie there once, and no slot is overwritten too early."""

import threading
import time

import numpy as np
import pytest
from jobs import DEADLINE_S, prepare

from ddp.backends.make import make_backend
from ddp.backends.worker_processes import drain
from ddp.errors import BackendError, Stopped
from ddp.tracking.messages import EpochDone, WorkerRound
from ddp.tracking.metrics import SquaredError
from ddp.workers.exchange import Update


class Ends:
    """A backend without processes, and its workers' ends."""

    def __init__(self, config):
        self.prepared = prepare(config)
        self.originals = [parts(job) for job in prepare(config).make_jobs()]
        self.backend = make_backend(self.prepared, self.prepared.make_jobs(), lambda message: None)
        self.length = len(self.prepared.vector)
        connects = self.backend._open()
        self.pipes, self.jobs, self.exchanges = [], [], []
        for worker in self.backend.workers:
            ours, theirs = self.backend.context.Pipe()
            self.backend.pipes[worker] = ours
            self.pipes.append(theirs)
            self.backend._admit(worker)
            job, exchange = connects[worker](theirs, time.perf_counter())
            self.jobs.append(job)
            self.exchanges.append(exchange)

    def update(self, worker, round_index, value):
        vector = np.full(self.length, value, np.float32)
        return Update(worker=worker, round_index=round_index, vector=vector, rmse=value, loss=value)

    def gathered(self, round_index):
        return [(float(update.vector[0]), update.rmse) for update in self.read(round_index)]

    def read(self, round_index):
        return self.backend._read_updates(dict.fromkeys(self.backend.workers, round_index))

    def close(self):
        for pipe in self.pipes:
            pipe.close()
        for exchange in self.exchanges:
            exchange.spans.close()
        self.backend.stop()
        vars(self).clear()


def parts(job):
    shard = job.shard
    return [
        getattr(part, column)
        for part in (shard.train, shard.valid, shard.test)
        for column in ("users", "items", "ratings")
    ] + [job.vector]


@pytest.fixture
def ends(make_config):
    both = Ends(make_config("backend=shm", "workers=2", "round_timeout=0.05", "account=false"))
    yield both
    both.close()


def test_ratings_and_the_first_state_lie_in_the_segment_once(ends):
    for job, exchange, originals in zip(ends.jobs, ends.exchanges, ends.originals, strict=True):
        for array, original in zip(parts(job), originals, strict=True):
            assert array.base is exchange.slot.vector.base  # the mapping
            assert array.dtype == original.dtype
            assert array.tolist() == original.tolist()
    size = sum(array.nbytes for originals in ends.originals for array in originals[:-1])
    # the first state, the last two aggregates, and two slots
    vectors = 5 * ends.originals[0][-1].nbytes
    assert size + vectors <= ends.backend._shared.segment.size <= size + vectors + 4096
    # One worker's training does not reach the other; the first state is the same memory for both.
    first, second = (parts(job)[0] for job in ends.jobs)
    first[:] = -1
    assert (second >= 0).all()
    ends.jobs[0].vector[:] = 7
    assert (
        ends.backend._shared.segment.view(place_of(ends.jobs[1].vector, ends)).tolist()
        == [7] * ends.length
    )


def place_of(array, ends):
    from ddp.machine.segment import Place

    base = ends.exchanges[1].shared.aggregates[0]
    return Place(
        array.ctypes.data - base.ctypes.data + ends.backend._shared.plan.aggregates[0].offset,
        array.shape,
        array.dtype,
    )


def test_the_aggregator_reads_slots_where_they_lie(ends):
    ends.exchanges[0].publish(ends.update(0, 0, 1.0))
    ends.exchanges[1].publish(ends.update(1, 0, 2.0))
    updates = ends.read(0)
    assert [update.worker for update in updates] == [0, 1]
    assert all(not update.vector.flags.owndata for update in updates)
    ends.exchanges[1].slot.vector[:] = 9  # the protocol forbids it; a copy would not change
    assert updates[1].vector.tolist() == [9] * ends.length
    assert updates[0].vector.tolist() == [1] * ends.length


def test_a_slot_that_was_not_averaged_yet_is_not_overwritten(ends):
    for worker, exchange in enumerate(ends.exchanges):
        exchange.publish(ends.update(worker, 0, 1.0 + worker))
    early = ends.exchanges[0]
    # it gives up, and then is the first to finish the next round
    assert not early.wait(0, 0.01)
    with pytest.raises(
        TimeoutError,
        match=r"^its update of round 1 was not averaged within round_timeout=0.05 s$",
    ):
        early.publish(ends.update(0, 1, 5.0))
    assert ends.gathered(0) == [(1.0, 1.0), (2.0, 2.0)]
    ends.backend.broadcast(0, np.full(ends.length, 8, np.float32))
    early.publish(ends.update(0, 1, 5.0))
    assert not early.wait(1, 0.01)  # the aggregate of round 0 is not taken for it
    ends.exchanges[1].publish(ends.update(1, 1, 6.0))
    assert ends.gathered(1) == [(5.0, 5.0), (6.0, 6.0)]


def test_a_worker_that_waits_to_publish_goes_on_when_the_aggregate_is_out(ends):
    early = ends.exchanges[0]
    early.round_timeout_s = DEADLINE_S
    early.publish(ends.update(0, 0, 1.0))
    polls, poll = threading.Event(), early.pipe.poll

    def polling(timeout_s):
        polls.set()
        return poll(timeout_s)

    class Pipe:
        def __getattr__(self, name):
            return polling if name == "poll" else getattr(ends.pipes[0], name)

    early.pipe = Pipe()
    waiting = threading.Thread(target=early.publish, args=(ends.update(0, 1, 5.0),))
    waiting.start()
    assert polls.wait(DEADLINE_S)
    assert early.slot.vector[0] == 1.0
    ends.backend.broadcast(0, np.zeros(ends.length, np.float32))
    waiting.join(DEADLINE_S)
    assert not waiting.is_alive()
    assert early.slot.vector[0] == 5.0


@pytest.mark.parametrize("step", ["publish", "wait", "tell"])
def test_a_worker_whose_run_is_stopped_ends(ends, step):
    exchange = ends.exchanges[0]
    exchange.publish(ends.update(0, 0, 1.0))
    ends.backend.stop()
    steps = {
        "publish": lambda: exchange.publish(ends.update(0, 1, 1.0)),
        "wait": lambda: exchange.wait(0, DEADLINE_S),
        "tell": lambda: exchange.tell(EpochDone(worker=0, round_index=0, epoch=0)),
    }
    with pytest.raises(Stopped):
        steps[step]()


def test_what_lies_in_the_segment_says_of_which_round_it_is(ends):
    with pytest.raises(BackendError, match=r"^round 1: the slot of worker 0 holds round 0$"):
        ends.gathered(0)
    with pytest.raises(BackendError, match=r"^round 1: the aggregate holds round 0$"):
        ends.exchanges[0].receive_into(np.zeros(ends.length, np.float32), 0)


def test_two_rows_can_wait_to_be_read(ends):
    """A worker that gave up waiting for an aggregate may be a round ahead of the aggregator."""
    exchange = ends.exchanges[0]
    for round_index in (0, 1):
        exchange.publish(ends.update(0, round_index, 1.0))
        assert not exchange.wait(round_index, 0.01)
        exchange.tell(a_row(worker=0, round_index=round_index, train_loss=10.0 + round_index))
        if round_index == 0:
            ends.backend.broadcast(0, np.zeros(ends.length, np.float32))
    told = [ends.backend._decode(0, content) for content in drain(ends.backend.pipes[0])]
    rows = [message for message in told if isinstance(message, WorkerRound)]
    assert [(row.round_index, row.train_loss) for row in rows] == [(0, 10.0), (1, 11.0)]


def a_row(**values):
    errors = {"valid": SquaredError(0.5, 2), "test": SquaredError(0.5, 2)}
    return WorkerRound(
        **{"train_loss": 0.5, "best_epoch": 1, "aggregate_received": False, **errors, **values}
    )
