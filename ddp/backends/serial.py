"""One worker after another in one thread: the reference that every other backend must equal bit for
bit.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from ddp.errors import WorkerError
from ddp.model.parameters import Vector
from ddp.timing.spans import Spans
from ddp.tracking.messages import Finished, Message
from ddp.workers.backend import Backend
from ddp.workers.exchange import Exchange, Update
from ddp.workers.job import Job, Task
from ddp.workers.worker import worker_loop


class SerialExchange(Exchange):
    """Hands a copy of the update to the backend, and reads the aggregate from it."""

    def __init__(self, backend: "Serial") -> None:
        self.backend = backend

    def publish(self, update: Update, spans: Spans) -> None:
        with spans("copy"):
            update.vector = update.vector.copy()
        spans.count_copied(update.vector.nbytes)
        self.backend.updates[update.worker] = update

    def wait(self, round_index: int, timeout_s: float, spans: Spans) -> bool:
        return True  # a worker goes on only after the aggregator has had its turn

    def receive_into(self, out: Vector, round_index: int, spans: Spans) -> int:
        with spans("copy"):
            np.copyto(out, self.backend.aggregate)
        spans.count_copied(out.nbytes)
        return round_index

    def common(self, vector: Vector) -> Vector:
        if self.backend.common is None:
            self.backend.common = vector.copy()
        return self.backend.common

    def hand_on(self, group: int, turn: int, to: int, rows: Sequence[Vector], spans: Spans) -> None:
        """Nothing to do: everybody has had its turn before anybody has the next."""

    def take(
        self,
        group: int,
        turn: int,
        before: int,
        rows: Sequence[Vector],
        timeout_s: float,
        spans: Spans,
    ) -> bool:
        return True

    def tell(self, message: Message) -> None:
        if isinstance(message, Finished):
            self.backend.ended[message.worker] = time.perf_counter()
        self.backend.listen(message)


class Serial(Backend):
    """Runs each worker up to the point where it waits for others, in turn."""

    def __init__(self, task: Task, jobs: Sequence[Job], listen: Callable[[Message], None]) -> None:
        super().__init__(task, jobs, listen)
        self.updates: dict[int, Update] = {}
        self.aggregate: Vector
        self.common: Vector | None = None  # with split=stratified: what all workers train in
        self._loops: dict[int, Iterator[None]] = {}
        self._failed: WorkerError | None = None  # in `hear`

    def start(self) -> None:
        """Nothing to do: a worker starts when its first turn comes."""

    def gather(self, round_index: int, timeout_s: float, spans: Spans) -> list[Update]:
        with spans("wait"):
            while len(self.updates) < len(self.workers):
                self._give_turns(
                    [worker for worker in self.workers if worker not in self.updates], timeout_s
                )
        with spans("gather"):
            return [self.updates.pop(worker) for worker in self.workers]

    def broadcast(self, round_index: int, vector: Vector, spans: Spans) -> None:
        self.aggregate = vector

    def hear(self) -> None:
        """The row of a round is told after its aggregate."""
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

    def stop(self) -> None:
        self._loops.clear()

    def _give_turns(self, workers: Sequence[int], timeout_s: float) -> None:
        if self._failed is not None:
            error, self._failed = self._failed, None
            raise error
        for job in self.jobs:
            if job.worker in workers:
                if job.worker not in self._loops:
                    self.began[job.worker] = time.perf_counter()
                    spans = job.make_spans(self.began[job.worker], shares_thread=True)
                    self._loops[job.worker] = worker_loop(job, SerialExchange(self), spans)
                with _deadline(timeout_s):
                    next(self._loops[job.worker], None)


@contextmanager
def _deadline(timeout_s: float) -> Iterator[None]:
    """Raises TimeoutError in the block after so many seconds: nobody else is there to notice a
       worker that hangs.

    Only the main thread has an alarm; in another one nobody notices.
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
