"""Writes and reads checkpoints: a resumed run goes on from the last one to the same bits.

A checkpoint is one safetensors file without pickle, with the tensors of stored_state.py.
Its metadata are the other facts as JSON (`about`) and a checksum over everything (`sha256`). The
file is complete or absent, and the checkpoint before it stays. rounds.jsonl beside them has the
rows so far.
"""

import dataclasses
import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ddp.config.earlier import as_saved
from ddp.config.schema import Config, deciding
from ddp.errors import CheckpointError
from ddp.machine.files import atomic_file, in_fixed_order
from ddp.ratings.arrays import Ratings
from ddp.results.history_file import HistoryFile
from ddp.results.run_directory import CHECKPOINTS, differences, find_checkpoints
from ddp.results.stored_state import Tensors, check_state, facts_of, state_of, tensors_of
from ddp.tracking.history import History
from ddp.tracking.messages import Failure
from ddp.workers.state import RunState

FORMAT = 2  # raise it when the content of the file changes, or its meaning
KEPT = 2  # checkpoints; the one before the last serves if the last is damaged

# The errors of reading a truncated or altered file, in safetensors, json and here.
DAMAGE = (
    OSError,
    EOFError,
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
    RecursionError,
    SafetensorError,
)


class Checkpoints:
    """The checkpoints of one run, in `checkpoints/`: they save and restore `history` as well."""

    def __init__(self, config: Config, history: History) -> None:
        self.config = config
        self.history = history
        self.rounds = HistoryFile()
        self._ratings_checksum: int | None = None
        self._saved_round = 0

    def save_if_due(self, run_dir: Path, state: RunState, ratings: Ratings) -> None:
        """Saves the state after every `checkpoint_every` rounds."""
        every = self.config.checkpoint_every
        if every > 0 and state.next_round % every == 0:
            self._save(run_dir, state, ratings)

    def save_last(self, run_dir: Path, state: RunState, ratings: Ratings) -> None:
        """Saves the state at the end of a run, however it ends.

        Not if `checkpoint_every` is 0, or if the last checkpoint has this state and all its rows.
        """
        wanted = self.config.checkpoint_every > 0 and state.vector is not None
        if wanted and (
            state.next_round != self._saved_round or self.rounds.has_news(state.next_round)
        ):
            self._save(run_dir, state, ratings)

    def _save(self, run_dir: Path, state: RunState, ratings: Ratings) -> None:
        assert state.vector is not None
        tensors = tensors_of(state)
        about = {
            "format": FORMAT,
            # random streams have no other state, see ddp/config/seeding.py
            "seed": self.config.seed,
            **facts_of(state),
            "config": _deciding(self.config),
            "ratings": self._checksum(ratings),
            "startup_s": list(self.history.startup_s.items()),
            "failures": [dataclasses.asdict(failure) for failure in self.history.failures],
            "rounds": self.rounds.append(run_dir / CHECKPOINTS, state.next_round),
        }
        metadata = {"about": json.dumps(about)}
        metadata["sha256"] = _digest(tensors, metadata["about"])
        with atomic_file(
            run_dir / CHECKPOINTS / f"round-{state.next_round:06}.safetensors"
        ) as file:
            file.write(in_fixed_order(save(tensors, metadata)))
        self._saved_round = state.next_round
        for old in find_checkpoints(run_dir)[:-KEPT]:
            old.unlink(missing_ok=True)

    def load(self, run_dir: Path, ratings: Ratings) -> RunState:
        """Returns the state in the last whole checkpoint, and restores its history.

        Raises CheckpointError if there is none, or if it is of another version, config or ratings.
        """
        damaged: list[str] = []
        for path in reversed(find_checkpoints(run_dir)):
            try:
                tensors, about = read_checkpoint(path)
            except CheckpointError as error:
                damaged.append(str(error))
                continue
            self._check(path, about, ratings)
            try:
                state = state_of(tensors, about, self.config)
                check_state(state, self.config, ratings)
                self._bring_back(run_dir, about)
            except DAMAGE as error:
                damaged.append(f"{path}: holds something else ({error})")
                continue
            self._saved_round = state.next_round
            return state
        if damaged:
            raise CheckpointError(
                "; ".join(damaged) + "; there is no whole one to go on from: start the run anew"
            )
        raise CheckpointError(
            f"{run_dir}: there is no checkpoint to go on from (the run ended before its first, or"
            " had checkpoint_every=0)"
        )

    def _bring_back(self, run_dir: Path, about: dict[str, Any]) -> None:
        startup_s = {int(worker): float(seconds) for worker, seconds in about["startup_s"]}
        failures = [Failure(**failure) for failure in about["failures"]]
        num_bytes, sha256 = about["rounds"]
        self.rounds.restore(run_dir / CHECKPOINTS, num_bytes, sha256, self.history)
        self.history.startup_s, self.history.failures = startup_s, failures

    def _check(self, path: Path, about: dict[str, Any], ratings: Ratings) -> None:
        found, was = about.get("format"), about.get("config")
        if found not in (1, FORMAT):
            raise CheckpointError(
                f"{path}: is of format {found}, and this version reads formats up to {FORMAT}: use"
                " the one that wrote it"
            )
        if isinstance(was, dict):
            was = as_saved(was)
        keys = differences(was, _deciding(self.config))
        if keys:
            raise CheckpointError(
                f"{path}: is of a run with other settings: {', '.join(keys)}; a run can go on only"
                " with its own"
            )
        if about.get("ratings") != self._checksum(ratings):
            raise CheckpointError(f"{path}: the ratings are not those that the run began with")
        if not isinstance(about.get("next_round"), int) or about["next_round"] > self.config.rounds:
            raise CheckpointError(
                f"{path}: has more rounds ({about.get('next_round')}) than"
                f" rounds={self.config.rounds}"
            )

    def _checksum(self, ratings: Ratings) -> int:
        if self._ratings_checksum is None:
            self._ratings_checksum = 0
            for column in ratings.deciding():
                self._ratings_checksum = zlib.crc32(
                    np.ascontiguousarray(column).data, self._ratings_checksum
                )
        return self._ratings_checksum


def read_checkpoint(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """The tensors of a checkpoint and its `about`.

    Raises CheckpointError if it cannot read the file, or if the file has changed since.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            names = file.keys()  # `file` is no dict and cannot be iterated
            tensors: Tensors = {name: file.get_tensor(name) for name in names}
            metadata = file.metadata()
        if metadata["sha256"] != _digest(tensors, metadata["about"]):
            raise ValueError("its checksum is another")
        about = json.loads(metadata["about"])
        if not isinstance(about, dict):
            raise TypeError("it says nothing about itself")
    except DAMAGE as error:
        raise CheckpointError(f"{path}: is damaged ({type(error).__name__}: {error})") from None
    return tensors, about


def _deciding(config: Config) -> dict[str, Any]:
    """The settings that decide the numbers of a run, as JSON holds them."""
    decided: dict[str, Any] = json.loads(json.dumps(deciding(dataclasses.asdict(config))))
    return decided


def _digest(tensors: Tensors, about: str) -> str:
    digest = hashlib.sha256(about.encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tensors[name].shape}".encode())
        digest.update(np.ascontiguousarray(tensors[name]).data)
    return digest.hexdigest()
