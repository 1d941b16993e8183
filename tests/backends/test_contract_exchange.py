"""The exchange without running workers: copies, late aggregates, and the keys of the store."""

import time
from contextlib import contextmanager

import numpy as np
import pytest
from contract import CONCURRENT, SPAWNED, store_of
from jobs import BACKENDS, QUICK, backend_of

from ddp.backends.serial import SerialExchange
from ddp.backends.store import FIELDS, aggregate_key, worker_key
from ddp.backends.thread import ThreadExchange, Threads
from ddp.backends.worker_processes import WorkerProcesses
from ddp.errors import Stopped
from ddp.timing.spans import Spans
from ddp.tracking.messages import EpochDone
from ddp.workers.exchange import Update

pytestmark = pytest.mark.usefixtures("server_of_programs")


# --- copies ---


@contextmanager
def unstarted(config):
    """A backend without its workers, and worker 0's end of it."""
    config.account = False  # the meter knows only spans inside those of a worker
    backend = backend_of(config)
    if not isinstance(backend, WorkerProcesses):
        yield (
            backend,
            ThreadExchange(backend, 0, Spans())
            if isinstance(backend, Threads)
            else SerialExchange(backend, Spans()),
        )
        backend.stop()
        return
    connect = backend._open()[0]
    ours, theirs = backend.context.Pipe()
    backend.pipes[0] = ours
    backend._admit(0)
    _, exchange = connect(theirs, time.perf_counter())
    try:
        yield backend, exchange
    finally:
        theirs.close()
        vars(exchange).clear()  # it holds a part of the manager or of the segment
        backend.stop()


def gathered(backend, round_index):
    """The updates in the backend, without running workers."""
    if hasattr(backend, "updates"):
        return [backend.updates[0]]
    return backend._read_updates({0: round_index})


@pytest.fixture(params=[*QUICK, SPAWNED])
def ends(request, make_config):
    with unstarted(make_config("workers=1", *BACKENDS[request.param])) as both:
        yield both


def test_vectors_are_copied_on_both_ways(ends):
    backend, exchange = ends
    length = len(backend.task.vector)
    live = np.arange(length, dtype=np.float32)
    exchange.publish(Update(worker=0, round_index=0, vector=live, rmse=1.5, loss=2.5))
    live[:] = -1  # the worker trains on
    [update] = gathered(backend, 0)
    assert (update.worker, update.round_index, update.rmse, update.loss) == (0, 0, 1.5, 2.5)
    assert update.vector.tolist() == list(range(length))
    assert not np.shares_memory(update.vector, live)

    backend.broadcast(0, np.full(length, 7, np.float32))
    assert exchange.wait(0, 60)
    exchange.receive_into(live, 0)
    assert live.tolist() == [7] * length
    live[:] = -2
    again = np.zeros(length, np.float32)
    exchange.receive_into(again, 0)
    assert again.tolist() == [7] * length


@pytest.mark.parametrize("ends", CONCURRENT, indirect=True)
def test_an_aggregate_that_came_too_late_is_not_taken_for_the_next(ends):
    backend, exchange = ends
    length = len(backend.task.vector)
    publish = {"worker": 0, "vector": np.zeros(length, np.float32), "rmse": 1.0, "loss": 1.0}
    assert not exchange.wait(0, 0.01)
    exchange.publish(Update(round_index=1, **publish))
    backend.broadcast(0, np.full(length, 5, np.float32))
    assert not exchange.wait(1, 0.01)
    if hasattr(backend, "shared"):
        assert set(store_of(backend).keys()) == {
            aggregate_key(0),
            *(worker_key(0, 1, name) for name in FIELDS),
        }
    backend.broadcast(1, np.full(length, 6, np.float32))
    backend.broadcast(2, np.full(length, 7, np.float32))
    assert exchange.wait(2, 60)
    out = np.zeros(length, np.float32)
    exchange.receive_into(out, 2)
    assert out.tolist() == [7] * length


# --- the store ---


@pytest.mark.parametrize("rounds", [200, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["thread", "thread polling"])
def test_store_does_not_grow_from_round_to_round(make_config, drive, name, rounds):
    sizes, last = [], []

    def look(moment, round_index, backend):
        sizes.append(len(backend.shared))
        if moment == "finish":
            last.append(
                (
                    backend.mailbox.qsize(),
                    [peer.news.qsize() for peer in backend.peers.values()],
                )
            )
        if moment == "stop":
            last.append(len(backend.shared))

    quick = (
        *("data.num_users=10", "data.num_items=10", "data.num_ratings=50"),
        *("split.valid_fraction=0", "select_on=last"),
        *("aggregation=uniform", "trainer.optimizer=sgd"),
        *("trainer.batch_size=99", "model.biases=false", "model.dim=1"),
    )
    run = drive(
        make_config(f"rounds={rounds}", "local_epochs=1", "workers=2", *quick, *BACKENDS[name]),
        look=look,
    )
    assert len(run.vectors) == rounds
    assert max(sizes) <= 2 * len(FIELDS) + 2
    assert last == [(0, [0, 0]), 0]


# --- the end ---


def test_stopping_ends_a_worker_at_its_next_word(make_config):
    with unstarted(make_config("workers=1", "backend=thread")) as (backend, exchange):
        backend.stop()
        with pytest.raises(Stopped):
            exchange.tell(EpochDone(worker=0, round_index=0, epoch=0))
