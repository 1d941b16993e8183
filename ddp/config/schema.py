"""The schema of a run: scalars, one option of every group, and the rules that join them.

`ddp.launch.command` converts what Hydra composed into a `Config` once, at the door; after that
nothing touches Hydra or OmegaConf, and a worker process receives these plain dataclasses.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ddp.config.checks import at_least, number, one_of
from ddp.config.options import (
    OPTIONS,
    Aggregation,
    Backend,
    CsvData,
    Data,
    Model,
    MovieLensData,
    PollingBackend,
    Split,
    Trainer,
)
from ddp.errors import ConfigError

SELECT_ON = ("valid", "test", "last")
MAX_TORCH_THREADS = 1024  # a typo above this brings the machine down, not an error
MAX_TIMEOUT_S = 2e6  # 23 days: a pipe's timeout is an int32 of milliseconds
ON_FAILURE = ("abort", "drop", "restart")
REFERENCES = ("auto", "true", "false")
DISPLAYS = ("auto", "bars", "lines", "none")


@dataclass(slots=True, kw_only=True)
class Scalars:
    """What belongs to no group. conf/config.yaml describes each on its line."""

    workers: int
    rounds: int
    local_epochs: int
    seed: int
    select_on: str
    agg_timeout: float
    round_timeout: float
    straggler_timeout: float | None
    on_failure: str
    min_workers: int
    max_restarts: int
    max_norm: float | None
    checkpoint_every: int
    torch_threads: int
    account: bool
    tensorboard: bool
    display: str
    reference: str

    def __post_init__(self) -> None:
        for key in ("workers", "rounds", "local_epochs", "torch_threads", "min_workers"):
            at_least(key, getattr(self, key), 1)
        for key in ("seed", "max_restarts", "checkpoint_every"):
            at_least(key, getattr(self, key), 0)
        if self.min_workers > self.workers:
            raise ConfigError(
                "min_workers", self.min_workers, f"must be at most workers={self.workers}"
            )
        if self.torch_threads > MAX_TORCH_THREADS:
            raise ConfigError(
                "torch_threads", self.torch_threads, f"must be at most {MAX_TORCH_THREADS}"
            )
        one_of("select_on", self.select_on, SELECT_ON)
        one_of("display", self.display, DISPLAYS)
        self.reference = self.reference.lower()  # YAML's true is Python's True
        one_of("reference", self.reference, REFERENCES)
        number("agg_timeout", self.agg_timeout, above=0, below=MAX_TIMEOUT_S)
        number("round_timeout", self.round_timeout, above=0, below=MAX_TIMEOUT_S)
        one_of("on_failure", self.on_failure, ON_FAILURE)
        if self.straggler_timeout is not None:
            number("straggler_timeout", self.straggler_timeout, above=0, below=MAX_TIMEOUT_S)
        if self.max_norm is not None:
            number("max_norm", self.max_norm, above=0)


@dataclass(slots=True, kw_only=True)
class Config(Scalars):
    """One run: the scalars, and one option of every group."""

    backend: Backend
    data: Data
    split: Split
    model: Model
    trainer: Trainer
    aggregation: Aggregation

    def __post_init__(self) -> None:
        Scalars.__post_init__(self)
        self._check_combinations()

    def _check_combinations(self) -> None:
        """Rules that join two groups, or a group and a scalar."""
        paths = self.data.paths if isinstance(self.data, CsvData) else None
        if self.split.name == "files" and (paths is None or len(paths) != self.workers):
            files = "none" if paths is None else str(len(paths))
            raise ConfigError(
                "split",
                "files",
                f"needs data=csv and one file per worker in data.paths: workers={self.workers},"
                f" files: {files}",
            )
        needs_time = [f"split={self.split.name}"] * (self.split.name == "time") + [
            "split.holdout=time"
        ] * (self.split.holdout == "time")
        has_time = isinstance(self.data, MovieLensData) or (
            isinstance(self.data, CsvData) and self.data.timestamp is not None
        )
        if needs_time and not has_time:
            raise ConfigError(
                "data",
                self.data.name,
                f"has no timestamps, which {needs_time[0]} needs (data=csv: set data.timestamp)",
            )
        self._check_stragglers()
        by_loss = self.aggregation.name in ("inverse_loss", "softmax_loss")
        judges = self.select_on == "valid" or (by_loss and self.select_on == "last")
        # which keeps the last epoch, and weighs nobody
        judges = judges and self.split.name != "stratified"
        if self.split.valid_fraction == 0 and judges:
            reason = (
                "select_on=valid"
                if self.select_on == "valid"
                else f"aggregation={self.aggregation.name}"
            )
            raise ConfigError(
                "split.valid_fraction", 0, f"{reason} needs a validation part: set it above 0"
            )

    def _check_stragglers(self) -> None:
        if self.straggler_timeout is None:
            return
        reason = ""
        if self.split.name == "stratified":
            reason = "split=stratified cannot go on without a worker's rows; choose another split"
        elif isinstance(self.backend, PollingBackend) and self.backend.poll_interval_s is not None:
            reason = "whoever polls cannot tell a late worker; set backend.poll_interval_s=null"
        if reason:
            raise ConfigError(
                "straggler_timeout", self.straggler_timeout, f"{reason}, or straggler_timeout=null"
            )


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config (as nested dicts) in one row, the same columns for every run: what runs are compared
       by.

    Scalars by their name, each group's choice under the group's name, its values as `group.key`;
    "-" where the chosen option has no such key.
    """
    row = {field.name: config.get(field.name) for field in fields(Scalars)}
    for group, options in OPTIONS.items():
        chosen = config.get(group) or {}
        row[group] = chosen.get("name")
        keys = dict.fromkeys(
            field.name
            for schema in options.values()
            for field in fields(schema)
            if field.name != "name"
        )
        row |= {f"{group}.{key}": chosen.get(key, "-" if chosen else None) for key in keys}
    return row
