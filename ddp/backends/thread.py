"""Threads over a plain dict and a lock: the first seed system.

For models so small that starting processes costs more than they save: threads start at once and
share all memory, but only compiled loops (trainer=fused) run at the same time.

    worker 0 --entries--> +--------------+ <--entries-- aggregator
    worker 1 --entries--> | dict + lock  |
             <-aggregate- +--------------+
    workers  --messages--> one mailbox --> aggregator --rounds--> a queue for each worker

With `poll_interval_s: null` a worker waits at its queue, else it polls the dict. concurrent.py
waits for the workers' messages; store.py lists the entries.

Under the lock references change hands, and nothing is copied. A worker copies its vector into a
slot of its own before it takes the lock, and an aggregate into its model after it releases the
lock. A slot is free again when the aggregator has averaged it.
"""

import queue
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence

import numpy as np

from ddp.backends.concurrent import ConcurrentBackend
from ddp.backends.row_passing import SharedRows
from ddp.backends.row_sharing import CommonRows
from ddp.backends.store import (
    Readers,
    Store,
    aggregate_key,
    entries_of,
    held,
    left_by,
    update_of,
    worker_key,
)
from ddp.backends.thread_peer import STOP, ThreadPeer
from ddp.config.backend import ThreadBackend
from ddp.errors import Stopped, WorkerError
from ddp.machine.signals import WORKER_THREAD
from ddp.model.parameters import Vector
from ddp.model.room import filled_room
from ddp.timing.spans import Spans
from ddp.tracking.messages import Message, Published
from ddp.workers.backend import OnMessage
from ddp.workers.exchange import Exchange, News, Update
from ddp.workers.job import Job, Task
from ddp.workers.worker import run_worker

# A thread notices the end of a run after an epoch. One with a longer epoch is left behind.
STOP_GRACE_S = 1.0


class ThreadExchange(Exchange):
    """A worker's end: the dict and its lock, the mailbox that all share, and its own record."""

    def __init__(self, threads: "Threads", worker: int, spans: Spans) -> None:
        super().__init__(spans, threads.rows, threads.sharing)
        self.peer = threads.peers[worker]
        self.shared = threads.shared
        self.lock = threads.lock
        self.poll_interval_s = threads.poll_interval_s if threads.reads_aggregate else None
        self.mailbox = threads.mailbox
        self.stopping = threads.stopping

    def publish(self, update: Update) -> None:
        slots = self.peer.slots
        vector = slots.pop() if slots else np.empty_like(update.vector)
        with self.spans("copy"):
            np.copyto(vector, update.vector)
        self.spans.count_copied(vector.nbytes)
        entries = entries_of(update, vector)
        with held(self.lock, self.spans):
            if self.peer.dropped.is_set():
                raise Stopped
            self.shared.update(entries)
        self.tell(Published(worker=update.worker, round_index=update.round_index))

    def wait(self, round_index: int, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        if self.poll_interval_s is None:
            return self._wait_for_news(round_index, deadline)
        while time.monotonic() < deadline:
            if not self.peer.news.empty():
                self._hear(deadline)
            if self._is_over_before(round_index):
                return False
            with held(self.lock, self.spans):
                state = self.shared.get(aggregate_key(max(round_index, self.news.round_index)))
            if state is not None:
                return True
            if self.stopping.wait(self.poll_interval_s):
                raise Stopped
        return False

    def _wait_for_news(self, round_index: int, deadline: float) -> bool:
        # news of an earlier round: this worker gave up waiting for its aggregate
        while self.news.round_index < round_index and not self.news.is_last:
            try:
                self._hear(deadline)
            except queue.Empty:
                break
        return self.news.round_index >= round_index

    def _hear(self, deadline: float) -> None:
        """Takes the next news; raises queue.Empty if there are none before `deadline`."""
        news = self.peer.news.get(timeout=max(0.0, deadline - time.monotonic()))
        if news == STOP:
            raise Stopped
        self.news = news

    def receive_into(self, out: Vector, round_index: int) -> int:
        newest = max(round_index, self.news.round_index)
        with held(self.lock, self.spans):
            aggregate = self.shared[aggregate_key(newest)]
        with self.spans("copy"):
            np.copyto(out, aggregate)
        self.spans.count_copied(out.nbytes)
        return newest

    def tell(self, message: Message) -> None:
        if self.stopping.is_set() or self.peer.dropped.is_set():
            raise Stopped
        self.mailbox.put(message)


class Threads(ConcurrentBackend[ThreadPeer]):
    """One thread per worker; the aggregator runs in the caller's thread."""

    def __init__(
        self,
        options: ThreadBackend,
        task: Task,
        jobs: Sequence[Job],
        on_message: OnMessage,
        spans: Spans | None = None,
    ) -> None:
        super().__init__(task, jobs, on_message, spans, options.poll_interval_s, ThreadPeer)
        self.shared: Store = {}
        self.lock = threading.Lock()
        self.mailbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.stopping = threading.Event()
        self.rows: SharedRows | None = None
        self.sharing: CommonRows | None = None
        if self.strata is not None and self._turns is not None:
            self.rows = SharedRows(task.vector.copy(), self._turns)
        if self.sweeping is not None and self._turns is not None:
            room = filled_room(self.sweeping, task.config.model.dim)
            self.sharing = CommonRows(task.vector.copy(), room, self._turns)
        self.threads: dict[int, threading.Thread] = {}
        self._readers = Readers()

    def start(self) -> None:
        for job in self.jobs:
            self.peers[job.worker].began = time.perf_counter()
            # a daemon: a worker in an endless batch cannot keep a finished program alive
            thread = threading.Thread(
                target=self._run, args=(job,), name=f"{WORKER_THREAD}{job.worker}", daemon=True
            )
            thread.start()
            self.threads[job.worker] = thread

    def _run(self, job: Job) -> None:
        """The whole life of a worker, in its thread."""
        peer = self.peers[job.worker]
        spans = job.make_spans(peer.began, shares_gil=True)
        spans.book("start/interpreter")
        try:
            run_worker(job, self.wrap(job.worker, ThreadExchange(self, job.worker, spans)))
        except Stopped:
            return
        finally:
            peer.ended = time.perf_counter()

    def _messages(self, timeout_s: float) -> list[Message]:
        messages: list[Message] = []
        try:
            messages.append(self.mailbox.get(block=timeout_s > 0, timeout=timeout_s or None))
            while True:
                messages.append(self.mailbox.get_nowait())
        except queue.Empty:
            return messages

    def _is_ready(self, worker: int, round_index: int) -> bool:
        with held(self.lock, self.spans):
            return bool(self.shared.get(worker_key(worker, round_index, "ready"), False))

    def _late_error(self, absent: Sequence[int], timeout_s: float) -> WorkerError:
        """Adds the present stack of the thread."""
        error = super()._late_error(absent, timeout_s)
        frame = sys._current_frames().get(self.threads[error.worker].ident or 0)
        stack = "".join(traceback.format_stack(frame)) if frame else ""
        return WorkerError(error.worker, error.round_index, error.reason, stack, error.phase)

    def _read_updates(self, rounds: Mapping[int, int]) -> list[Update]:
        """By reference: a published vector is the store's own copy, and nobody writes into it."""
        with held(self.lock, self.spans):
            read = dict(self.shared).__getitem__
        sends_state = self.task.sends_state
        return [
            update_of(worker, round_index, read, with_state=sends_state(round_index))
            for worker, round_index in rounds.items()
        ]

    def aggregate_buffer(self, round_index: int) -> Vector:
        if self.config.straggler_timeout is None:
            return super().aggregate_buffer(round_index)
        # a late worker may still read the aggregate of any earlier round
        return np.empty(self.aggregate_length, np.float32)

    def broadcast(self, round_index: int, vector: Vector) -> None:
        with held(self.lock, self.spans):
            self.shared[aggregate_key(round_index)] = vector
        averaged = self._announce(round_index)
        read = self._readers.done(averaged, self.workers, round_index)
        with held(self.lock, self.spans):
            removed = {key: self.shared.pop(key, None) for key in read}
        for worker, updated in averaged.items():
            slot = removed[worker_key(worker, updated, "best")]
            if slot is not None:
                self.peers[worker].slots.append(slot)

    def _send_news(self, worker: int, round_index: int) -> None:
        self.peers[worker].news.put(News(round_index, self.is_over))

    def drop(self, worker: int) -> None:
        super().drop(worker)
        peer = self.peers[worker]
        peer.dropped.set()
        peer.news.put(STOP)
        self._readers.forget(worker)
        with self.lock:
            for key in left_by(self.shared, worker, peer.left):
                del self.shared[key]

    def stop(self) -> None:
        self.stopping.set()
        if self.rows is not None:
            self.rows.gates.close()
        if self.sharing is not None:
            self.sharing.gates.close()
        for peer in self.peers.values():
            peer.news.put(STOP)
        deadline = time.monotonic() + STOP_GRACE_S
        for thread in self.threads.values():
            thread.join(max(0.0, deadline - time.monotonic()))
        self.shared.clear()
