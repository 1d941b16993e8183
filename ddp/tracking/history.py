"""All rows of a run, in memory: results are made from them."""

from dataclasses import replace
from typing import TypeVar

from ddp.timing.spans import Account
from ddp.tracking.messages import AggregateRound, Failure, Finished, Started, WorkerRound
from ddp.tracking.tracker import Tracker

Row = TypeVar("Row", WorkerRound, AggregateRound)


def without_slices(row: Row) -> Row:
    """For those who keep every row of a run: what was when takes more room than all the rest."""
    return replace(row, account=replace(row.account, slices=b""))


class History(Tracker):
    """Keeps every row: what results are made of."""

    def __init__(self) -> None:
        self.startup_s: dict[int, float] = {}
        self.started_with: dict[int, Account] = {}
        self.finished_with: dict[int, Finished] = {}
        self.lives: dict[int, tuple[float, float]] = {}
        self._before: dict[int, int] = {}  # rows of workers when it was started
        self._before_aggregates = 0  # rounds that another process has aggregated, which was resumed
        self.worker_rounds: list[WorkerRound] = []
        self.aggregate_rounds: list[AggregateRound] = []
        self.failures: list[Failure] = []

    def started(self, message: Started) -> None:
        self.startup_s[message.worker] = message.startup_s
        self.started_with[message.worker] = message.account
        self.finished_with.pop(message.worker, None)  # of the life before, if a round begins again
        self._before[message.worker] = len(self.worker_rounds)

    def finished(self, message: Finished) -> None:
        self.finished_with[message.worker] = message

    def ended(self, worker: int, began: float, ended: float) -> None:
        self.lives[worker] = (began, ended)

    def worker_round(self, row: WorkerRound) -> None:
        self.worker_rounds.append(without_slices(row))

    def aggregate_round(self, row: AggregateRound) -> None:
        self.aggregate_rounds.append(without_slices(row))

    def failure(self, failure: Failure) -> None:
        self.failures.append(failure)

    def rewind(self, next_round: int, last: AggregateRound | None) -> None:
        self.worker_rounds = [row for row in self.worker_rounds if row.round_index < next_round]
        self.aggregate_rounds = [
            row for row in self.aggregate_rounds if row.round_index < next_round
        ]
        self._before_aggregates = min(self._before_aggregates, len(self.aggregate_rounds))

    def resume(
        self, worker_rounds: list[WorkerRound], aggregate_rounds: list[AggregateRound]
    ) -> None:
        """Begins with the rows of a process before."""
        self.worker_rounds, self.aggregate_rounds = worker_rounds, aggregate_rounds
        self._before_aggregates = len(aggregate_rounds)

    def accounts_from(self, round_index: int) -> list[Account]:
        """The aggregator's, of that round and later ones."""
        return [row.account for row in self.aggregated_here if row.round_index >= round_index]

    def this_life(self, worker: int) -> list[WorkerRound]:
        """A worker's rounds since it was started last: by this process, and after the last
        failure.
        """
        return [
            row for row in self.worker_rounds[self._before.get(worker, 0) :] if row.worker == worker
        ]

    @property
    def aggregated_here(self) -> list[AggregateRound]:
        """The rounds that this process has aggregated."""
        return self.aggregate_rounds[self._before_aggregates :]

    def worker(self, worker: int) -> list[WorkerRound]:
        """One worker's rounds, in order."""
        return [row for row in self.worker_rounds if row.worker == worker]
