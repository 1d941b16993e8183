"""A worker's view of the others: the one interface that the rounds in worker.py and stratified.py are written against."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ddp.messages import Message
from ddp.parameters import Vector
from ddp.timing import Spans


@dataclass(slots=True, kw_only=True)
class Update:
    """What a worker publishes at the end of a round: its best state, that state's RMSE, and the loss that may weigh it.

    With split=stratified the rows that it holds, one after another.
    """

    worker: int
    round_index: int
    vector: Vector
    rmse: float
    loss: float


class Stopped(Exception):  # not an error: the run ended before the worker did
    """Raised inside a worker that must end early because the run is being stopped."""


class Exchange(ABC):
    """A worker's end of a backend. `spans` is the worker's stopwatch: an implementation opens the finer spans in it."""

    @abstractmethod
    def publish(self, update: Update, spans: Spans) -> None:
        """Makes the update visible to the aggregator; `update.vector` may be changed as soon as this returns."""

    @abstractmethod
    def wait(self, round_index: int, timeout_s: float, spans: Spans) -> bool:
        """Waits until the aggregate of the round is there; False after `timeout_s`."""

    @abstractmethod
    def receive_into(self, out: Vector, round_index: int, spans: Spans) -> None:
        """Copies the aggregate of the round, which `wait` has seen, into `out`."""

    @abstractmethod
    def tell(self, message: Message) -> None:
        """Hands a message to the aggregator's side. Raises Stopped when the run is being stopped."""

    # --- split=stratified: no vector is averaged, rows go from worker to worker ---

    def common(self, vector: Vector) -> Vector:
        """A copy of `vector` to train in: the same for all workers where they share memory."""
        return vector.copy()

    @abstractmethod
    def hand_on(self, worker: int, turn: int, rows: Sequence[Vector], spans: Spans) -> None:
        """Lets another worker have `rows` (views of the common vector) in its turn `turn`. They are not ours any more."""

    @abstractmethod
    def take(self, turn: int, rows: Sequence[Vector], timeout_s: float, spans: Spans) -> bool:
        """Waits until `rows` have been handed on to us for our turn `turn`; False after `timeout_s`."""


class Turns:
    """Which of our turns may begin. `next_turn(timeout_s)` gives the number that comes in next; None if none has."""

    def __init__(self, next_turn: Callable[[float], int | None]) -> None:
        self._next_turn = next_turn
        self._begun: set[int] = set()  # those whose number came while we waited for an earlier one

    def wait(self, turn: int, timeout_s: float) -> bool:
        """Waits for the number of the turn; False after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while turn not in self._begun:
            number = self._next_turn(max(0.0, deadline - time.monotonic()))
            if number is None:
                return False
            self._begun.add(number)
        self._begun.remove(turn)
        return True
