"""The common part of thread, process and shm: workers run at once, and the aggregator waits.

    aggregator                             worker 0, 1, ... (ddp/workers/worker.py)
      gather     <-- messages -----------    publish, tell
      broadcast  --- number of a round -->   wait, receive_into

Each backend carries the vectors in its own way. This file has the messages and the waiting; peer.py
has the record of each worker. A published vector is never a worker's live state, a received one is
never the store's, and every wait has a deadline.
"""

import time
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from ddp.backends.peer import Deadline, LastSeen, Peer, ready_s
from ddp.backends.progress import counters_of, last_of
from ddp.errors import WorkerError
from ddp.timing.spans import Spans
from ddp.tracking.messages import Failed, Finished, HandedOn, Message, Published
from ddp.workers.backend import Backend, OnMessage
from ddp.workers.exchange import Update
from ddp.workers.job import Job, Task

P = TypeVar("P", bound=Peer)


class ConcurrentBackend(Backend, Generic[P]):
    """Waits for workers that run at the same time and send messages.

    `poll_interval_s`: seconds between two looks at the workers' ready flags, as in the seed
    systems; None: the aggregator waits for messages. `peer_type`: the class of a worker's record.
    """

    def __init__(
        self,
        task: Task,
        jobs: Sequence[Job],
        on_message: OnMessage,
        spans: Spans | None,
        poll_interval_s: float | None,
        peer_type: type[P],
    ) -> None:
        super().__init__(task, jobs, on_message, spans)
        self.poll_interval_s = poll_interval_s
        first = task.first_round
        self.peers = {
            worker: peer_type(
                last_seen=LastSeen(first, self.config.local_epochs),
                published=first - 1,
                taken=first - 1,
            )
            for worker in self.workers
        }
        self.round_index = first  # the round that is gathered or broadcast now
        self._inbox: deque[Message] = deque()
        self._turns = counters_of(task)

    @abstractmethod
    def _messages(self, timeout_s: float) -> list[Message]:
        """The messages that workers have sent; waits up to `timeout_s` for the first.

        Raises WorkerError for a dead worker.
        """

    def _is_ready(self, worker: int, round_index: int) -> bool:
        """True if the store has the worker's update of the round (for backends that can poll)."""
        raise NotImplementedError

    @abstractmethod
    def _read_updates(self, rounds: Mapping[int, int]) -> list[Update]:
        """The updates of these workers, in this order. `rounds`: worker -> round of its update."""

    @abstractmethod
    def _send_news(self, worker: int, round_index: int) -> None:
        """Tells a worker that the round has its aggregate, and whether it is the last one.

        A dead worker is no error here.
        """

    def gather(self, round_index: int, timeout_s: float) -> list[Update]:
        def missing() -> list[int]:
            if self.poll_interval_s is not None:
                return [w for w in self.workers if not self._is_ready(w, round_index)]
            peers = self.peers
            return [w for w in self.workers if self._newest(w, round_index) <= peers[w].taken]

        self.round_index = round_index
        patience_s = self.config.straggler_timeout
        with self.spans("wait"):
            late = self._await(missing, Deadline(timeout_s, patience_s), self.poll_interval_s)
        # Polling finds an update before its message comes, and knows no late workers.
        rounds = dict.fromkeys(self.workers, round_index)
        if patience_s is not None:
            for worker, peer in self.peers.items():
                peer.late = worker in late
            rounds = {w: self._newest(w, round_index) for w in self.workers if w not in late}
        unread = {w: left for w, left in self._left().items() if left > self.peers[w].taken}
        rounds = dict(sorted((rounds | unread).items()))
        for worker, taken in rounds.items():
            self.peers[worker].taken = taken
        with self.spans("gather"):
            return self._read_updates(rounds)

    def end(self) -> None:
        super().end()
        if self._polled:
            for worker in self.workers:
                self._send_news(worker, self.round_index)

    @property
    def _polled(self) -> bool:
        """True if workers look for the aggregate themselves, and hear only of the last one."""
        return self.poll_interval_s is not None and self.reads_aggregate

    def _newest(self, worker: int, round_index: int) -> int:
        """The round of the worker's newest update, up to this round.

        A worker that gave up waiting for an aggregate is ahead of the aggregator.
        """
        return min(self.peers[worker].published, round_index)

    def _left(self) -> dict[int, int]:
        """The last updates of dropped workers: worker -> round."""
        return {w: peer.left for w, peer in self.peers.items() if peer.left is not None}

    def _announce(self, round_index: int) -> dict[int, int]:
        """Tells each worker with an update in the round's aggregate that the aggregate is there.

        Gives all updates in the aggregate, worker -> round, those of dropped workers included. A
        late worker hears of the first aggregate that has its update.
        """
        averaged = dict.fromkeys(self.workers, round_index)
        if self.config.straggler_timeout is not None:
            averaged = {w: self.peers[w].taken for w in self.workers if not self.peers[w].late}
        if not self._polled:
            for worker in averaged:
                self._send_news(worker, round_index)
        averaged |= self._left()
        for peer in self.peers.values():
            peer.left = None
        return averaged

    def ready_s(self, updates: Sequence[Update]) -> tuple[float | None, ...]:
        return ready_s(self.peers, updates, self.config.workers)

    def finish(self, timeout_s: float) -> None:
        for worker in self.workers:
            if self.peers[worker].late:  # its wait for an aggregate ends, and so does the worker
                self._send_news(worker, self.round_index)
        self._await(
            lambda: [worker for worker in self.workers if not self.peers[worker].finished],
            Deadline(timeout_s, self.config.straggler_timeout),
        )

    def drop(self, worker: int) -> None:
        """Goes on without a worker. The next aggregate still has an update that nobody has read."""
        super().drop(worker)
        peer = self.peers[worker]
        peer.late = False
        if peer.published > peer.taken:
            peer.left = peer.published

    def lifetimes(self) -> dict[int, tuple[float, float]]:
        return {
            worker: (peer.began, peer.ended)
            for worker, peer in self.peers.items()
            if peer.ended is not None
        }

    # --- messages ---

    def poll(self) -> None:
        try:
            self._receive(0)
        except WorkerError as error:
            self._inbox.appendleft(Failed(worker=error.worker, error=error))

    def _receive(self, timeout_s: float) -> None:
        """Handles the messages that have come; after a failure the rest stays for later."""
        if not self._inbox:
            self._inbox.extend(self._messages(timeout_s))
        while self._inbox:
            message = self._inbox.popleft()
            if message.worker in self.workers:  # it was not dropped
                self.peers[message.worker].last_seen.note(message)
                self._handle(message)

    def _handle(self, message: Message) -> None:
        match message:
            case Published(worker=worker, round_index=round_index):
                peer = self.peers[worker]
                peer.published, peer.ready_at = round_index, time.perf_counter()
            case HandedOn(group=group, turn=turn):
                assert self._turns is not None
                self._turns[group] = turn
            case Finished(worker=worker):
                self.peers[worker].finished = True
                self.on_message(message)
            case Failed(error=error):
                raise error
            case _:
                self.on_message(message)

    # --- waiting ---

    def _await(
        self,
        missing: Callable[[], list[int]],
        deadline: Deadline,
        poll_interval_s: float | None = None,
    ) -> list[int]:
        """Receives messages until no worker is missing or patience ends; gives the missing ones."""
        enough = max(self.config.min_workers, -(-len(self.workers) // 2))
        while absent := missing():
            here = len(self.workers) - len(absent)
            remaining_s = deadline.remaining_s(enough=here >= enough)
            if deadline.is_past:
                raise self._late_error(absent, deadline.timeout_s)
            if not remaining_s:
                break
            if poll_interval_s is not None:
                time.sleep(min(poll_interval_s, remaining_s))
                remaining_s = 0.0
            try:
                self._receive(remaining_s)
            except WorkerError as error:
                if not error.waited or not (absent := missing()):
                    raise
                raise self._late_error(absent, deadline.timeout_s) from error
        return absent

    def _late_error(self, absent: Sequence[int], timeout_s: float) -> WorkerError:
        """The error of the worker that keeps the others waiting."""
        worker = absent[0] if self._turns is None else last_of(self.task, self._turns, absent)
        reason = f"nothing was heard of it within round_timeout={timeout_s:g} s"
        return self._error_of(worker, reason)

    def _error_of(self, worker: int, reason: str, exit_code: int | None = None) -> WorkerError:
        """An error that says where the worker was when it was seen last."""
        seen = self.peers[worker].last_seen
        return WorkerError(worker, seen.round_index, reason, phase=seen.phase, exit_code=exit_code)
