"""Spawned processes over a `Manager().dict()`: the document's second system.

A vector is pickled and unpickled here, by hand, instead of inside the proxy: so serialising, the way through the manager
process, and deserialising are timed apart, and what travels are the bytes of a numpy array. (A torch tensor would travel
as a handle to shared memory.) With `poll_interval_s: null` a pipe per worker carries the notifications.
"""

import multiprocessing
import pickle
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.managers import SyncManager

import numpy as np
import torch

from ddp.backends.base import ConcurrentBackend
from ddp.backends.store import Store, aggregate_key, drop_read, worker_key
from ddp.errors import BackendError, WorkerError
from ddp.exchange import Exchange, Stopped, Update
from ddp.messages import Asking, Message, Published
from ddp.options import ProcessBackend
from ddp.parameters import Vector
from ddp.parent import end_with_parent
from ddp.timing import Spans
from ddp.worker import Job, run_worker

STOP_GRACE_S = 5.0  # per step of join, terminate, kill


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

    def __init__(self, shared: Store, pipe: Connection, poll_interval_s: float | None) -> None:
        self.shared = shared
        self.pipe = pipe
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

    def tell(self, message: Message) -> None:
        try:
            self.pipe.send(message)
        except BrokenPipeError as error:
            raise Stopped from error


class Processes(ConcurrentBackend):
    """One spawned process per worker, and the manager's; the aggregator runs in the parent."""

    def __init__(self, options: ProcessBackend, jobs: Sequence[Job], listen: Callable[[Message], None]) -> None:
        super().__init__(jobs, listen, options.poll_interval_s)
        self.context = multiprocessing.get_context("spawn")
        self.shared: Store = {}  # the manager's, once it runs
        self._manager = ExitStack()
        self.processes: list[SpawnProcess] = []
        self.pipes: list[Connection] = []
        self._asked = [False] * self.num_workers  # for its job

    def start(self) -> None:
        self._start_manager()
        for job in self.jobs:
            ours, theirs = self.context.Pipe()
            self.pipes.append(ours)
            arguments = (job.worker, self.shared, theirs, self.poll_interval_s, time.time())
            process = self.context.Process(target=_run, args=arguments, name=f"worker-{job.worker}", daemon=True)
            process.start()
            self.processes.append(process)
            theirs.close()  # the worker holds the only other end: if it dies, ours reads end-of-file
        # A job is handed over when its worker asks for it. As an argument of `Process` the ratings would fill the pipe to a
        # child that is still importing torch, and the parent could start the next one only when that is done.
        self._await(
            lambda: [w for w, asked in enumerate(self._asked) if not asked], self.jobs[0].config.round_timeout, None, None
        )

    def _start_manager(self) -> None:
        manager = SyncManager(ctx=self.context)
        manager.start(end_with_parent)
        self._manager.callback(manager.shutdown)
        self.shared = manager.dict()

    def gather(self, round_index: int, timeout_s: float, spans: Spans) -> list[Update]:
        with _manager_alive(round_index):
            return super().gather(round_index, timeout_s, spans)

    def broadcast(self, round_index: int, vector: Vector, spans: Spans) -> None:
        with _manager_alive(round_index):
            self._broadcast(round_index, vector, spans)

    def _broadcast(self, round_index: int, vector: Vector, spans: Spans) -> None:
        _send(self.shared, aggregate_key(round_index), vector, spans)
        if self.poll_interval_s is None:
            for worker in range(self.num_workers):
                self._send(worker, round_index)
        with spans("transfer"):
            drop_read(self.shared, self.num_workers, round_index)

    def _handle(self, message: Message) -> None:
        if isinstance(message, Asking):
            self._send(message.worker, self.jobs[message.worker])
            self._asked[message.worker] = True
        else:
            super()._handle(message)

    def _send(self, worker: int, what: Job | int) -> None:
        try:
            self.pipes[worker].send(what)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise self._death_of(worker) from error

    def stop(self) -> None:
        if all(self._finished):
            _join(self.processes)
        for end in (SpawnProcess.terminate, SpawnProcess.kill):
            for process in self.processes:
                if process.is_alive():
                    end(process)
            _join(self.processes)
        for process in self.processes:
            process.close()
        for pipe in self.pipes:
            pipe.close()
        self.processes.clear()
        self.pipes.clear()
        self.shared = {}  # before the manager goes: the proxy then closes its connection
        self._manager.close()

    def _messages(self, timeout_s: float) -> list[Message]:
        running = [worker for worker in range(self.num_workers) if not self._finished[worker]]
        sentinels = {self.processes[worker].sentinel: worker for worker in running}
        ready = connection.wait([*(self.pipes[worker] for worker in running), *sentinels], timeout_s)
        messages = [message for worker in running for message in _drain(self.pipes[worker])]
        if not messages:  # what a dead worker said before it died is heard first
            for sentinel, worker in sentinels.items():
                if sentinel in ready:
                    raise self._death_of(worker)
        return messages

    def _death_of(self, worker: int) -> WorkerError:
        process = self.processes[worker]
        process.join(STOP_GRACE_S)
        code = process.exitcode
        how = f"exit code {code}" if code is None or code >= 0 else f"signal {signal.Signals(-code).name}"
        return WorkerError(worker, self._published[worker] + 1, f"the process died ({how})")

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


def _drain(pipe: Connection) -> list[Message]:
    """All whole messages that lie in the pipe. A closed one, or half a message, is none: the worker's sentinel tells why."""
    messages: list[Message] = []
    try:
        while pipe.poll():
            messages.append(pipe.recv())
    except (EOFError, OSError):
        pass
    return messages


def _join(processes: Sequence[SpawnProcess]) -> None:
    deadline = time.monotonic() + STOP_GRACE_S
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))


def _run(worker: int, shared: Store, pipe: Connection, poll_interval_s: float | None, spawned_at: float) -> None:
    """The whole life of a worker process."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides what happens
    try:
        pipe.send(Asking(worker=worker))
        job: Job = pipe.recv()
        torch.set_num_threads(job.config.torch_threads)
        run_worker(job, ProcessExchange(shared, pipe, poll_interval_s), spawned_at)
    except (Stopped, EOFError, BrokenPipeError):
        return  # the parent is gone, or does not want us any more
