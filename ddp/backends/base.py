"""What a backend is: how workers are started, and what carries a vector between them and the aggregator.

Two ends. A worker holds an `Exchange` (ddp/exchange.py) and knows nothing else; the aggregator holds the `Backend`. A
published vector never aliases live weights, a received one never aliases the store, and no wait is without a deadline.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np

from ddp.errors import WorkerError
from ddp.exchange import Update
from ddp.job import Job
from ddp.messages import Failed, Finished, Message, Published
from ddp.parameters import Vector
from ddp.timing import Spans
from ddp.trainers import warm_up


class Backend(ABC):
    """The aggregator's end, and the life of the workers: they run between `start` and `stop`.

    `listen` is called, on the aggregator's thread, with every message that a worker sends.
    """

    def __init__(self, jobs: Sequence[Job], listen: Callable[[Message], None]) -> None:
        self.jobs = jobs
        self.listen = listen
        self.num_workers = len(jobs)
        self.hands_rows_on = jobs[0].strata is not None  # workers do, to each other
        self.reads_aggregate = jobs[0].reads_aggregate  # workers do; else they need to hear of it only
        self.aggregate_length = len(jobs[0].make_aggregate().vector)
        self._room: Vector | None = None

    def load(self) -> None:
        """Imports and compiles what is needed before `start`, here: by several workers at once it would take longer."""
        warm_up(self.jobs[0].config.trainer)

    @abstractmethod
    def start(self) -> None:
        """Starts the workers."""

    @abstractmethod
    def gather(self, round_index: int, timeout_s: float, spans: Spans) -> list[Update]:
        """Waits for every worker's update of the round; in worker order. Raises WorkerError for a late or failed worker."""

    def room(self) -> Vector:
        """Where the aggregate may be written: no worker reads the one before it any more."""
        if self._room is None:
            self._room = np.empty(self.aggregate_length, np.float32)
        return self._room

    @abstractmethod
    def broadcast(self, round_index: int, vector: Vector, spans: Spans) -> None:
        """Hands the aggregate of the round to the workers, then drops what nobody will read again."""

    @abstractmethod
    def finish(self, timeout_s: float) -> None:
        """Waits until every worker has handed over its last row. Raises WorkerError for a late or failed worker."""

    @abstractmethod
    def stop(self) -> None:
        """Ends what still runs and gives back what was taken; also after a failure, in the middle of a round."""


class ConcurrentBackend(Backend):
    """Workers that run at the same time and send messages: how to wait for them with a deadline.

    `poll_interval_s`: look for the workers' ready flags this often, as the document does; None: be notified.
    """

    def __init__(self, jobs: Sequence[Job], listen: Callable[[Message], None], poll_interval_s: float | None) -> None:
        super().__init__(jobs, listen)
        self.poll_interval_s = poll_interval_s
        self._published = [-1] * self.num_workers  # the last round that each worker has announced
        self._finished = [False] * self.num_workers

    @abstractmethod
    def _messages(self, timeout_s: float) -> list[Message]:
        """What workers have said; waits up to `timeout_s` for a first message. Raises WorkerError for a dead worker."""

    def _is_ready(self, worker: int, round_index: int, spans: Spans) -> bool:
        """Looks into the store whether the worker has published the round (for backends that can poll)."""
        raise NotImplementedError

    @abstractmethod
    def _read_updates(self, round_index: int, spans: Spans) -> list[Update]:
        """The updates of a round that every worker has published, in worker order."""

    def gather(self, round_index: int, timeout_s: float, spans: Spans) -> list[Update]:
        def missing() -> list[int]:
            if self.poll_interval_s is None:
                return [w for w in range(self.num_workers) if self._published[w] < round_index]
            return [w for w in range(self.num_workers) if not self._is_ready(w, round_index, spans)]

        with spans("wait"):
            self._await(missing, timeout_s, round_index, self.poll_interval_s)
        with spans("gather"):
            return self._read_updates(round_index, spans)

    def finish(self, timeout_s: float) -> None:
        last_round = self.jobs[0].config.rounds - 1
        self._await(lambda: [w for w in range(self.num_workers) if not self._finished[w]], timeout_s, last_round, None)

    def _await(
        self, missing: Callable[[], list[int]], timeout_s: float, round_index: int | None, poll_interval_s: float | None
    ) -> None:
        """Listens until nobody is missing."""
        deadline = time.monotonic() + timeout_s
        while absent := missing():
            remaining_s = deadline - time.monotonic()
            if remaining_s <= 0:
                raise WorkerError(absent[0], round_index, f"nothing was heard of it within round_timeout={timeout_s:g} s")
            if poll_interval_s is not None:
                time.sleep(min(poll_interval_s, remaining_s))
                remaining_s = 0
            for message in self._messages(remaining_s):
                self._handle(message)

    def _handle(self, message: Message) -> None:
        match message:
            case Published(worker=worker, round_index=round_index):
                self._published[worker] = round_index
            case Finished(worker=worker):
                self._finished[worker] = True
                self.listen(message)
            case Failed(error=error):
                raise error
            case _:
                self.listen(message)
