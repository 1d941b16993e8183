"""What a backend is: how workers are started, and what carries a vector between them and the
   aggregator.

Two ends. A worker holds an `Exchange` (ddp/workers/exchange.py) and knows nothing else; the
aggregator holds the `Backend`. A published vector never aliases live weights, a received one never
aliases the store, and no wait is without a deadline.
"""

import math
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from ddp.errors import WorkerError
from ddp.ratings.arrays import IndexArray
from ddp.timing.paths import START
from ddp.timing.spans import Spans
from ddp.tracking.messages import (
    EpochDone,
    Failed,
    Finished,
    HandedOn,
    Message,
    Published,
    Started,
    WorkerRound,
)
from ddp.workers.backend import Backend
from ddp.workers.exchange import Update
from ddp.workers.job import Job, Task


class ConcurrentBackend(Backend):
    """Workers that run at the same time and send messages: how to wait for them with a deadline.

    `poll_interval_s`: look for the workers' ready flags this often, as the document does; None: be
    notified.
    """

    def __init__(
        self,
        task: Task,
        jobs: Sequence[Job],
        listen: Callable[[Message], None],
        poll_interval_s: float | None,
    ) -> None:
        super().__init__(task, jobs, listen)
        self.poll_interval_s = poll_interval_s
        before = task.first_round - 1
        # the last round that each worker has announced ...
        self._published = dict.fromkeys(self.workers, before)
        self._taken = dict.fromkeys(self.workers, before)  # ... and the last that was gathered
        self._late: set[int] = set()  # who was missing when updates were gathered last
        self._left: dict[int, int] = {}  # updates of dropped workers: of which round
        self._finished: set[int] = set()
        self._whereabouts = {
            worker: Whereabouts(before + 1, self.config.local_epochs) for worker in self.workers
        }
        self._inbox: deque[Message] = deque()
        # of groups of items: who is waited for is seen from them
        self._counters: IndexArray | None = None

    @abstractmethod
    def _messages(self, timeout_s: float) -> list[Message]:
        """What workers have said; waits up to `timeout_s` for a first message. Raises WorkerError
        for a dead worker.
        """

    def _is_ready(self, worker: int, round_index: int, spans: Spans) -> bool:
        """Looks into the store whether the worker has published the round (for backends that can
        poll).
        """
        raise NotImplementedError

    @abstractmethod
    def _read_updates(self, rounds: Mapping[int, int], spans: Spans) -> list[Update]:
        """What each of the workers has published in its round, in this order."""

    def gather(self, round_index: int, timeout_s: float, spans: Spans) -> list[Update]:
        def missing() -> list[int]:
            if self.poll_interval_s is None:
                return [w for w in self.workers if self._newest(w, round_index) <= self._taken[w]]
            return [w for w in self.workers if not self._is_ready(w, round_index, spans)]

        with spans("wait"):
            self._await(
                missing, timeout_s, round_index, self.poll_interval_s, self.config.straggler_timeout
            )
        # Whoever polls sees the store before it hears the messages.
        rounds = dict.fromkeys(self.workers, round_index)
        if self.config.straggler_timeout is not None:
            self._late = set(missing())
            rounds = {w: self._newest(w, round_index) for w in self.workers if w not in self._late}
        unread = {worker: left for worker, left in self._left.items() if left > self._taken[worker]}
        rounds = dict(sorted((rounds | unread).items()))
        self._taken |= rounds
        with spans("gather"):
            return self._read_updates(rounds, spans)

    def _newest(self, worker: int, round_index: int) -> int:
        """The round of the update that a worker can be counted with. (One that gave up waiting for
        an aggregate is ahead.)
        """
        return min(self._published[worker], round_index)

    def _counted(self, round_index: int) -> dict[int, int]:
        """The workers that count in the aggregate of a round, with the round of their update.

        They hear of it; a late worker hears of the first one that it counts in.
        """
        if self.config.straggler_timeout is None:
            return dict.fromkeys(self.workers, round_index)
        return {worker: self._taken[worker] for worker in self.workers if worker not in self._late}

    def hear(self) -> None:
        try:
            self._listen(0)
        except WorkerError as error:
            self._inbox.appendleft(Failed(worker=error.worker, error=error))

    def _listen(self, timeout_s: float) -> None:
        """Takes note of what was said; of the rest another time, if one of the messages is a
        failure.
        """
        if not self._inbox:
            self._inbox.extend(self._messages(timeout_s))
        while self._inbox:
            message = self._inbox.popleft()
            if message.worker in self.workers:  # else it was dropped
                self._whereabouts[message.worker].note(message)
                self._handle(message)

    @abstractmethod
    def _send_news(self, worker: int, round_index: int) -> None:
        """Lets a worker know that the aggregate of the round is out. One that has died need not
        hear it.
        """

    def finish(self, timeout_s: float) -> None:
        last_round = self.config.rounds - 1
        for worker in self._late:  # it has published, or will; then it ends as well
            self._send_news(worker, last_round)
        self._await(
            lambda: [worker for worker in self.workers if worker not in self._finished],
            timeout_s,
            last_round,
            None,
            self.config.straggler_timeout,
        )

    def drop(self, worker: int) -> None:
        """What it has published and nobody has read counts once more."""
        super().drop(worker)
        self._late.discard(worker)
        if self._published[worker] > self._taken[worker]:
            self._left[worker] = self._published[worker]

    def _await(
        self,
        missing: Callable[[], list[int]],
        timeout_s: float,
        round_index: int | None,
        poll_interval_s: float | None,
        patience_s: float | None = None,
    ) -> None:
        """Listens until nobody is missing, or for `patience_s` from when enough are there."""
        deadline = time.monotonic() + timeout_s
        enough = max(self.config.min_workers, -(-len(self.workers) // 2))
        patient_until = math.inf
        while absent := missing():
            now = time.monotonic()
            if now >= deadline:
                raise self._late_error(absent, timeout_s)
            if patience_s is not None and len(self.workers) - len(absent) >= enough:
                patient_until = min(patient_until, now + patience_s)
                if now >= patient_until:
                    return
            remaining_s = min(deadline, patient_until) - now
            if poll_interval_s is not None:
                time.sleep(min(poll_interval_s, remaining_s))
                remaining_s = 0
            try:
                self._listen(remaining_s)
            except WorkerError as error:
                if not error.waited or not (absent := missing()):
                    raise
                raise self._late_error(absent, timeout_s) from error

    def _late_error(self, absent: Sequence[int], timeout_s: float) -> WorkerError:
        """Blames the one that has not come; of workers that wait for each other the one that all
        wait for.
        """
        worker = absent[0]
        if self.strata is not None and self._counters is not None:
            turns = self._counters[: self.strata.num_workers].tolist()
            holders = {self.strata.holder(group, turn): turn for group, turn in enumerate(turns)}
            # who waits holds nothing
            worker = min(absent, key=lambda worker: holders.get(worker, math.inf))
        where = self._whereabouts[worker]
        reason = f"nothing was heard of it within round_timeout={timeout_s:g} s"
        return WorkerError(worker, where.round_index, reason, phase=where.phase)

    def _handle(self, message: Message) -> None:
        match message:
            case Published(worker=worker, round_index=round_index):
                self._published[worker] = round_index
                self._ready_at[worker] = round_index, time.perf_counter()
            case HandedOn(group=group, turn=turn):
                if self._counters is None:
                    self._counters = self._first_turns()
                self._counters[group] = turn
            case Finished(worker=worker):
                self._finished.add(worker)
                self.listen(message)
            case Failed(error=error):
                raise error
            case _:
                self.listen(message)


class Whereabouts:
    """`round_index`: None before its first; `phase`: the span that it was about to open."""

    def __init__(self, first_round: int, local_epochs: int) -> None:
        self.round_index: int | None = None
        self.phase = START
        self._first_round = first_round
        self._local_epochs = local_epochs

    def note(self, message: Message) -> None:
        """It has said this."""
        match message:
            case Started():
                self.round_index, self.phase = self._first_round, "compute"
            case EpochDone(round_index=round_index, epoch=epoch):
                is_last = epoch == self._local_epochs - 1
                self.round_index, self.phase = round_index, "publish" if is_last else "compute"
            case Published(round_index=round_index):
                self.round_index, self.phase = round_index, "wait"
            case WorkerRound(round_index=round_index):
                self.round_index, self.phase = round_index + 1, "compute"
