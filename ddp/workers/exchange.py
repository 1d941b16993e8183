"""A worker's end of a backend: the interfaces that worker.py and stratified.py use.

split=iid and the like                      split=stratified: also rows of items, in a ring

worker 0 --publish--> +------------+        worker 0 --hand_on--> worker 1
worker 1 --publish--> | aggregator |            ^                    |
worker 2 --publish--> +------------+            +----- worker 2 <----+
all      <-receive_into--- |
                                            split=both: also rows, from each to all others

                                            worker 0 <--share, take--> worker 1, worker 2
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ddp.model.parameters import EMPTY_VECTOR, Vector
from ddp.ratings.arrays import Doubles
from ddp.timing.spans import Spans
from ddp.tracking.messages import Message

if TYPE_CHECKING:
    from ddp.machine.compiled.gates import Gates
    from ddp.model.room import Room


@dataclass(slots=True, kw_only=True)
class Update:
    """A worker's result of a round, which the worker publishes.

    | field           | meaning                                                                 |
    |-----------------|-------------------------------------------------------------------------|
    | `vector`        | float32, its best state; with split=stratified the rows that it holds   |
    | `rmse`          | the error of that state                                                 |
    | `loss`          | the loss by which an aggregation may weigh the state                    |
    | `trainer_state` | float32, all else that the worker needs to begin the next round again;  |
    |                 | empty unless the run may go back to this round (`Task.sends_state`)     |
    """

    worker: int
    round_index: int
    vector: Vector
    rmse: float
    loss: float
    trainer_state: Vector = field(default_factory=lambda: EMPTY_VECTOR)


class News(NamedTuple):
    """Tells a worker that a round has its aggregate. `is_last`: no other round follows."""

    round_index: int
    is_last: bool = False


class RowPassing(ABC):
    """How groups of item rows go from worker to worker (split=stratified).

    `gates`: the counters of the turns, if the workers share memory. A compiled loop waits for a
    counter and sets it, and does not call `take` and `hand_on`.
    """

    gates: "Gates | None" = None

    @abstractmethod
    def working_vector(self, start: Vector) -> Vector:
        """The vector to train in, equal to `start`. Workers that share memory get the same one."""

    @abstractmethod
    def take(
        self, group: int, turn: int, before: int, rows: Sequence[Vector], timeout_s: float
    ) -> bool:
        """Waits for a group of items in turn `turn`. Worker `before` held it in the turn before.

        Workers that share no memory get the group's rows in `rows`, views of the working vector.
        False after `timeout_s`.
        """

    @abstractmethod
    def hand_on(self, group: int, turn: int, to: int, rows: Sequence[Vector]) -> None:
        """Gives a group of items to worker `to`, which may be this one, for turn `turn`.

        `rows`: views of the working vector. This worker must not touch them any more.
        """


class RowSharing(ABC):
    """How each worker's rows and sums get to all others after each half of an epoch (split=both).

    `gates`: the counters of the phases, if the workers share memory. A compiled loop waits for them
    and sets them, and does not call `share` and `take`.
    """

    gates: "Gates | None" = None

    @abstractmethod
    def working_vector(self, start: Vector) -> Vector:
        """The vector to train in, equal to `start`. Workers that share memory get the same one."""

    @abstractmethod
    def working_room(self) -> "Room":
        """The other arrays that all have, shared like the vector."""

    @abstractmethod
    def share(self, phase: int, arrays: Sequence[Vector | Doubles]) -> None:
        """Gives all others these arrays, which are views of the working memory."""

    @abstractmethod
    def take(
        self, phase: int, worker: int, arrays: Sequence[Vector | Doubles], timeout_s: float
    ) -> bool:
        """Waits for those of another worker, and writes them to its arrays here.

        False after `timeout_s`.
        """


class Exchange(ABC):
    """A worker's end of a backend.

    `spans`: the worker's stopwatch; a backend opens finer spans in it. `news`: the last that the
    worker has heard. `rows`: how rows go from worker to worker, and `sharing`: how they get to all;
    None unless split=stratified, or split=both.
    """

    def __init__(
        self, spans: Spans, rows: RowPassing | None = None, sharing: RowSharing | None = None
    ) -> None:
        self.spans = spans
        self.rows = rows
        self.sharing = sharing
        self.news = News(-1)

    @abstractmethod
    def publish(self, update: Update) -> None:
        """Makes the update visible to the aggregator.

        The worker may change `update.vector` as soon as this returns.
        """

    @abstractmethod
    def wait(self, round_index: int, timeout_s: float) -> bool:
        """Waits for the aggregate of the round, or a later one.

        False after `timeout_s`, and if the run has ended with an earlier round (`news.is_last`).
        """

    def _is_over_before(self, round_index: int) -> bool:
        """True if the run has ended with an earlier round, which this worker heard late."""
        return self.news.is_last and self.news.round_index < round_index

    @abstractmethod
    def receive_into(self, out: Vector, round_index: int) -> int:
        """Copies the aggregate that `wait` has seen into `out`, and gives its round.

        That is a later round than `round_index` if the worker was late.
        """

    @abstractmethod
    def tell(self, message: Message) -> None:
        """Sends a message to the aggregator. Raises Stopped when the run is being stopped."""
