"""Who is told what happens: nobody, the history, TensorBoard (ddp/tracking/tensorboard.py). The
loop never asks which.
"""

from collections.abc import Sequence
from contextlib import ExitStack

from ddp.timing.spans import Account
from ddp.tracking.messages import (
    AggregateRound,
    EpochDone,
    Failure,
    Finished,
    Message,
    Reference,
    Started,
    WorkerRound,
)

AGGREGATED, AGGREGATOR, POOLED, ONE_WORKER = (
    "aggregated",
    "aggregator",
    "workers_pooled",
    "one_worker",
)
PARTS = ("valid", "test")


def worker_name(worker: int) -> str:
    """How a worker is called in tags and tables."""
    return f"worker_{worker}"


def pickle_s(account: Account) -> float:
    """Seconds spent serialising and deserialising."""
    return account.kind_s("serialise") + account.kind_s("deserialise")


class Tracker:
    """Is told everything, and does nothing with it. `trouble`: why it could not write down what it
    was told.
    """

    trouble: str | None = None

    def open(self) -> None:
        """The run has its directory: something will come."""

    def started(self, message: Started) -> None:
        """A worker is about to train."""

    def epoch(self, message: EpochDone) -> None:
        """A worker has finished a local epoch."""

    def worker_round(self, row: WorkerRound) -> None:
        """A worker has finished a round."""

    def finished(self, message: Finished) -> None:
        """A worker has finished its last round."""

    def ended(self, worker: int, began: float, ended: float) -> None:
        """A worker's thread or process is no more: when its start was begun, and when it was seen
        to have ended.
        """

    def aggregate_round(self, row: AggregateRound) -> None:
        """The aggregate of a round has been evaluated."""

    def failure(self, failure: Failure) -> None:
        """A worker has failed, and what is done about it is decided."""

    def rewind(self, next_round: int, last: AggregateRound | None) -> None:
        """The run goes on with this round: what was told of it and of later ones does not count.
        `last`: the aggregate before.
        """

    def reference(self, reference: Reference) -> None:
        """What one worker reaches is known. Comes after the last round."""

    def close(self) -> None:
        """Nothing more will come."""

    def listen(self, message: Message) -> None:
        """Passes a worker's message to the method for it."""
        match message:
            case Started():
                self.started(message)
            case EpochDone():
                self.epoch(message)
            case WorkerRound():
                self.worker_round(message)
            case Finished():
                self.finished(message)


class Everyone(Tracker):
    """Tells several trackers, in order."""

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self.trackers = trackers

    def open(self) -> None:
        for tracker in self.trackers:
            tracker.open()

    def listen(self, message: Message) -> None:
        for tracker in self.trackers:
            tracker.listen(message)

    def aggregate_round(self, row: AggregateRound) -> None:
        for tracker in self.trackers:
            tracker.aggregate_round(row)

    def ended(self, worker: int, began: float, ended: float) -> None:
        for tracker in self.trackers:
            tracker.ended(worker, began, ended)

    def failure(self, failure: Failure) -> None:
        for tracker in self.trackers:
            tracker.failure(failure)

    def rewind(self, next_round: int, last: AggregateRound | None) -> None:
        for tracker in self.trackers:
            tracker.rewind(next_round, last)

    def reference(self, reference: Reference) -> None:
        for tracker in self.trackers:
            tracker.reference(reference)

    def close(self) -> None:
        with ExitStack() as stack:  # closes the others also when one cannot be closed
            for tracker in reversed(self.trackers):
                stack.callback(tracker.close)
