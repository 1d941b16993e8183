"""The rows of a `History` as lines of JSON, and back: they travel in checkpoints."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ddp.messages import AggregateRound, Failure, WorkerRound
from ddp.metrics import SquaredError
from ddp.timing import Account
from ddp.tracking import History

Row = WorkerRound | AggregateRound


class HistoryRows:
    """Writes each row once, however often the text of all is wanted."""

    def __init__(self, history: History) -> None:
        self.history = history
        self._workers: list[tuple[WorkerRound, str]] = []
        self._aggregates: list[tuple[AggregateRound, str]] = []

    def text(self, next_round: int) -> str:
        """A line for each worker's and each aggregate's row of the rounds before `next_round`, and one for all the rest."""
        history = self.history
        self._workers = _written(self._workers, history.worker_rounds)
        self._aggregates = _written(self._aggregates, history.aggregate_rounds)
        rest = {"startup_s": list(history.startup_s.items()), "failures": [asdict(failure) for failure in history.failures]}
        told: list[tuple[Row, str]] = [*self._workers, *self._aggregates]
        return "\n".join([json.dumps(rest), *(line for row, line in told if row.round_index < next_round)])


def _written(before: list[tuple[Any, str]], rows: Sequence[Row]) -> list[tuple[Any, str]]:
    """Each row with its line, which is taken over for rows that stand where they stood."""
    same = 0
    while same < min(len(before), len(rows)) and before[same][0] is rows[same]:
        same += 1
    return before[:same] + [(row, json.dumps(asdict(row))) for row in rows[same:]]


def restore_history(history: History, text: str) -> None:
    """Makes the rows of the text the history's. Raises KeyError, TypeError or ValueError for what is no such text."""
    rest, *rows = [json.loads(line) for line in text.splitlines()]
    startup_s = {int(worker): float(seconds) for worker, seconds in rest["startup_s"]}
    failures = [Failure(**failure) for failure in rest["failures"]]
    workers = [WorkerRound(**_typed(row)) for row in rows if "worker" in row]
    aggregates = [AggregateRound(**_typed(row) | {"weights": tuple(row["weights"])}) for row in rows if "weights" in row]
    history.startup_s, history.failures = startup_s, failures
    history.worker_rounds, history.aggregate_rounds = workers, aggregates


def _typed(row: dict[str, Any]) -> dict[str, Any]:
    errors = {part: SquaredError(**row[part]) for part in ("valid", "test")}
    return row | errors | {"account": Account(**row["account"])}
