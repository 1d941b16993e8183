"""What a backend is: how workers are started, and what carries a vector between them and the aggregator.

Two ends. A worker holds an `Exchange` (ddp/workers/exchange.py) and knows nothing else; the aggregator holds the `Backend`. A
published vector never aliases live weights, a received one never aliases the store, and no wait is without a deadline.
"""

import math
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ddp.backends.whereabouts import Whereabouts
from ddp.errors import WorkerError
from ddp.model.parameters import Vector
from ddp.ratings.arrays import IndexArray
from ddp.timing.spans import Spans
from ddp.tracking.messages import Failed, Finished, HandedOn, Message, Published
from ddp.trainers.trainer import warm_up
from ddp.workers.exchange import Update
from ddp.workers.job import Job


class Backend(ABC):
    """The aggregator's end, and the life of the workers: they run between `start` and `stop`.

    `listen` is called, on the aggregator's thread, with every message that a worker sends.
    """

    def __init__(self, jobs: Sequence[Job], listen: Callable[[Message], None]) -> None:
        first = jobs[0]
        self.jobs = jobs
        self.config = first.config
        self.listen = listen
        self.workers = [job.worker for job in jobs]  # who is still there
        self.strata = first.strata
        self.reads_aggregate = first.reads_aggregate  # workers do; else they need to hear of it only
        self.remembers = first.memory_length > 0  # workers do, and hand their memories over in some rounds
        self.aggregate_length = len(first.make_aggregate().vector)
        self.first_turn = 0 if self.strata is None else first.first_round * self.config.local_epochs * self.strata.num_workers
        self._rooms: list[Vector] = []
        self._ready_at: dict[int, tuple[int, float]] = {}  # each worker's last round, and when its update was ready
        # When each worker was begun to be started, and when it had ended: readings of `time.perf_counter`.
        self.began: dict[int, float] = {}
        self.ended: dict[int, float] = {}

    def load(self) -> None:
        """Imports and compiles what is needed before `start`, here: by several workers at once it would take longer."""
        warm_up(self.config.trainer)

    @abstractmethod
    def start(self) -> None:
        """Starts the workers."""

    @abstractmethod
    def gather(self, round_index: int, timeout_s: float, spans: Spans) -> list[Update]:
        """Waits for every worker's update of the round; in worker order. Raises WorkerError for a late or failed worker.

        With `straggler_timeout` a late one may be missing; what it publishes then counts in the next round.
        """

    def ready_s(self, updates: Sequence[Update]) -> tuple[float | None, ...]:
        """How long each worker had been ready when the last of these updates was; None for a worker without one."""
        if not self._ready_at:
            return (None,) * self.config.workers
        ready = {}
        for update in updates:
            round_index, at_s = self._ready_at.get(update.worker, (-1, 0.0))
            # Who polls may see that a worker is ready before it hears of it.
            ready[update.worker] = at_s if round_index >= update.round_index else time.perf_counter()
        last = max(ready.values(), default=0.0)
        return tuple(last - ready[worker] if worker in ready else None for worker in range(self.config.workers))

    def servers(self) -> dict[str, int]:
        """Processes that serve all workers, by name: their ids."""
        return {}

    @property
    def shared_bytes(self) -> int:
        """Memory that several processes have in common on purpose."""
        return 0

    def room(self, round_index: int) -> Vector:
        """Where the aggregate of the round may be written. That of the round before lies elsewhere, and stays as it is."""
        if not self._rooms:
            self._rooms = [np.empty(self.aggregate_length, np.float32) for _ in range(2)]
        return self._rooms[round_index % 2]

    @abstractmethod
    def broadcast(self, round_index: int, vector: Vector, spans: Spans) -> None:
        """Hands the aggregate of the round to the workers, then drops what nobody will read again."""

    @abstractmethod
    def hear(self) -> None:
        """Listens to what workers have said meanwhile, without waiting for more. Of a failure one hears when one waits next."""

    @abstractmethod
    def finish(self, timeout_s: float) -> None:
        """Waits until every worker has handed over its last row. Raises WorkerError for a late or failed worker."""

    def drop(self, worker: int) -> None:
        """Goes on without a worker, which ends if it still can."""
        self.workers.remove(worker)

    @abstractmethod
    def stop(self) -> None:
        """Ends what still runs and gives back what was taken; also after a failure, in the middle of a round."""

    def _first_turns(self) -> IndexArray:
        """Counters for gates, one for each group of items and the last one of them all, as they are before the first turn."""
        assert self.strata is not None
        counters: IndexArray = np.full(self.strata.num_workers + 1, self.first_turn, np.int64)
        counters[-1] = 0
        return counters


class ConcurrentBackend(Backend):
    """Workers that run at the same time and send messages: how to wait for them with a deadline.

    `poll_interval_s`: look for the workers' ready flags this often, as the document does; None: be notified.
    """

    def __init__(self, jobs: Sequence[Job], listen: Callable[[Message], None], poll_interval_s: float | None) -> None:
        super().__init__(jobs, listen)
        self.poll_interval_s = poll_interval_s
        before = jobs[0].first_round - 1
        self._published = dict.fromkeys(self.workers, before)  # the last round that each worker has announced ...
        self._taken = dict.fromkeys(self.workers, before)  # ... and the last that was gathered
        self._late: set[int] = set()  # who was missing when updates were gathered last
        self._left: dict[int, int] = {}  # updates of dropped workers: of which round
        self._finished: set[int] = set()
        self._whereabouts = {worker: Whereabouts(before + 1, self.config.local_epochs) for worker in self.workers}
        self._inbox: deque[Message] = deque()
        self._counters: IndexArray | None = None  # of groups of items: who is waited for is seen from them

    @abstractmethod
    def _messages(self, timeout_s: float) -> list[Message]:
        """What workers have said; waits up to `timeout_s` for a first message. Raises WorkerError for a dead worker."""

    def _is_ready(self, worker: int, round_index: int, spans: Spans) -> bool:
        """Looks into the store whether the worker has published the round (for backends that can poll)."""
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
            self._await(missing, timeout_s, round_index, self.poll_interval_s, self.config.straggler_timeout)
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
        """The round of the update that a worker can be counted with. (One that gave up waiting for an aggregate is ahead.)"""
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
            self._inbox.appendleft(Failed(error=error))

    def _listen(self, timeout_s: float) -> None:
        """Takes note of what was said; of the rest another time, if one of the messages is a failure."""
        if not self._inbox:
            self._inbox.extend(self._messages(timeout_s))
        while self._inbox:
            message = self._inbox.popleft()
            if message.worker in self.workers:  # else it was dropped
                self._whereabouts[message.worker].note(message)
                self._handle(message)

    @abstractmethod
    def _send_news(self, worker: int, round_index: int) -> None:
        """Lets a worker know that the aggregate of the round is out. One that has died need not hear it."""

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
        """Blames the one that has not come; of workers that wait for each other the one that all wait for."""
        worker = absent[0]
        if self.strata is not None and self._counters is not None:
            turns = self._counters[: self.strata.num_workers].tolist()
            holders = {self.strata.holder(group, turn): turn for group, turn in enumerate(turns)}
            worker = min(absent, key=lambda worker: holders.get(worker, math.inf))  # who waits holds nothing
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
