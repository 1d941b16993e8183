"""The aggregator's end of a backend: the interface that the aggregator is written against."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np

from ddp.model.parameters import Vector
from ddp.ratings.arrays import IndexArray
from ddp.timing.spans import Spans
from ddp.tracking.messages import Message
from ddp.trainers.trainer import trainer_for
from ddp.workers.exchange import Update
from ddp.workers.job import Job, Task


class Backend(ABC):
    """The aggregator's end, and the life of the workers: they run between `start` and `stop`.

    `listen` is called, on the aggregator's thread, with every message that a worker sends.
    """

    def __init__(self, task: Task, jobs: Sequence[Job], listen: Callable[[Message], None]) -> None:
        self.task = task
        self.jobs = list(jobs)
        self.config = task.config
        self.listen = listen
        self.workers = [job.worker for job in jobs]  # who is still there
        self.strata = task.strata
        # workers do; else they need to hear of it only
        self.reads_aggregate = task.config.reads_aggregate
        # workers do, and send their states in some rounds
        self.has_trainer_state = task.has_trainer_state
        self.aggregate_length = len(task.make_aggregate().vector)
        self.first_round = task.first_round
        self._rooms: list[Vector] = []
        # each worker's last round, and when its update was ready
        self._ready_at: dict[int, tuple[int, float]] = {}
        # When each worker was begun to be started, and when it had ended: readings of
        # `time.perf_counter`.
        self.began: dict[int, float] = {}
        self.ended: dict[int, float] = {}

    def load(self) -> None:
        """Imports and compiles what is needed before `start`, here: by several workers at once it
        would take longer.
        """
        trainer_for(self.config.trainer).warm_up()

    @abstractmethod
    def start(self) -> None:
        """Starts the workers."""

    @abstractmethod
    def gather(self, round_index: int, timeout_s: float, spans: Spans) -> list[Update]:
        """Waits for every worker's update of the round; in worker order. Raises WorkerError for a
           late or failed worker.

        With `straggler_timeout` a late one may be missing; what it publishes then counts in the
        next round.
        """

    def ready_s(self, updates: Sequence[Update]) -> tuple[float | None, ...]:
        """How long each worker had been ready when the last of these updates was; None for a worker
        without one.
        """
        if not self._ready_at:
            return (None,) * self.config.workers
        ready = {}
        for update in updates:
            round_index, at_s = self._ready_at.get(update.worker, (-1, 0.0))
            # Who polls may see that a worker is ready before it hears of it.
            ready[update.worker] = (
                at_s if round_index >= update.round_index else time.perf_counter()
            )
        last = max(ready.values(), default=0.0)
        return tuple(
            last - ready[worker] if worker in ready else None
            for worker in range(self.config.workers)
        )

    def servers(self) -> dict[str, int]:
        """Processes that serve all workers, by name: their ids."""
        return {}

    @property
    def shared_bytes(self) -> int:
        """Memory that several processes have in common on purpose."""
        return 0

    def room(self, round_index: int) -> Vector:
        """Where the aggregate of the round may be written. That of the round before lies elsewhere,
        and stays as it is.
        """
        if not self._rooms:
            self._rooms = [np.empty(self.aggregate_length, np.float32) for _ in range(2)]
        return self._rooms[round_index % 2]

    @abstractmethod
    def broadcast(self, round_index: int, vector: Vector, spans: Spans) -> None:
        """Hands the aggregate of the round to the workers, then drops what nobody will read
        again.
        """

    @abstractmethod
    def hear(self) -> None:
        """Listens to what workers have said meanwhile, without waiting for more. Of a failure one
        hears when one waits next.
        """

    @abstractmethod
    def finish(self, timeout_s: float) -> None:
        """Waits until every worker has handed over its last row. Raises WorkerError for a late or
        failed worker.
        """

    def drop(self, worker: int) -> None:
        """Goes on without a worker, which ends if it still can."""
        self.workers.remove(worker)

    @abstractmethod
    def stop(self) -> None:
        """Ends what still runs and gives back what was taken; also after a failure, in the middle
        of a round.
        """

    def _first_turns(self) -> IndexArray:
        """Counters for gates, one for each group of items and the last one of them all, as they are
        before the first turn.
        """
        assert self.strata is not None
        first_turn = self.strata.first_turn(self.first_round)
        counters: IndexArray = np.full(self.strata.num_workers + 1, first_turn, np.int64)
        counters[-1] = 0
        return counters
