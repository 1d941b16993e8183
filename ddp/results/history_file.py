"""Writes and reads rounds.jsonl: the rows of a run so far, a JSON object per line.

A checkpoint appends the new rows, and a resumed run restores them all.
"""

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ddp.machine.files import naming
from ddp.timing.account import Account
from ddp.tracking.history import History
from ddp.tracking.messages import AggregateRound, Event, Rewound, WorkerRound
from ddp.tracking.metrics import SquaredError
from ddp.tracking.sampled import Sampled
from ddp.tracking.tracker import Tracker

NAME = "rounds.jsonl"


class HistoryFile(Tracker):
    """Keeps new rows until the next checkpoint appends them.

    The checkpoint stores the length of the file at that moment.
    """

    def __init__(self) -> None:
        self._new: list[WorkerRound | AggregateRound] = []
        self._num_bytes = 0
        self._digest = hashlib.sha256()

    def on(self, event: Event) -> None:
        match event:
            case WorkerRound() | AggregateRound():
                self._new.append(event)
            case Rewound(next_round=next_round):
                self._new = [row for row in self._new if row.round_index < next_round]

    def has_news(self, next_round: int) -> bool:
        """Tells whether the file lacks rows of rounds before `next_round`.

        Workers send their rows after the aggregate, so a checkpoint may miss them.
        """
        return any(row.round_index < next_round for row in self._new)

    def append(self, directory: Path, next_round: int) -> tuple[int, str]:
        """Appends the new rows of rounds before `next_round`.

        Returns the bytes and the SHA-256 of the whole file. Raises OSError, which names the file.
        """
        told = [row for row in self._new if row.round_index < next_round]
        text = "".join(f"{json.dumps(_untyped(row))}\n" for row in told).encode()
        path = directory / NAME
        directory.mkdir(parents=True, exist_ok=True)
        with naming(path), path.open("r+b" if path.exists() else "x+b") as file:
            # a writer that failed or was killed may have left half a row
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
        """Reads the first `num_bytes` of the file into `history`.

        Raises OSError if it cannot read them, and ValueError if they have another checksum or hold
        no rows.
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
                **_typed(row)
                | {key: tuple(row.get(key, ())) for key in ("weights", "ready_s")}
                | {"sampled": _sampled(row.get("sampled"))}
            )
            for row in rows
            if "weights" in row
        ]
        history.resume(worker_rounds, aggregate_rounds)
        self._num_bytes, self._digest = num_bytes, digest


def _untyped(row: WorkerRound | AggregateRound) -> dict[str, Any]:
    values = asdict(row)
    # trace.json has the slices of one process only, so no checkpoint brings them back
    del values["account"]["slices"]
    return values


def _sampled(values: dict[str, Any] | None) -> Sampled | None:
    return None if values is None else Sampled(**values | _errors(values))


def _errors(values: dict[str, Any]) -> dict[str, SquaredError]:
    return {part: SquaredError(**values[part]) for part in ("valid", "test")}


def _typed(row: dict[str, Any]) -> dict[str, Any]:
    account = Account(**row["account"])
    # the keys of JSON objects are text
    account.waited_for = {int(worker): seconds for worker, seconds in account.waited_for.items()}
    return row | _errors(row) | {"account": account}
