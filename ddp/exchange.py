"""A worker's view of the others: the one interface that the loops in worker.py and aggregator.py are written against."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from ddp.messages import Message
from ddp.parameters import Vector
from ddp.timing import Spans


@dataclass(slots=True, kw_only=True)
class Update:
    """What a worker publishes at the end of a round: its best state, that state's RMSE, and the loss that may weigh it."""

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
