"""Processes over a `Manager().dict()`: the document's second system.

A vector is pickled and unpickled here, by hand, instead of inside the proxy: so serialising, the
way through the manager process, and deserialising are timed apart, and what travels are the bytes
of a numpy array. (A torch tensor would travel as a handle to shared memory.) With `poll_interval_s:
null` a pipe per worker carries the notifications.
"""

import pickle
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection

import numpy as np

from ddp.backends.manager import ManagerProcess
from ddp.backends.row_pipes import TurnPipes
from ddp.backends.store import (
    TRAINER_STATE,
    Readers,
    Store,
    aggregate_key,
    left_by,
    turn_key,
    worker_key,
)
from ddp.backends.worker_processes import Connect, WorkerProcesses
from ddp.config.options import ProcessBackend
from ddp.errors import Stopped, WorkerError
from ddp.model.parameters import EMPTY_VECTOR, Vector
from ddp.model.rows import unpack
from ddp.timing.spans import Spans
from ddp.tracking.messages import HandedOn, Message, Published
from ddp.workers.exchange import Exchange, Update
from ddp.workers.job import Job, Task

MANAGER_GRACE_S = 5.0  # for an answer to a small question


def _send(store: Store, key: str, vector: Vector, spans: Spans) -> None:
    with spans("serialise"):
        pickled = pickle.dumps(vector, protocol=pickle.HIGHEST_PROTOCOL)
    spans.count_bytes(len(pickled))
    with spans("transfer"):
        store[key] = pickled


def _fetch(store: Store, key: str, spans: Spans) -> Vector:
    with spans("transfer"):
        pickled = store[key]
    spans.count_bytes(len(pickled))
    with spans("deserialise"):
        # what our own worker or aggregator pickled a moment ago
        vector: Vector = pickle.loads(pickled)
    return vector


class ProcessExchange(Exchange):
    """A worker's end: a proxy of the manager's dict, and a pipe for messages out and news in."""

    own_process = True

    def __init__(
        self,
        worker: int,
        shared: Store,
        pipe: Connection,
        turn_pipes: TurnPipes,
        poll_interval_s: float | None,
    ) -> None:
        self.worker = worker
        self.shared = shared
        self.pipe = pipe
        self.turns = turn_pipes
        self.poll_interval_s = poll_interval_s
        self._heard = -1  # the last round of which we know that its aggregate is out

    def publish(self, update: Update, spans: Spans) -> None:
        worker, round_index = update.worker, update.round_index
        _send(self.shared, worker_key(worker, round_index, "best"), update.vector, spans)
        with spans("transfer"):
            self.shared[worker_key(worker, round_index, "rmse")] = update.rmse
            self.shared[worker_key(worker, round_index, "test_loss")] = update.loss
        if len(update.trainer_state):
            _send(
                self.shared,
                worker_key(worker, round_index, TRAINER_STATE),
                update.trainer_state,
                spans,
            )
        with spans("transfer"):
            self.shared[worker_key(worker, round_index, "ready")] = True
        self.tell(Published(worker=worker, round_index=round_index))

    def wait(self, round_index: int, timeout_s: float, spans: Spans) -> bool:
        deadline = time.monotonic() + timeout_s
        if self.poll_interval_s is None:
            return self._wait_for_news(round_index, deadline)
        while time.monotonic() < deadline:
            # fetches the whole state to see whether it is there, as the document does
            with spans("transfer"):
                state = self.shared.get(aggregate_key(round_index))
            if state:
                return True
            time.sleep(self.poll_interval_s)
        return False

    def _wait_for_news(self, round_index: int, deadline: float) -> bool:
        while self.pipe.poll(max(0.0, deadline - time.monotonic())):
            self._heard = self.pipe.recv()
            # an older one belongs to a round that this worker gave up
            if self._heard >= round_index:
                return True
        return False

    def receive_into(self, out: Vector, round_index: int, spans: Spans) -> int:
        newest = max(round_index, self._heard)
        aggregate = _fetch(self.shared, aggregate_key(newest), spans)
        with spans("copy"):
            np.copyto(out, aggregate)
        spans.count_copied(out.nbytes)
        return newest

    def hand_on(self, group: int, turn: int, to: int, rows: Sequence[Vector], spans: Spans) -> None:
        if to == self.worker:
            self.tell(HandedOn(worker=self.worker, group=group, turn=turn))
            return
        with spans("copy"):
            vector = np.concatenate([array.ravel() for array in rows])
        spans.count_copied(vector.nbytes)
        _send(self.shared, turn_key(to, turn), vector, spans)
        self.turns.tell(to, turn)
        self.tell(HandedOn(worker=self.worker, group=group, turn=turn))

    def take(
        self,
        group: int,
        turn: int,
        before: int,
        rows: Sequence[Vector],
        timeout_s: float,
        spans: Spans,
    ) -> bool:
        if before == self.worker:
            return True
        if not self.turns.wait(turn, timeout_s):
            return False
        key = turn_key(self.worker, turn)
        vector = _fetch(self.shared, key, spans)
        with spans("copy"):
            unpack(vector, rows)
        spans.count_copied(vector.nbytes)
        with spans("transfer"):
            del self.shared[key]
        return True

    def tell(self, message: Message) -> None:
        try:
            self.pipe.send(message)
        except BrokenPipeError as error:
            raise Stopped from error


class Processes(WorkerProcesses):
    """The workers' processes, and the manager's."""

    def __init__(
        self,
        options: ProcessBackend,
        task: Task,
        jobs: Sequence[Job],
        listen: Callable[[Message], None],
    ) -> None:
        super().__init__(options.chosen_start_method, task, jobs, listen, options.poll_interval_s)
        self.shared: Store = {}  # the manager's, once it runs
        self._manager = ManagerProcess(self.context)
        self._readers = Readers()
        self._given: list[Connection] = []  # ends of pipes that are for the workers

    def _open(self) -> list[Connect]:
        self.shared = self._manager.start()
        turn_pipes = [TurnPipes() for _ in self.jobs]
        if self.strata is not None:
            readers, writers = zip(
                *(self.context.Pipe(duplex=False) for _ in self.jobs), strict=True
            )
            self._given = [*readers, *writers]
            turn_pipes = [
                TurnPipes(reader, dict(zip(self.workers, writers, strict=True)))
                for reader in readers
            ]
        poll_interval_s = self.poll_interval_s if self.reads_aggregate else None
        return [partial(_connect, self.shared, poll_interval_s, turns) for turns in turn_pipes]

    def start(self) -> None:
        super().start()
        self._close_given()

    def servers(self) -> dict[str, int]:
        return super().servers() | self._manager.process_id()

    def _close_given(self) -> None:
        for end in self._given:
            end.close()
        self._given.clear()

    def _admit(self, worker: int) -> None:
        job = next(job for job in self.jobs if job.worker == worker)
        with self._pipe_to(worker) as pipe:
            pipe.send(job)
        self.jobs = [job for job in self.jobs if job.worker != worker]  # it has its own copy now

    def gather(self, round_index: int, timeout_s: float, spans: Spans) -> list[Update]:
        with self._manager.answers(round_index):
            return super().gather(round_index, timeout_s, spans)

    def _await(
        self,
        missing: Callable[[], list[int]],
        timeout_s: float,
        round_index: int | None,
        poll_interval_s: float | None,
        patience_s: float | None = None,
    ) -> None:
        # whoever polls asks it
        with self._manager.answers(round_index or 0, timeout_s + MANAGER_GRACE_S):
            super()._await(missing, timeout_s, round_index, poll_interval_s, patience_s)

    def broadcast(self, round_index: int, vector: Vector, spans: Spans) -> None:
        with self._manager.answers(round_index, self.config.round_timeout):
            self._broadcast(round_index, vector, spans)

    def _broadcast(self, round_index: int, vector: Vector, spans: Spans) -> None:
        if self.reads_aggregate:
            _send(self.shared, aggregate_key(round_index), vector, spans)
        counted = self._counted(round_index)
        if self.poll_interval_s is None or not self.reads_aggregate:
            for worker in counted:
                self._send_news(worker, round_index)
        with spans("transfer"):
            for key in self._readers.done(counted | self._left, round_index):
                with suppress(KeyError):
                    # not pop, which would bring the state back through the manager
                    del self.shared[key]
        self._left.clear()

    def _send_news(self, worker: int, round_index: int) -> None:
        with self._pipe_to(worker) as pipe:
            pipe.send(round_index)

    def drop(self, worker: int) -> None:
        super().drop(worker)
        self._readers.forget(worker)
        with self._manager.answers(self._taken[worker], self.config.round_timeout):
            for key in left_by(self.shared.keys(), worker, self._left.get(worker)):
                del self.shared[key]

    def stop(self) -> None:
        super().stop()
        self._close_given()
        self._manager.stop(self._forget_proxy)

    def _forget_proxy(self) -> None:
        self.shared = {}

    def _late_error(self, absent: Sequence[int], timeout_s: float) -> WorkerError:
        """Unless it is the manager that all wait for: then BackendError is raised."""
        with self._manager.answers(self._taken[absent[0]] + 1, MANAGER_GRACE_S):
            len(self.shared)
        return super()._late_error(absent, timeout_s)

    def _is_ready(self, worker: int, round_index: int, spans: Spans) -> bool:
        with spans("transfer"):
            return bool(self.shared.get(worker_key(worker, round_index, "ready"), False))

    def _read_updates(self, rounds: Mapping[int, int], spans: Spans) -> list[Update]:
        with self._manager.answers(max(rounds.values()), self.config.round_timeout):
            return [
                self._read(worker, round_index, spans) for worker, round_index in rounds.items()
            ]

    def _read(self, worker: int, round_index: int, spans: Spans) -> Update:
        vector, trainer_state = (
            _fetch(self.shared, worker_key(worker, round_index, "best"), spans),
            EMPTY_VECTOR,
        )
        with spans("transfer"):
            rmse = self.shared[worker_key(worker, round_index, "rmse")]
            loss = self.shared[worker_key(worker, round_index, "test_loss")]
        if self.has_trainer_state and self.task.sends_state(round_index):
            trainer_state = _fetch(
                self.shared, worker_key(worker, round_index, TRAINER_STATE), spans
            )
        return Update(
            worker=worker,
            round_index=round_index,
            vector=vector,
            rmse=rmse,
            loss=loss,
            trainer_state=trainer_state,
        )


def _connect(
    shared: Store, poll_interval_s: float | None, turns: TurnPipes, pipe: Connection
) -> tuple[Job, Exchange]:
    """In the worker: its job, and its end of the exchange."""
    job: Job = pipe.recv()
    return job, ProcessExchange(job.worker, shared, pipe, turns, poll_interval_s)
