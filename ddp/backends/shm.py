"""Processes that exchange through one segment of shared memory: the fastest backend for most runs.

A vector is copied once each way, no round pickles anything, and all workers share one copy of the
ratings.

    worker 0 --copy--> +-----------------------------+
    worker 1 --copy--> | segment: slots, aggregate   | <--averages the slots-- aggregator
             <--copy-- |                             |    into the aggregate
                       +-----------------------------+
    workers  --messages, a few bytes--> a pipe each --> aggregator --rounds--> the same pipes

There is no lock: a worker could die while it holds one. Messages say who may read and write:

    message                 afterwards
    worker: Published       the aggregator may read the worker's slot, and overwrite the aggregate
                            that the worker has read before
    aggregator: a round     the worker may read the round's aggregate, and overwrite its slot

Where rows have owners all workers train in one vector of the segment, each in the rows that it
holds. Counters in the segment pass the rows on (ddp/machine/compiled/gates.py).
"""

import struct
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from ddp.backends.shm_jobs import JobPickler, JobUnpickler
from ddp.backends.shm_messages import PICKLED, decode, encode
from ddp.backends.shm_segment import Plan, Shared, create_segment
from ddp.backends.worker_process import Connect
from ddp.backends.worker_processes import WorkerProcesses
from ddp.config.backend import ShmBackend
from ddp.counting import round_of
from ddp.errors import Stopped
from ddp.machine.segment import Layout, Place, Segment, default_directory, remove_orphans
from ddp.model.parameters import EMPTY_VECTOR, Vector
from ddp.timing.spans import Spans
from ddp.tracking.messages import Message, Published, Started
from ddp.workers.backend import OnMessage
from ddp.workers.exchange import Exchange, News, Update
from ddp.workers.job import Job, Task

NEWS = struct.Struct("=q?")  # to a worker: `News`, a round whose aggregate it may read


class ShmExchange(Exchange):
    """A worker's end: the segment, and a pipe for messages out and rounds in."""

    def __init__(
        self,
        pipe: Connection,
        shared: Shared,
        job: Job,
        spans: Spans,
    ) -> None:
        super().__init__(spans, shared.rows(), shared.sharing(job))
        self.pipe = pipe
        self.shared = shared
        self.worker = job.worker
        self.slot = shared.slots[job.worker]
        self.round_timeout_s = job.config.round_timeout
        self._published = -1  # the index of the round of its last update

    def publish(self, update: Update) -> None:
        # A worker that gave up waiting for an aggregate is ahead of the aggregator: its last update
        # may not be averaged yet.
        if self.news.round_index < self._published:
            with self.spans("wait"):
                is_averaged = self.wait(self._published, self.round_timeout_s)
            if not is_averaged and not self.news.is_last:
                raise TimeoutError(
                    f"its update of round {round_of(self._published)} was not averaged within"
                    f" round_timeout={self.round_timeout_s:g} s"
                )
        with self.spans("copy"):
            np.copyto(self.slot.vector, update.vector)
            self.slot.trainer_state[: len(update.trainer_state)] = update.trainer_state
        self.spans.count_copied(update.vector.nbytes + update.trainer_state.nbytes)
        self.shared.write_slot(self.worker, update.round_index, update.rmse, update.loss)
        self._published = update.round_index
        self.tell(Published(worker=update.worker, round_index=update.round_index))

    def wait(self, round_index: int, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        try:
            while self.news.round_index < round_index:
                if self._is_over_before(round_index) or not self.pipe.poll(
                    max(0.0, deadline - time.monotonic())
                ):
                    return False
                self.news = News(*NEWS.unpack(self.pipe.recv_bytes()))
        except (EOFError, ConnectionError) as error:
            raise Stopped from error
        return True

    def receive_into(self, out: Vector, round_index: int) -> int:
        newest = max(round_index, self.news.round_index)
        aggregate = self.shared.aggregate(self.shared.which(self.worker, newest), newest)
        with self.spans("copy"):
            np.copyto(out, aggregate)
        self.spans.count_copied(out.nbytes)
        return newest

    def tell(self, message: Message) -> None:
        try:
            content = encode(message)
            if content is None:
                self.pipe.send(message)
            else:
                self.pipe.send_bytes(content)
        except ConnectionError as error:
            raise Stopped from error


class SharedMemory(WorkerProcesses):
    """The workers' processes, and the segment.

    The parent creates the segment, and removes its name as soon as every worker has attached.
    """

    def __init__(
        self,
        options: ShmBackend,
        task: Task,
        jobs: Sequence[Job],
        on_message: OnMessage,
        spans: Spans | None = None,
    ) -> None:
        super().__init__(options.chosen_start_method, task, jobs, on_message, spans, None)
        self.directory = (
            default_directory() if options.directory is None else Path(options.directory)
        )
        self._shared: Shared  # between `start` and `stop`
        self._ending = ExitStack()
        self._pickled: dict[int, bytes] = {}  # worker -> its job
        self._last = EMPTY_VECTOR  # the last aggregate

    def load(self) -> None:
        super().load()
        if self.config.has_owners:
            # compiles the gates: workers find them on disk
            import ddp.machine.compiled.gates  # noqa: F401

    def _open(self) -> list[Connect]:
        layout = Layout()
        places: dict[int, Place] = {}
        picklers = [JobPickler(job, layout, places) for job in self.jobs]
        plan = Plan.of(self.task, self.jobs, layout)
        remove_orphans(self.directory)  # segments of runs that were killed
        self._shared = Shared(create_segment(layout.size, self.directory), plan)
        self._ending.callback(self._shared.close)
        if self._turns is not None:
            self._turns = self._shared.fill(self.task, self._turns)
        for worker, pickler in zip(self.workers, picklers, strict=True):
            for place, array in pickler.new:
                np.copyto(self._shared.segment.view(place), array)
            pickler.new.clear()
            self._pickled[worker] = pickler.pickled
            self.jobs.pop(0)  # the segment has its arrays now
        self.shared_bytes = layout.size
        return [_connect] * len(self.workers)

    def _admit(self, worker: int) -> None:
        segment = self._shared.segment
        with self._pipe_to(worker) as pipe:
            pipe.send((segment.path, segment.size, self._shared.plan, self._pickled[worker]))

    def _handle(self, message: Message) -> None:
        if isinstance(message, Started):
            self.peers[message.worker].attached = True
            self._unlink_when_attached()
        # Trackers hear it afterwards: once all workers have started, the name is gone.
        super()._handle(message)

    def _unlink_when_attached(self) -> None:
        if all(self.peers[worker].attached for worker in self.workers):
            self._shared.segment.unlink()  # now not even SIGKILL leaves it behind

    def drop(self, worker: int) -> None:
        super().drop(worker)
        self._unlink_when_attached()

    def _decoded(self, worker: int, content: bytes) -> Message:
        if content.startswith(PICKLED):
            return super()._decoded(worker, content)
        return decode(worker, content)

    def _read_updates(self, rounds: Mapping[int, int]) -> list[Update]:
        return [self._read(worker, round_index) for worker, round_index in rounds.items()]

    def _read(self, worker: int, round_index: int) -> Update:
        """The vector by reference: the worker overwrites its slot only after the broadcast.

        The trainer state as a copy: a checkpoint may need it later.
        """
        slot = self._shared.slots[worker]
        rmse, loss = self._shared.read_slot(worker, round_index)
        sends_state = self.task.sends_state(round_index)
        return Update(
            worker=worker,
            round_index=round_index,
            vector=slot.vector,
            rmse=rmse,
            loss=loss,
            trainer_state=slot.trainer_state.copy() if sends_state else EMPTY_VECTOR,
        )

    def aggregate_buffer(self, round_index: int) -> Vector:
        """The place of the aggregate in the segment, so that nobody copies the aggregate there."""
        if self._shared.plan.each_its_own:
            return super().aggregate_buffer(round_index)
        return self._shared.aggregates[round_index % 2]

    def broadcast(self, round_index: int, vector: Vector) -> None:
        self._last = vector
        if not self._shared.plan.each_its_own:
            self._shared.write_aggregate(round_index % 2, round_index, vector)
        self._announce(round_index)

    def _send_news(self, worker: int, round_index: int) -> None:
        if self._shared.plan.each_its_own:
            which = self._shared.which(worker, round_index)
            self._shared.write_aggregate(which, round_index, self._last)
        with self._pipe_to(worker) as pipe:
            pipe.send_bytes(NEWS.pack(round_index, self.is_over))

    def stop(self) -> None:
        try:
            super().stop()
        finally:
            self._turns, self._last, self.shared_bytes = None, EMPTY_VECTOR, 0
            self._ending.close()


def _connect(pipe: Connection, began: float) -> tuple[Job, Exchange]:
    """In the worker: its job, whose arrays lie in the segment, and its end of the exchange.

    The arrays are writable, though nobody writes to them: torch warns of a read-only array, and
    numba compiles another kernel for it.
    """
    path, size, plan, pickled = pipe.recv()
    shared = Shared(Segment.attach(path, size), plan)
    job = JobUnpickler(pickled, shared.segment).load()
    spans = job.make_spans(began)
    return job, ShmExchange(pipe, shared, job, spans)
