"""Processes that die are named, and forked workers compute the bits of serial."""

import multiprocessing
import os
import pickle
import signal
import struct
import sys
from multiprocessing import forkserver

import numpy as np
import psutil
import pytest
from jobs import BACKENDS, DEADLINE_S, backend_of

from ddp.backends.worker_processes import drain
from ddp.errors import WorkerError
from ddp.machine.memory import Memory
from ddp.tracking.messages import Asking, EpochDone, Finished, Published

PUBLISHED = Published(worker=0, round_index=0)
FINISHED = Finished(worker=0, memory=Memory(peak_rss_bytes=None, pss_bytes=None))


def kill_and_wait(process):
    os.kill(process.pid, signal.SIGKILL)
    process.join(DEADLINE_S)


# --- workers that die ---

SPAWNED = pytest.param("process spawned", marks=pytest.mark.slow)


@pytest.mark.usefixtures("server_of_programs")
@pytest.mark.parametrize("name", ["process", SPAWNED])
def test_a_killed_worker_is_named_with_round_and_signal(make_config, driven, leaks, name):
    """Worker 0 trains on, with an hour's round_timeout: only the death itself can end the run."""
    killed = []

    def look(moment, round_index, backend):
        message = attempt.messages[-1] if moment == "message" else None
        if (
            isinstance(message, EpochDone)
            and (message.worker, message.round_index) == (1, 1)
            and not killed
        ):
            killed.append(backend.processes[1].pid)
            os.kill(killed[0], signal.SIGKILL)

    # So many epochs that worker 1 is still in round 1 when the test hears of its first epoch there.
    options = ("workers=2", "rounds=2", "local_epochs=300", "round_timeout=3600")
    config = make_config(*BACKENDS[name], *options)
    told = r"^worker 1 in round 2 \(compute\): the process died \(signal SIGKILL\)$"
    with leaks():
        attempt = driven(config, look=look)
        with pytest.raises(WorkerError, match=told) as caught:
            attempt.run()
    assert killed
    assert (caught.value.worker, caught.value.round_index, caught.value.exit_code) == (
        1,
        1,
        -signal.SIGKILL,
    )
    assert len(attempt.vectors) == 1
    assert not psutil.pid_exists(killed[0])


class Leaves:
    """Ends the worker that unpickles it."""

    def __reduce__(self):
        return sys.exit, (3,)


def test_a_worker_process_that_exits_is_named_with_its_code(make_config, driven, leaks):
    attempt = driven(make_config("backend=process", "workers=1", "round_timeout=3600"))
    attempt.jobs[0].vector = Leaves()
    with (
        leaks(),
        pytest.raises(
            WorkerError,
            match=r"^worker 0 before its first round: the process died \(exit code 3\)$",
        ),
    ):
        attempt.run()


def test_a_worker_killed_while_it_waits_for_its_job_is_named(make_config):
    backend = backend_of(make_config("backend=process", "workers=1", "round_timeout=3600"))
    handle = backend._handle

    def kill_first(message):
        if isinstance(message, Asking):
            kill_and_wait(backend.processes[0])
        handle(message)

    backend._handle = kill_first
    failure = ""
    try:
        backend.start()
        backend.gather(0, DEADLINE_S)
    except Exception as error:  # not kept: its traceback holds the manager
        failure = f"{type(error).__name__}: {error}"
    finally:
        backend.stop()
    assert (
        failure == "WorkerError: worker 0 before its first round: the process died (signal SIGKILL)"
    )


@pytest.fixture
def dead(make_config):
    """A backend whose worker 0 has published round 0 and exited with code 7; the worker's pipe."""
    backend = backend_of(make_config("backend=process", "workers=1"))
    ours, theirs = backend.context.Pipe()
    backend.pipes[0] = ours
    backend.processes[0] = backend.context.Process(target=sys.exit, args=(7,))
    backend.processes[0].start()
    backend.processes[0].join(DEADLINE_S)
    manager, backend.shared = backend.shared, {}
    backend.peers[0].last_seen.note(PUBLISHED)
    backend._handle(PUBLISHED)
    backend.peers[0].taken = 0
    yield backend, theirs
    theirs.close()
    backend.shared = manager  # it was not started
    backend.stop()


def test_a_worker_that_is_dead_at_the_broadcast_is_named_when_we_wait_next(dead):
    backend, theirs = dead
    theirs.close()
    backend.broadcast(0, np.zeros(3, np.float32))
    backend.poll()
    with pytest.raises(
        WorkerError, match=r"^worker 0 in round 1 \(wait\): the process died \(exit code 7\)$"
    ) as caught:
        backend.gather(1, DEADLINE_S)
    assert (caught.value.worker, caught.value.round_index, caught.value.exit_code) == (0, 0, 7)


@pytest.mark.parametrize("step", ["gather", "finish"])
def test_a_worker_that_is_dead_at_the_broadcast_with_unread_news_is_named(dead, step):
    backend, theirs = dead
    backend.pipes[0].send(0)  # the worker gave that round up, and reads no news any more
    theirs.close()
    backend.broadcast(0, np.zeros(3, np.float32))
    steps = {
        "gather": lambda: backend.gather(1, DEADLINE_S),
        "finish": lambda: backend.finish(DEADLINE_S),
    }
    with pytest.raises(
        WorkerError, match=r"^worker 0 in round 1 \(wait\): the process died \(exit code 7\)$"
    ):
        steps[step]()


def test_what_a_dead_worker_said_is_heard_before_its_death(dead):
    backend, theirs = dead
    said = [EpochDone(worker=0, round_index=1, epoch=epoch) for epoch in range(3)]
    for message in said:
        theirs.send(message)
    theirs.close()
    assert backend._messages(DEADLINE_S) == said
    with pytest.raises(WorkerError, match="exit code 7"):
        backend._messages(DEADLINE_S)


def test_a_worker_may_be_gone_once_it_has_finished(dead):
    backend, theirs = dead
    theirs.send(FINISHED)
    theirs.close()
    backend.finish(DEADLINE_S)


def test_a_worker_that_gave_up_the_last_aggregate_and_has_finished_needs_not_hear_of_it(dead):
    """The aggregator may not have read yet that the worker has finished."""
    backend, theirs = dead
    theirs.send(FINISHED)
    theirs.close()
    backend.shared = {}
    backend.broadcast(0, np.zeros(3, np.float32))
    backend.finish(DEADLINE_S)


def test_half_a_message_of_a_killed_worker_is_no_message():
    """A long message (a traceback) is written in several pieces; SIGKILL may come between them."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    with ours:
        theirs.send(FINISHED)
        os.write(theirs.fileno(), struct.pack("!i", 100_000) + b"the first piece")
        theirs.close()
        assert [pickle.loads(content) for content in drain(ours)] == [FINISHED]


def test_a_stopped_backend_holds_no_descriptor(make_config):
    backend = backend_of(make_config("backend=process"))
    before = psutil.Process().num_fds()
    backend.shared.start()
    backend.shared["key"] = 1
    backend.stop()
    assert psutil.Process().num_fds() == before


def test_a_manager_that_dies_is_named(make_config):
    from ddp.errors import BackendError

    backend = backend_of(make_config("backend=process"))
    before = set(multiprocessing.active_children())
    backend.shared.start()
    try:
        (manager,) = set(multiprocessing.active_children()) - before
        manager.kill()
        manager.join(DEADLINE_S)
        with pytest.raises(BackendError, match="round 4: the manager's process died"):
            backend.broadcast(3, np.zeros(4, np.float32))
    finally:
        backend.stop()


# --- workers that are forked from a server ---


@pytest.mark.usefixtures("server_of_programs")
def test_forked_workers_and_a_forked_manager_compute_the_bits_of_serial(make_config, drive):
    parents = set()

    def look(moment, round_index, backend):
        if moment == "gather":
            parents.update(
                psutil.Process(process.pid).ppid() for process in backend.processes.values()
            )

    forked = drive(make_config("backend=process", "backend.start_method=forkserver"), look=look)
    assert parents == {forkserver._forkserver._forkserver_pid}
    serial = drive(make_config("backend=serial"))
    assert [vector.tobytes() for vector in forked.vectors] == [
        vector.tobytes() for vector in serial.vectors
    ]
    assert (forked.rows(), forked.aggregates()) == (serial.rows(), serial.aggregates())
