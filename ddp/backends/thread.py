"""Threads over a plain dict and a lock: the document's first system.

With `poll_interval_s: null` a worker's queue replaces the polling. The lock is held for swapping
references only: a vector is copied before into a slot of its worker, which comes back when the
aggregate is out, and after.
"""

import queue
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ddp.backends.concurrent import ConcurrentBackend
from ddp.backends.store import (
    TRAINER_STATE,
    Readers,
    Store,
    aggregate_key,
    held,
    left_by,
    worker_key,
)
from ddp.config.options import ThreadBackend
from ddp.errors import Stopped, WorkerError
from ddp.machine.signals import WORKER_THREAD
from ddp.model.parameters import EMPTY_VECTOR, Vector
from ddp.timing.spans import Spans
from ddp.tracking.messages import Message, Published
from ddp.workers.exchange import Exchange, Update, make_gates
from ddp.workers.job import Job, Task
from ddp.workers.worker import run_worker

STOP_GRACE_S = (
    # how long a thread may take to notice that the run is over (it looks after every epoch), before
    # it is left behind
    1.0
)
STOP = -1  # in a worker's queue: nothing will come


class ThreadExchange(Exchange):
    """A worker's end: the shared dict and its lock, a queue to everybody's mailbox and one of its
    own for news.
    """

    def __init__(self, threads: "Threads") -> None:
        self.threads = threads
        self.shared = threads.shared
        self.lock = threads.lock
        self.poll_interval_s = threads.poll_interval_s if threads.reads_aggregate else None
        self.mailbox = threads.mailbox
        self.stopping = threads.stopping
        self.gates = threads.gates
        self.news: queue.SimpleQueue[int] = queue.SimpleQueue()  # rounds whose aggregate is out
        self.dropped = threading.Event()
        self._heard = -1  # the last of them
        self.slots: deque[Vector] = deque()  # this worker's, which nobody reads any more

    def publish(self, update: Update, spans: Spans) -> None:
        vector = self.slots.pop() if self.slots else np.empty_like(update.vector)
        with spans("copy"):
            np.copyto(vector, update.vector)
        spans.count_copied(vector.nbytes)
        worker, round_index = update.worker, update.round_index
        entries = {
            worker_key(worker, round_index, "best"): vector,
            worker_key(worker, round_index, "rmse"): update.rmse,
            worker_key(worker, round_index, "test_loss"): update.loss,
            worker_key(worker, round_index, "ready"): True,
        }
        if len(update.trainer_state):
            entries[worker_key(worker, round_index, TRAINER_STATE)] = update.trainer_state.copy()
        with held(self.lock, spans):
            if self.dropped.is_set():
                raise Stopped
            self.shared.update(entries)
        self.tell(Published(worker=worker, round_index=round_index))

    def wait(self, round_index: int, timeout_s: float, spans: Spans) -> bool:
        deadline = time.monotonic() + timeout_s
        if self.poll_interval_s is None:
            return self._wait_for_news(round_index, deadline)
        while time.monotonic() < deadline:
            with held(self.lock, spans):
                state = self.shared.get(aggregate_key(round_index))
            if state is not None:
                return True
            if self.stopping.wait(self.poll_interval_s):
                raise Stopped
        return False

    def _wait_for_news(self, round_index: int, deadline: float) -> bool:
        while (remaining_s := deadline - time.monotonic()) > 0:
            news = _get(self.news, remaining_s)
            # an older one belongs to a round that this worker gave up
            if news is not None and news >= round_index:
                self._heard = news
                return True
        return False

    def receive_into(self, out: Vector, round_index: int, spans: Spans) -> int:
        newest = max(round_index, self._heard)
        with held(self.lock, spans):
            aggregate = self.shared[aggregate_key(newest)]
        with spans("copy"):
            np.copyto(out, aggregate)
        spans.count_copied(out.nbytes)
        return newest

    def common(self, vector: Vector) -> Vector:
        assert self.threads.common is not None
        return self.threads.common

    def tell(self, message: Message) -> None:
        if self.stopping.is_set() or self.dropped.is_set():
            raise Stopped
        self.mailbox.put(message)


class Threads(ConcurrentBackend):
    """One thread per worker; the aggregator runs in the caller's thread."""

    def __init__(
        self,
        options: ThreadBackend,
        task: Task,
        jobs: Sequence[Job],
        listen: Callable[[Message], None],
    ) -> None:
        super().__init__(task, jobs, listen, options.poll_interval_s)
        self.shared: Store = {}
        self.lock = threading.Lock()
        self.mailbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.stopping = threading.Event()
        self._counters = None if self.strata is None else self._first_turns()
        self.gates = None if self._counters is None else make_gates(self._counters)
        self.common = None if self.strata is None else task.vector.copy()
        self.exchanges = {job.worker: ThreadExchange(self) for job in jobs}
        self.threads: list[threading.Thread] = []
        self._readers = Readers()

    def start(self) -> None:
        for job, exchange in zip(self.jobs, self.exchanges.values(), strict=True):
            self.began[job.worker] = time.perf_counter()
            # A daemon, so that a worker stuck in an endless batch cannot keep a finished program
            # alive.
            thread = threading.Thread(
                target=_run,
                args=(job, exchange, self.began[job.worker]),
                name=f"{WORKER_THREAD}{job.worker}",
                daemon=True,
            )
            thread.start()
            self.threads.append(thread)

    def room(self, round_index: int) -> Vector:
        if self.config.straggler_timeout is None:
            return super().room(round_index)
        # a late worker may still read any of those before
        return np.empty(self.aggregate_length, np.float32)

    def broadcast(self, round_index: int, vector: Vector, spans: Spans) -> None:
        with held(self.lock, spans):
            self.shared[aggregate_key(round_index)] = vector
        counted = self._counted(round_index)
        if self.poll_interval_s is None or not self.reads_aggregate:
            for worker in counted:
                self._send_news(worker, round_index)
        read = self._readers.done(counted | self._left, round_index)
        self._left.clear()
        with held(self.lock, spans):
            dropped = {key: self.shared.pop(key, None) for key in read}
        for worker, updated in counted.items():
            slot = dropped[worker_key(worker, updated, "best")]
            if slot is not None:
                self.exchanges[worker].slots.append(slot)

    def _send_news(self, worker: int, round_index: int) -> None:
        self.exchanges[worker].news.put(round_index)

    def drop(self, worker: int) -> None:
        super().drop(worker)
        exchange = self.exchanges[worker]
        exchange.dropped.set()
        exchange.news.put(STOP)
        self._readers.forget(worker)
        with self.lock:
            for key in left_by(self.shared, worker, self._left.get(worker)):
                del self.shared[key]

    def stop(self) -> None:
        self.stopping.set()
        if self.gates is not None:
            self.gates.close()
        for exchange in self.exchanges.values():
            exchange.news.put(STOP)
        deadline = time.monotonic() + STOP_GRACE_S
        for thread in self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self.shared.clear()

    def _messages(self, timeout_s: float) -> list[Message]:
        messages: list[Message] = []
        try:
            messages.append(self.mailbox.get(block=timeout_s > 0, timeout=timeout_s or None))
            while True:
                messages.append(self.mailbox.get_nowait())
        except queue.Empty:
            return messages

    def _is_ready(self, worker: int, round_index: int, spans: Spans) -> bool:
        with held(self.lock, spans):
            return bool(self.shared.get(worker_key(worker, round_index, "ready"), False))

    def _read_updates(self, rounds: Mapping[int, int], spans: Spans) -> list[Update]:
        """By reference: a published vector is the store's own copy, and nobody writes into it."""
        with held(self.lock, spans):
            entries = dict(self.shared)
        return [
            Update(
                worker=worker,
                round_index=round_index,
                vector=entries[worker_key(worker, round_index, "best")],
                rmse=entries[worker_key(worker, round_index, "rmse")],
                loss=entries[worker_key(worker, round_index, "test_loss")],
                trainer_state=entries.get(
                    worker_key(worker, round_index, TRAINER_STATE), EMPTY_VECTOR
                ),
            )
            for worker, round_index in rounds.items()
        ]

    def _late_error(self, absent: Sequence[int], timeout_s: float) -> WorkerError:
        """With the stack that the thread has at this moment."""
        error = super()._late_error(absent, timeout_s)
        thread = self.threads[[job.worker for job in self.jobs].index(error.worker)]
        frame = sys._current_frames().get(thread.ident or 0)
        stack = "".join(traceback.format_stack(frame)) if frame else ""
        return WorkerError(error.worker, error.round_index, error.reason, stack, error.phase)


def _get(numbers: "queue.SimpleQueue[int]", timeout_s: float) -> int | None:
    """The next number in the queue; None if none comes in time. Raises Stopped at the end of the
    run.
    """
    try:
        number = numbers.get(timeout=timeout_s)
    except queue.Empty:
        return None
    if number == STOP:
        raise Stopped
    return number


def _run(job: Job, exchange: ThreadExchange, began: float) -> None:
    spans = job.make_spans(began, shares_gil=True)
    spans.book("start/interpreter")
    try:
        run_worker(job, exchange, spans)
    except Stopped:
        return
    finally:
        exchange.threads.ended[job.worker] = time.perf_counter()
