"""All rows of a run, in RAM. The results are made from them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from ddp.machine.memory import Memory
from ddp.timing.account import Account, total_account
from ddp.tracking.messages import (
    AggregateRound,
    Ended,
    Event,
    Failure,
    Finished,
    MemoryUsed,
    OutsideRounds,
    Rewound,
    Started,
    TrainingBegan,
    WorkerRound,
)
from ddp.tracking.tracker import Tracker

Row = TypeVar("Row", WorkerRound, AggregateRound)


def without_slices(row: Row) -> Row:
    """The row without its slices, which take more RAM than all the rest of it."""
    return replace(row, account=replace(row.account, slices=b""))


def kept_row(rows: Sequence[AggregateRound], round_index: int | None) -> AggregateRound | None:
    """The row of the round that a run keeps; None if it has no such round."""
    return next((row for row in reversed(rows) if row.round_index == round_index), None)


class History(Tracker):
    """Keeps every row of a run, without the slices of its account."""

    def __init__(self) -> None:
        self.startup_s: dict[int, float] = {}
        self.started_with: dict[int, Account] = {}
        self.finished_with: dict[int, Finished] = {}
        self.lives: dict[int, tuple[float, float]] = {}
        self._before: dict[int, int] = {}  # worker -> len(worker_rounds) at its start
        self._before_aggregates = 0  # rounds from the checkpoint that this run resumes
        self.worker_rounds: list[WorkerRound] = []
        self.aggregate_rounds: list[AggregateRound] = []
        self.failures: list[Failure] = []
        self.outside: list[Account] = []  # of the main process
        self.processes: Mapping[str, Memory] = {}  # see `MemoryUsed`
        self.shared_bytes = 0
        self.torch_threads: int | None = None  # None: no training with torch began

    def on(self, event: Event) -> None:
        match event:
            case Started(worker=worker):
                self.startup_s[worker] = event.startup_s
                self.started_with[worker] = event.account
                self.finished_with.pop(worker, None)  # of its life before a restart
                self._before[worker] = len(self.worker_rounds)
            case WorkerRound():
                self.worker_rounds.append(without_slices(event))
            case Finished(worker=worker):
                self.finished_with[worker] = event
            case Ended(worker=worker):
                self.lives[worker] = (event.began_s, event.ended_s)
            case AggregateRound():
                self.aggregate_rounds.append(without_slices(event))
            case Failure():
                self.failures.append(event)
            case OutsideRounds():
                self.outside.append(replace(event.account, slices=b""))
            case MemoryUsed():
                self.processes, self.shared_bytes = event.processes, event.shared_bytes
            case TrainingBegan():
                self.torch_threads = event.torch_threads
            case Rewound():
                self._rewind(event.next_round)

    def _rewind(self, next_round: int) -> None:
        self.worker_rounds = [row for row in self.worker_rounds if row.round_index < next_round]
        self.aggregate_rounds = [
            row for row in self.aggregate_rounds if row.round_index < next_round
        ]
        self._before_aggregates = min(self._before_aggregates, len(self.aggregate_rounds))

    def resume(
        self, worker_rounds: list[WorkerRound], aggregate_rounds: list[AggregateRound]
    ) -> None:
        """Begins with the rows of the run that is resumed."""
        self.worker_rounds, self.aggregate_rounds = worker_rounds, aggregate_rounds
        self._before_aggregates = len(aggregate_rounds)

    def main_account(self) -> Account:
        """The seconds of the main process so far, in rounds and outside of them."""
        return total_account([*self.outside, *(row.account for row in self.aggregated_here)])

    @property
    def last(self) -> AggregateRound | None:
        """The last aggregate's row; None if there was none."""
        return self.aggregate_rounds[-1] if self.aggregate_rounds else None

    @property
    def num_restarts(self) -> int:
        """The number of times that a round began again with all workers."""
        return sum(failure.action == "restart" for failure in self.failures)

    def this_life(self, worker: int) -> list[WorkerRound]:
        """A worker's rounds since its last start, which may be one after a failure."""
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
