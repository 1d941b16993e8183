"""The rows that a run has been told so far, lines of JSON that are only appended. A checkpoint
brings them back.
"""

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ddp.machine.files import naming
from ddp.timing.spans import Account
from ddp.tracking.history import History
from ddp.tracking.messages import AggregateRound, WorkerRound
from ddp.tracking.metrics import SquaredError
from ddp.tracking.tracker import Tracker

NAME = "rounds.jsonl"


class HistoryFile(Tracker):
    """Keeps what it is told until a checkpoint is written, which says how much of the file is
    its.
    """

    def __init__(self) -> None:
        self._new: list[WorkerRound | AggregateRound] = []
        self._num_bytes = 0
        self._digest = hashlib.sha256()

    def worker_round(self, row: WorkerRound) -> None:
        self._new.append(row)

    def aggregate_round(self, row: AggregateRound) -> None:
        self._new.append(row)

    def rewind(self, next_round: int, last: AggregateRound | None) -> None:
        self._new = [row for row in self._new if row.round_index < next_round]

    def has_news(self, next_round: int) -> bool:
        """Whether rows of rounds before `next_round` are not in the file yet: workers tell theirs
        after the aggregate.
        """
        return any(row.round_index < next_round for row in self._new)

    def append(self, directory: Path, next_round: int) -> tuple[int, str]:
        """Adds the new rows of rounds before `next_round`; length and SHA-256 of the file. Raises
        OSError, which names it.
        """
        told = [row for row in self._new if row.round_index < next_round]
        text = "".join(f"{json.dumps(_untyped(row))}\n" for row in told).encode()
        path = directory / NAME
        directory.mkdir(parents=True, exist_ok=True)
        with naming(path), path.open("r+b" if path.exists() else "x+b") as file:
            # whatever a failed or a killed writer has left behind that
            file.truncate(self._num_bytes)
            file.seek(self._num_bytes)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        self._new = [row for row in self._new if row.round_index >= next_round]
        self._num_bytes += len(text)
        self._digest.update(text)
        return self._num_bytes, self._digest.hexdigest()

    def restore(self, directory: Path, num_bytes: int, sha256: str, history: History) -> None:
        """Makes the first `num_bytes` of the file the rows of the history. Raises ValueError unless
        they have this checksum.
        """
        with (directory / NAME).open("rb") as file:
            text = file.read(num_bytes)
        digest = hashlib.sha256(text)
        if len(text) != num_bytes or digest.hexdigest() != sha256:
            raise ValueError(f"{NAME}: its checksum is another")
        rows = [json.loads(line) for line in text.splitlines()]
        worker_rounds = [WorkerRound(**_typed(row)) for row in rows if "worker" in row]
        aggregate_rounds = [
            AggregateRound(
                **_typed(row) | {key: tuple(row.get(key, ())) for key in ("weights", "ready_s")}
            )
            for row in rows
            if "weights" in row
        ]
        history.resume(worker_rounds, aggregate_rounds)
        self._num_bytes, self._digest = num_bytes, digest


def _untyped(row: WorkerRound | AggregateRound) -> dict[str, Any]:
    values = asdict(row)
    # what was when is told in trace.json, of each process in its own
    del values["account"]["slices"]
    return values


def _typed(row: dict[str, Any]) -> dict[str, Any]:
    errors = {part: SquaredError(**row[part]) for part in ("valid", "test")}
    account = Account(**row["account"])
    # JSON's keys are text
    account.waited_for = {int(worker): seconds for worker, seconds in account.waited_for.items()}
    return row | errors | {"account": account}
