"""Trackers get every event of a run. The run never asks which trackers there are.

A lane is one row of a time line: a worker or the aggregator. Files and tags name the lane, or the
other source of a row, in a column or field `who`:

| name | its figures are of |
|---|---|
| `worker_name(...)` | a worker |
| AGGREGATOR | the aggregator: its seconds and bytes |
| AGGREGATED | the aggregate: its errors; in rounds.csv also the aggregator |
| POOLED | all workers together, each on its own parts |
| ONE_WORKER | the one worker that the run is compared with |
"""

from collections.abc import Sequence
from contextlib import ExitStack

from ddp.tracking.messages import Event

AGGREGATED, AGGREGATOR, POOLED, ONE_WORKER = (
    "aggregated",
    "aggregator",
    "workers_pooled",
    "one_worker",
)
PARTS = ("valid", "test")


def worker_name(worker: int) -> str:
    """The name of a worker in tags and tables."""
    return f"worker_{worker}"


class Tracker:
    """Ignores every event. A subclass overrides `on` for the events that it wants.

    `trouble`: the reason why it could not write; None if it could.
    """

    trouble: str | None = None

    def open(self) -> None:
        """The run has its directory, and begins."""

    def on(self, event: Event) -> None:
        """Something has happened, see ddp/tracking/messages.py."""

    def close(self) -> None:
        """No event comes after this."""


class Everyone(Tracker):
    """Passes every event on to several trackers, in order."""

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self.trackers = trackers

    def open(self) -> None:
        for tracker in self.trackers:
            tracker.open()

    def on(self, event: Event) -> None:
        for tracker in self.trackers:
            tracker.on(event)

    def close(self) -> None:
        with ExitStack() as stack:  # closes the others also when one cannot be closed
            for tracker in reversed(self.trackers):
                stack.callback(tracker.close)
