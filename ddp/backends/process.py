"""Processes over a `Manager().dict()`: the document's second system.

A vector is pickled and unpickled here, by hand, instead of inside the proxy: so serialising, the way through the manager
process, and deserialising are timed apart, and what travels are the bytes of a numpy array. (A torch tensor would travel
as a handle to shared memory.) With `poll_interval_s: null` a pipe per worker carries the notifications.
"""

import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.managers import SyncManager

import numpy as np

from ddp.backends.processes import Connect, WorkerProcesses
from ddp.backends.store import Store, aggregate_key, read_keys, turn_key, worker_key
from ddp.backends.turn_pipes import TurnPipes
from ddp.errors import BackendError, Stopped
from ddp.exchange import Exchange, Update
from ddp.job import Job
from ddp.messages import Message, Published
from ddp.options import ProcessBackend
from ddp.parameters import Vector
from ddp.parent import end_with_parent
from ddp.strata import unpack
from ddp.timing import Spans


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
        vector: Vector = pickle.loads(pickled)  # what our own worker or aggregator pickled a moment ago
    return vector


class ProcessExchange(Exchange):
    """A worker's end: a proxy of the manager's dict, and a pipe for messages out and news in."""

    def __init__(
        self, worker: int, shared: Store, pipe: Connection, turn_pipes: TurnPipes, poll_interval_s: float | None
    ) -> None:
        self.worker = worker
        self.shared = shared
        self.pipe = pipe
        self.turns = turn_pipes
        self.poll_interval_s = poll_interval_s

    def publish(self, update: Update, spans: Spans) -> None:
        worker, round_index = update.worker, update.round_index
        _send(self.shared, worker_key(worker, round_index, "best"), update.vector, spans)
        with spans("transfer"):
            self.shared[worker_key(worker, round_index, "rmse")] = update.rmse
            self.shared[worker_key(worker, round_index, "test_loss")] = update.loss
            self.shared[worker_key(worker, round_index, "ready")] = True
        self.tell(Published(worker=worker, round_index=round_index))

    def wait(self, round_index: int, timeout_s: float, spans: Spans) -> bool:
        deadline = time.monotonic() + timeout_s
        if self.poll_interval_s is None:
            return self._wait_for_news(round_index, deadline)
        while time.monotonic() < deadline:
            with spans("transfer"):  # fetches the whole state to see whether it is there, as the document does
                state = self.shared.get(aggregate_key(round_index))
            if state:
                return True
            time.sleep(self.poll_interval_s)
        return False

    def _wait_for_news(self, round_index: int, deadline: float) -> bool:
        while self.pipe.poll(max(0.0, deadline - time.monotonic())):
            if self.pipe.recv() == round_index:  # an older one belongs to a round that this worker gave up
                return True
        return False

    def receive_into(self, out: Vector, round_index: int, spans: Spans) -> None:
        np.copyto(out, _fetch(self.shared, aggregate_key(round_index), spans))

    def hand_on(self, group: int, turn: int, to: int, rows: Sequence[Vector], spans: Spans) -> None:
        if to == self.worker:
            return
        vector = np.concatenate([array.ravel() for array in rows])
        _send(self.shared, turn_key(to, turn), vector, spans)
        self.turns.tell(to, turn)

    def take(self, group: int, turn: int, before: int, rows: Sequence[Vector], timeout_s: float, spans: Spans) -> bool:
        if before == self.worker:
            return True
        if not self.turns.wait(turn, timeout_s):
            return False
        key = turn_key(self.worker, turn)
        unpack(_fetch(self.shared, key, spans), rows)
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

    def __init__(self, options: ProcessBackend, jobs: Sequence[Job], listen: Callable[[Message], None]) -> None:
        super().__init__(options.chosen_start_method, jobs, listen, options.poll_interval_s)
        self.shared: Store = {}  # the manager's, once it runs
        self._manager = ExitStack()
        self._given: list[Connection] = []  # ends of pipes that are for the workers

    def _open(self) -> list[Connect]:
        self._start_manager()
        turn_pipes = [TurnPipes() for _ in self.jobs]
        if self.hands_rows_on:
            readers, writers = zip(*(self.context.Pipe(duplex=False) for _ in self.jobs), strict=True)
            self._given = [*readers, *writers]
            turn_pipes = [TurnPipes(reader, writers) for reader in readers]
        poll_interval_s = self.poll_interval_s if self.reads_aggregate else None
        return [partial(_connect, self.shared, poll_interval_s, turns) for turns in turn_pipes]

    def start(self) -> None:
        super().start()
        self._close_given()

    def _close_given(self) -> None:
        for end in self._given:
            end.close()
        self._given.clear()

    def _start_manager(self) -> None:
        manager = SyncManager(ctx=self.context)
        manager.start(end_with_parent)
        self._manager.callback(manager.shutdown)
        self.shared = manager.dict()

    def _admit(self, worker: int) -> None:
        with self._pipe_to(worker) as pipe:
            pipe.send(self.jobs[worker])

    def gather(self, round_index: int, timeout_s: float, spans: Spans) -> list[Update]:
        with _manager_alive(round_index):
            return super().gather(round_index, timeout_s, spans)

    def broadcast(self, round_index: int, vector: Vector, spans: Spans) -> None:
        with _manager_alive(round_index):
            self._broadcast(round_index, vector, spans)

    def _broadcast(self, round_index: int, vector: Vector, spans: Spans) -> None:
        if self.reads_aggregate:
            _send(self.shared, aggregate_key(round_index), vector, spans)
        if self.poll_interval_s is None or not self.reads_aggregate:
            for worker in range(self.num_workers):
                with self._pipe_to(worker) as pipe:
                    pipe.send(round_index)
        with spans("transfer"):
            for key in read_keys(self.num_workers, round_index):
                with suppress(KeyError):
                    del self.shared[key]  # not pop, which would bring the state back through the manager

    def stop(self) -> None:
        super().stop()
        self._close_given()
        self.shared = {}  # before the manager goes: the proxy then closes its connection
        self._manager.close()

    def _is_ready(self, worker: int, round_index: int, spans: Spans) -> bool:
        with spans("transfer"):
            return bool(self.shared.get(worker_key(worker, round_index, "ready"), False))

    def _read_updates(self, round_index: int, spans: Spans) -> list[Update]:
        return [self._read(worker, round_index, spans) for worker in range(self.num_workers)]

    def _read(self, worker: int, round_index: int, spans: Spans) -> Update:
        vector = _fetch(self.shared, worker_key(worker, round_index, "best"), spans)
        with spans("transfer"):
            rmse = self.shared[worker_key(worker, round_index, "rmse")]
            loss = self.shared[worker_key(worker, round_index, "test_loss")]
        return Update(worker=worker, round_index=round_index, vector=vector, rmse=rmse, loss=loss)


@contextmanager
def _manager_alive(round_index: int) -> Iterator[None]:
    """Says so when the manager is not. (Pipes to workers that break are dealt with where they are used.)"""
    try:
        yield
    except (EOFError, ConnectionError) as error:
        raise BackendError(f"round {round_index}: the manager's process died ({type(error).__name__})") from error


def _connect(shared: Store, poll_interval_s: float | None, turns: TurnPipes, pipe: Connection) -> tuple[Job, Exchange]:
    """In the worker: its job, and its end of the exchange."""
    job: Job = pipe.recv()
    return job, ProcessExchange(job.worker, shared, pipe, turns, poll_interval_s)
