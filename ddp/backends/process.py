"""Processes over a `Manager().dict()`: the second seed system.

For comparison with shm: processes that share no memory, as they would not on several machines.
Every vector is pickled and copied through the manager's process, so large models are slow.

    worker 0 --pickled entries--> +-------------------+ <--pickled entries-- aggregator
    worker 1 --pickled entries--> | manager's process |
             <-pickled aggregate- |  dict             |
                                  +-------------------+
    workers  --messages--> a pipe each --> aggregator --rounds--> the same pipes

With `poll_interval_s: null` a worker waits at its pipe, else it polls the dict.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection

import numpy as np

from ddp.backends.manager import ManagerStore
from ddp.backends.row_passing import ManagerRows, RowPipes
from ddp.backends.store import (
    TRAINER_STATE,
    Readers,
    Store,
    aggregate_key,
    fetch,
    left_by,
    send,
    worker_key,
)
from ddp.backends.worker_process import Connect
from ddp.backends.worker_processes import WorkerProcesses
from ddp.config.backend import ProcessBackend
from ddp.errors import Stopped, WorkerError
from ddp.model.parameters import EMPTY_VECTOR, Vector
from ddp.timing.spans import Spans
from ddp.tracking.messages import Message, Published
from ddp.workers.backend import OnMessage
from ddp.workers.exchange import Exchange, Update
from ddp.workers.job import Job, Task

MANAGER_GRACE_S = 5.0  # for an answer to a small question


class ProcessExchange(Exchange):
    """A worker's end: a proxy of the manager's dict, and a pipe for messages out and rounds in."""

    def __init__(
        self,
        shared: Store,
        pipe: Connection,
        row_pipes: RowPipes | None,
        poll_interval_s: float | None,
        spans: Spans,
    ) -> None:
        rows = None if row_pipes is None else ManagerRows(shared, row_pipes, spans, self.tell)
        super().__init__(spans, rows)
        self.shared = shared
        self.pipe = pipe
        self.poll_interval_s = poll_interval_s
        self._newest = -1  # the last round whose aggregate is known to be out

    def publish(self, update: Update) -> None:
        worker, round_index = update.worker, update.round_index
        send(self.shared, worker_key(worker, round_index, "best"), update.vector, self.spans)
        with self.spans("transfer"):
            self.shared[worker_key(worker, round_index, "rmse")] = update.rmse
            self.shared[worker_key(worker, round_index, "test_loss")] = update.loss
        if len(update.trainer_state):
            send(
                self.shared,
                worker_key(worker, round_index, TRAINER_STATE),
                update.trainer_state,
                self.spans,
            )
        with self.spans("transfer"):
            self.shared[worker_key(worker, round_index, "ready")] = True
        self.tell(Published(worker=worker, round_index=round_index))

    def wait(self, round_index: int, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        if self.poll_interval_s is None:
            return self._wait_for_news(round_index, deadline)
        while time.monotonic() < deadline:
            # fetches the whole state to see whether it is there, as the seed systems do
            with self.spans("transfer"):
                state = self.shared.get(aggregate_key(round_index))
            if state:
                return True
            time.sleep(self.poll_interval_s)
        return False

    def _wait_for_news(self, round_index: int, deadline: float) -> bool:
        while self.pipe.poll(max(0.0, deadline - time.monotonic())):
            self._newest = self.pipe.recv()
            # an older one belongs to a round that this worker gave up
            if self._newest >= round_index:
                return True
        return False

    def receive_into(self, out: Vector, round_index: int) -> int:
        newest = max(round_index, self._newest)
        aggregate = fetch(self.shared, aggregate_key(newest), self.spans)
        with self.spans("copy"):
            np.copyto(out, aggregate)
        self.spans.count_copied(out.nbytes)
        return newest

    def tell(self, message: Message) -> None:
        try:
            self.pipe.send(message)
        except BrokenPipeError as error:
            raise Stopped from error


class ManagedProcesses(WorkerProcesses):
    """The workers' processes, and the manager's."""

    def __init__(
        self,
        options: ProcessBackend,
        task: Task,
        jobs: Sequence[Job],
        on_message: OnMessage,
        spans: Spans | None = None,
    ) -> None:
        super().__init__(
            options.chosen_start_method, task, jobs, on_message, spans, options.poll_interval_s
        )
        self.shared = ManagerStore(
            self.context, self.config.round_timeout, lambda: self.round_index
        )
        self._readers = Readers()
        self._given: list[Connection] = []  # ends of pipes that are for the workers

    def _open(self) -> list[Connect]:
        self.shared.start()
        row_pipes: list[RowPipes | None] = [None] * len(self.workers)
        if self.strata is not None:
            readers, writers = zip(
                *(self.context.Pipe(duplex=False) for _ in self.workers), strict=True
            )
            self._given = [*readers, *writers]
            to = dict(zip(self.workers, writers, strict=True))
            row_pipes = [
                RowPipes(worker, reader, to)
                for worker, reader in zip(self.workers, readers, strict=True)
            ]
        poll_interval_s = self.poll_interval_s if self.reads_aggregate else None
        proxy = self.shared.proxy
        return [partial(_connect, proxy, poll_interval_s, pipes) for pipes in row_pipes]

    def start(self) -> None:
        super().start()
        self._close_given()

    def servers(self) -> dict[str, int]:
        return super().servers() | self.shared.process_id()

    def _close_given(self) -> None:
        for end in self._given:
            end.close()
        self._given.clear()

    def _admit(self, worker: int) -> None:
        job = next(job for job in self.jobs if job.worker == worker)
        with self._pipe_to(worker) as pipe:
            pipe.send(job)
        self.jobs = [other for other in self.jobs if other is not job]  # it has its own copy now

    def broadcast(self, round_index: int, vector: Vector) -> None:
        self.round_index = round_index
        if self.reads_aggregate:
            send(self.shared, aggregate_key(round_index), vector, self.spans)
        counted = self._counted(round_index)
        if self.poll_interval_s is None or not self.reads_aggregate:
            for worker in counted:
                self._send_news(worker, round_index)
        with self.spans("transfer"):
            for key in self._readers.done(counted | self._left(), round_index):
                with suppress(KeyError):
                    # not pop, which would bring the state back through the manager
                    del self.shared[key]
        self._forget_left()

    def _send_news(self, worker: int, round_index: int) -> None:
        with self._pipe_to(worker) as pipe:
            pipe.send(round_index)

    def drop(self, worker: int) -> None:
        super().drop(worker)
        self._readers.forget(worker)
        for key in left_by(self.shared.keys(), worker, self.peers[worker].left):
            del self.shared[key]

    def stop(self) -> None:
        super().stop()
        self._close_given()
        self.shared.stop()

    def _late_error(self, absent: Sequence[int], timeout_s: float) -> WorkerError:
        """Unless all wait for the manager: then this raises BackendError."""
        self.shared.check(MANAGER_GRACE_S)
        return super()._late_error(absent, timeout_s)

    def _is_ready(self, worker: int, round_index: int) -> bool:
        with self.spans("transfer"):
            return bool(self.shared.get(worker_key(worker, round_index, "ready"), False))

    def _read_updates(self, rounds: Mapping[int, int]) -> list[Update]:
        return [self._read(worker, round_index) for worker, round_index in rounds.items()]

    def _read(self, worker: int, round_index: int) -> Update:
        vector = fetch(self.shared, worker_key(worker, round_index, "best"), self.spans)
        with self.spans("transfer"):
            rmse = self.shared[worker_key(worker, round_index, "rmse")]
            loss = self.shared[worker_key(worker, round_index, "test_loss")]
        trainer_state = EMPTY_VECTOR
        if self.has_trainer_state and self.task.sends_state(round_index):
            trainer_state = fetch(
                self.shared, worker_key(worker, round_index, TRAINER_STATE), self.spans
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
    shared: Store,
    poll_interval_s: float | None,
    row_pipes: RowPipes | None,
    pipe: Connection,
    began: float,
) -> tuple[Job, Exchange]:
    """In the worker: its job, and its end of the exchange."""
    job: Job = pipe.recv()
    return job, ProcessExchange(shared, pipe, row_pipes, poll_interval_s, job.make_spans(began))
