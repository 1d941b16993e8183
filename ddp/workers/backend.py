"""The aggregator's end of a backend: the interface that the aggregator uses."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np

from ddp.model.parameters import Vector
from ddp.timing.spans import Spans
from ddp.tracking.messages import Message
from ddp.trainers.trainer import trainer_for
from ddp.workers.exchange import Exchange, Update
from ddp.workers.job import Job, Task

OnMessage = Callable[[Message], None]


def unchanged(worker: int, exchange: Exchange) -> Exchange:
    """The exchange itself: the `wrap` of a backend outside of tests."""
    return exchange


class Backend(ABC):
    """The aggregator's end, and the life of the workers: they run between `start` and `stop`.

    | argument     | meaning                                                                       |
    |--------------|-------------------------------------------------------------------------------|
    | `jobs`       | one for each worker; the caller keeps none, so that their RAM can be freed    |
    | `on_message` | gets every message of a worker, on the aggregator's thread                    |
    | `spans`      | the aggregator's stopwatch; None: one that nobody reads                       |

    `wrap(worker, exchange)` gives the exchange that a worker uses. A test may set `wrap` before
    `start`, to watch a worker or to make it fail. It runs in the worker, so it must be one that can
    be pickled if the workers are processes.
    """

    def __init__(
        self, task: Task, jobs: Sequence[Job], on_message: OnMessage, spans: Spans | None = None
    ) -> None:
        self.task = task
        self.jobs = list(jobs)
        self.config = task.config
        self.on_message = on_message
        self.spans = spans or Spans()
        self.wrap: Callable[[int, Exchange], Exchange] = unchanged
        self.workers = [job.worker for job in jobs]  # all but those that were dropped
        self.strata = task.strata
        self.sweeping = task.sweeping
        # True: workers continue from the aggregate; False: they only hear that it is there
        self.reads_aggregate = task.config.reads_aggregate
        self.first_round = task.first_round
        self.aggregate_length = len(task.make_aggregate().vector)
        self.is_over = False  # True: no aggregate comes after the next one
        self.shared_bytes = 0  # memory that several processes have in common on purpose
        self._buffers: list[Vector] = []

    def load(self) -> None:
        """Imports and compiles the code that workers need, before `start`.

        Several workers that did this at once would take longer.
        """
        trainer_for(self.config.trainer).warm_up()

    @abstractmethod
    def start(self) -> None:
        """Starts the workers."""

    @abstractmethod
    def gather(self, round_index: int, timeout_s: float) -> list[Update]:
        """Waits for every worker's update of the round, and gives them in worker order.

        Raises WorkerError for a late or failed worker. With `straggler_timeout` late workers may be
        missing; their updates then count in the next round.
        """

    def ready_s(self, updates: Sequence[Update]) -> tuple[float | None, ...]:
        """For each worker the seconds from its update to the last one of these updates.

        None for a worker without an update. None for all if workers run one after another.
        """
        return (None,) * self.config.workers

    def servers(self) -> dict[str, int]:
        """Ids of the processes that serve all workers, by name."""
        return {}

    def aggregate_buffer(self, round_index: int) -> Vector:
        """The vector into which the aggregator writes the aggregate of the round.

        The aggregate of the round before lies in another one, and stays as it is.
        """
        if not self._buffers:
            self._buffers = [np.empty(self.aggregate_length, np.float32) for _ in range(2)]
        return self._buffers[round_index % 2]

    def end(self) -> None:
        """Makes the aggregate that is broadcast next the last one: workers end after it."""
        self.is_over = True

    @abstractmethod
    def broadcast(self, round_index: int, vector: Vector) -> None:
        """Hands the aggregate of the round to the workers, and frees what nobody reads again."""

    @abstractmethod
    def poll(self) -> None:
        """Passes on the messages that have come, and does not wait for more.

        The next wait raises a failure that is among them.
        """

    @abstractmethod
    def finish(self, timeout_s: float) -> None:
        """Waits until every worker has sent its last message.

        Raises WorkerError for a late or failed worker.
        """

    def drop(self, worker: int) -> None:
        """Goes on without a worker, and ends it if possible."""
        self.workers.remove(worker)

    @abstractmethod
    def lifetimes(self) -> dict[int, tuple[float, float]]:
        """For each worker that has ended: when its start began, and when it had ended.

        Both are readings of `time.perf_counter`.
        """

    @abstractmethod
    def stop(self) -> None:
        """Ends the workers that still run, and frees everything that the backend holds.

        It may come in the middle of a round, after a failure.
        """
