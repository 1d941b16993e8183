"""One worker after another in one thread: the reference that every other backend equals bit by bit.

For small models, for debugging, and to check the numbers of the other backends.

    aggregator --runs--> worker 0, up to where it waits; then worker 1; then ...
        ^                   |
        +--- a copy --------+          no thread, no lock, no message queue: plain calls
"""

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from ddp.backends.row_passing import RowsInTurn
from ddp.backends.row_sharing import RowsOfOne
from ddp.config.backend import SerialBackend
from ddp.errors import WorkerError
from ddp.model.parameters import Vector
from ddp.model.room import filled_room
from ddp.timing.spans import Spans
from ddp.tracking.messages import Finished, Message
from ddp.workers.backend import Backend, OnMessage
from ddp.workers.exchange import Exchange, News, Update
from ddp.workers.job import Job, Task
from ddp.workers.worker import worker_loop


class SerialExchange(Exchange):
    """Hands a copy of the update to the backend, and reads the aggregate from it."""

    def __init__(self, backend: "Serial", spans: Spans) -> None:
        super().__init__(spans, backend.rows, backend.sharing)
        self.backend = backend

    def publish(self, update: Update) -> None:
        with self.spans("copy"):
            update.vector = update.vector.copy()
        self.spans.count_copied(update.vector.nbytes)
        self.backend.updates[update.worker] = update

    def wait(self, round_index: int, timeout_s: float) -> bool:
        # a worker goes on only after the aggregator has had its turn
        self.news = News(round_index, self.backend.is_over)
        return True

    def receive_into(self, out: Vector, round_index: int) -> int:
        with self.spans("copy"):
            np.copyto(out, self.backend.aggregate)
        self.spans.count_copied(out.nbytes)
        return round_index

    def tell(self, message: Message) -> None:
        if isinstance(message, Finished):
            self.backend.ended[message.worker] = time.perf_counter()
        self.backend.on_message(message)


class Serial(Backend):
    """Runs each worker up to the point where it waits for others, in turn."""

    def __init__(
        self,
        options: SerialBackend,
        task: Task,
        jobs: Sequence[Job],
        on_message: OnMessage,
        spans: Spans | None = None,
    ) -> None:
        super().__init__(task, jobs, on_message, spans)
        self.updates: dict[int, Update] = {}
        self.aggregate: Vector
        self.rows = None if self.strata is None else RowsInTurn(task.vector.copy())
        self.sharing = None
        if self.sweeping is not None:
            room = filled_room(self.sweeping, task.config.model.dim)
            self.sharing = RowsOfOne(task.vector.copy(), room)
        self.began: dict[int, float] = {}
        self.ended: dict[int, float] = {}
        self._loops: dict[int, Iterator[None]] = {}
        self._failed: WorkerError | None = None  # `poll` caught this; the next wait raises it

    def start(self) -> None:
        """Nothing to do: a worker starts when its first turn comes."""

    def gather(self, round_index: int, timeout_s: float) -> list[Update]:
        with self.spans("wait"):
            while len(self.updates) < len(self.workers):
                self._give_turns(
                    [worker for worker in self.workers if worker not in self.updates], timeout_s
                )
        with self.spans("gather"):
            return [self.updates.pop(worker) for worker in self.workers]

    def broadcast(self, round_index: int, vector: Vector) -> None:
        self.aggregate = vector

    def poll(self) -> None:
        """Lets the workers send their rows of the round, which they do after the aggregate."""
        try:
            self._give_turns(self.workers, self.config.round_timeout)
        except WorkerError as error:
            self._failed = error

    def finish(self, timeout_s: float) -> None:
        self._give_turns(self.workers, timeout_s)

    def drop(self, worker: int) -> None:
        super().drop(worker)
        self.updates.pop(worker, None)
        del self._loops[worker]

    def lifetimes(self) -> dict[int, tuple[float, float]]:
        return {worker: (self.began[worker], ended) for worker, ended in self.ended.items()}

    def stop(self) -> None:
        self._loops.clear()

    def _give_turns(self, workers: Sequence[int], timeout_s: float) -> None:
        if self._failed is not None:
            error, self._failed = self._failed, None
            raise error
        for job in self.jobs:
            if job.worker in workers:
                if job.worker not in self._loops:
                    self._loops[job.worker] = self._loop(job)
                with _deadline(timeout_s):
                    next(self._loops[job.worker], None)

    def _loop(self, job: Job) -> Iterator[None]:
        self.began[job.worker] = time.perf_counter()
        spans = job.make_spans(self.began[job.worker], shares_thread=True)
        return worker_loop(job, self.wrap(job.worker, SerialExchange(self, spans)))


@contextmanager
def _deadline(timeout_s: float) -> Iterator[None]:
    """Raises TimeoutError in the block after `timeout_s`, for a worker that hangs.

    Only the main thread can set an alarm: in another thread the block has no deadline.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_: object) -> None:
        raise TimeoutError(f"it did not come back within round_timeout={timeout_s:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
