"""Processes over a `Manager().dict()`: the second seed system.

For comparison with shm: processes that share no memory, as they would not on several machines.
Every vector is pickled and copied through the manager's process, so large models are slow.

    worker 0 --pickled entries--> +-------------------+ <--pickled entries-- aggregator
    worker 1 --pickled entries--> | manager's process |
             <-pickled aggregate- |  dict             |
                                  +-------------------+
    workers  --messages--> a pipe each --> aggregator --rounds--> the same pipes

With `poll_interval_s: null` a worker waits at its pipe, else it polls the dict. worker_processes.py
starts and ends the workers; concurrent.py waits for their messages; store.py lists the entries.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection

import numpy as np

from ddp.backends.manager import ManagerStore
from ddp.backends.row_passing import ManagerRows, RowPipes, connect_rows
from ddp.backends.row_sharing import ManagerSharing
from ddp.backends.store import (
    Readers,
    Store,
    aggregate_key,
    entries_of,
    fetch,
    left_by,
    send,
    update_of,
    worker_key,
)
from ddp.backends.worker_process import Connect
from ddp.backends.worker_processes import WorkerProcesses
from ddp.config.backend import ProcessBackend
from ddp.errors import Stopped, WorkerError
from ddp.model.parameters import Vector
from ddp.model.room import filled_room
from ddp.timing.spans import Spans
from ddp.tracking.messages import Message, Published
from ddp.workers.backend import OnMessage
from ddp.workers.exchange import Exchange, News, Update
from ddp.workers.job import Job, Task

MANAGER_GRACE_S = 5.0  # for an answer to a small question


class ProcessExchange(Exchange):
    """A worker's end: a proxy of the manager's dict, and a pipe for messages out and rounds in.

    `row_pipes`: for workers that need each other's rows.
    """

    def __init__(
        self,
        shared: Store,
        pipe: Connection,
        row_pipes: RowPipes | None,
        job: Job,
        poll_interval_s: float | None,
        spans: Spans,
    ) -> None:
        super().__init__(spans)
        if row_pipes is not None and (sweeping := job.sweeping) is not None:
            workers, room = sweeping.blocks.workers, filled_room(sweeping, job.config.model.dim)
            self.sharing = ManagerSharing(shared, row_pipes, workers, room, spans, self.tell)
        elif row_pipes is not None:
            self.rows = ManagerRows(shared, row_pipes, spans, self.tell)
        self.shared = shared
        self.pipe = pipe
        self.poll_interval_s = poll_interval_s

    def publish(self, update: Update) -> None:
        for key, value in entries_of(update, update.vector).items():
            send(self.shared, key, value, self.spans)
        self.tell(Published(worker=update.worker, round_index=update.round_index))

    def wait(self, round_index: int, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        if self.poll_interval_s is None:
            return self._wait_for_news(round_index, deadline)
        while time.monotonic() < deadline:
            if self.pipe.poll():
                self.news = self.pipe.recv()
            if self._is_over_before(round_index):
                return False
            # fetches the whole state to see whether it is there, as the seed systems do
            with self.spans("transfer"):
                state = self.shared.get(aggregate_key(max(round_index, self.news.round_index)))
            if state:
                return True
            time.sleep(self.poll_interval_s)
        return False

    def _wait_for_news(self, round_index: int, deadline: float) -> bool:
        # news of an earlier round: this worker gave up waiting for its aggregate
        while self.news.round_index < round_index:
            if self._is_over_before(round_index) or not self.pipe.poll(
                max(0.0, deadline - time.monotonic())
            ):
                return False
            self.news = self.pipe.recv()
        return True

    def receive_into(self, out: Vector, round_index: int) -> int:
        newest = max(round_index, self.news.round_index)
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
        start_method, poll_interval_s = options.chosen_start_method, options.poll_interval_s
        super().__init__(start_method, task, jobs, on_message, spans, poll_interval_s)
        self.shared = ManagerStore(
            self.context, self.config.round_timeout, lambda: self.round_index
        )
        self._readers = Readers()
        self._row_pipes: list[RowPipes] = []  # for workers that need each other's rows

    def start(self) -> None:
        super().start()
        self._close_row_pipes()

    def _open(self) -> list[Connect]:
        self.shared.start()
        if self.config.has_owners:
            self._row_pipes = connect_rows(self.workers, self.context)
        row_pipes: Sequence[RowPipes | None] = self._row_pipes or [None] * len(self.workers)
        poll_interval_s = self.poll_interval_s if self.reads_aggregate else None
        proxy = self.shared.proxy
        return [partial(_connect, proxy, poll_interval_s, pipes) for pipes in row_pipes]

    def _admit(self, worker: int) -> None:
        job = next(job for job in self.jobs if job.worker == worker)
        with self._pipe_to(worker) as pipe:
            pipe.send(job)
        self.jobs = [other for other in self.jobs if other is not job]  # it has its own copy now

    def _close_row_pipes(self) -> None:
        for pipes in self._row_pipes:
            pipes.close()

    def servers(self) -> dict[str, int]:
        return super().servers() | self.shared.process_id()

    def _is_ready(self, worker: int, round_index: int) -> bool:
        with self.spans("transfer"):
            return bool(self.shared.get(worker_key(worker, round_index, "ready"), False))

    def _late_error(self, absent: Sequence[int], timeout_s: float) -> WorkerError:
        """Raises BackendError instead if all wait for the manager."""
        self.shared.check(MANAGER_GRACE_S)
        return super()._late_error(absent, timeout_s)

    def _read_updates(self, rounds: Mapping[int, int]) -> list[Update]:
        read, sends_state = partial(fetch, self.shared, spans=self.spans), self.task.sends_state
        return [
            update_of(worker, round_index, read, with_state=sends_state(round_index))
            for worker, round_index in rounds.items()
        ]

    def broadcast(self, round_index: int, vector: Vector) -> None:
        self.round_index = round_index
        if self.reads_aggregate:
            send(self.shared, aggregate_key(round_index), vector, self.spans)
        averaged = self._announce(round_index)
        with self.spans("transfer"):
            for key in self._readers.done(averaged, self.workers, round_index):
                with suppress(KeyError):
                    # not pop, which would bring the state back through the manager
                    del self.shared[key]

    def _send_news(self, worker: int, round_index: int) -> None:
        with self._pipe_to(worker) as pipe:
            pipe.send(News(round_index, self.is_over))

    def drop(self, worker: int) -> None:
        super().drop(worker)
        self._readers.forget(worker)
        for key in left_by(self.shared.keys(), worker, self.peers[worker].left):
            del self.shared[key]

    def stop(self) -> None:
        super().stop()
        self._close_row_pipes()
        self.shared.stop()


def _connect(
    shared: Store,
    poll_interval_s: float | None,
    row_pipes: RowPipes | None,
    pipe: Connection,
    began: float,
) -> tuple[Job, Exchange]:
    """In the worker: its job, and its end of the exchange."""
    job: Job = pipe.recv()
    spans = job.make_spans(began)
    return job, ProcessExchange(shared, pipe, row_pipes, job, poll_interval_s, spans)
