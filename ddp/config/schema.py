"""The schema of a run: scalars, one option of every group, and the rules that join them.

`ddp.launch.composed` converts Hydra's configuration into a `Config` once. From there on nothing
touches Hydra or OmegaConf, and a worker process receives these plain dataclasses.
"""

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, get_args

from ddp.config.aggregation import Aggregation
from ddp.config.averaging import (
    BOTH,
    STRATIFIED,
    check_averaging,
    check_sweeps,
    taken_split,
)
from ddp.config.backend import Backend, PollingBackend, SerialBackend
from ddp.config.checks import Checked, above, all_off, at_least, one_of, options, setting
from ddp.config.data import Data
from ddp.config.metrics import RMSE, check_metrics, with_rmse
from ddp.config.model import Model
from ddp.config.options import OPTIONS
from ddp.config.run_name import one_line
from ddp.config.split import Split, check_data
from ddp.config.tracker import TrackerOptions, tracker_names
from ddp.config.trainer import TrainerOptions
from ddp.errors import ConfigError

SELECT_ON = ("valid", "test", "last")
MAX_TORCH_THREADS = 1024  # a typo must not bring the machine down
MAX_TIMEOUT_S = 2e6  # 23 days: a pipe's timeout is an int32 of milliseconds
ON_FAILURE = ("abort", "drop", "restart")
REFERENCES = ("auto", "true", "false")
KEPT = ("best", "last")
DISPLAYS = ("auto", "bars", "lines", "none")


@options
class Scalars(Checked):
    """The settings that belong to no group; conf/config.yaml describes each on its line.

    Where rows have owners nothing reads `agg_timeout`, and `select_on` is always last.
    """

    workers: int = at_least(1)
    rounds: int = at_least(1)
    local_epochs: int = at_least(1)
    seed: int = at_least(0)
    select_on: str = one_of(SELECT_ON)
    keep: str = one_of(KEPT)
    metrics: list[str] = setting(check_metrics, off=[RMSE], convert=with_rmse)
    patience: int | None = at_least(1)
    max_seconds: float | None = above(0, off=None)
    agg_timeout: float = above(0, below=MAX_TIMEOUT_S, off=1.0)
    round_timeout: float = above(0, below=MAX_TIMEOUT_S, off=1e6)
    straggler_timeout: float | None = above(0, below=MAX_TIMEOUT_S, off=None)
    on_failure: str = one_of(ON_FAILURE, off="abort")
    min_workers: int = at_least(1, off=1)
    max_restarts: int = at_least(0, off=0)
    max_norm: float | None = above(0, off=None)
    checkpoint_every: int = at_least(0, off=0)
    torch_threads: int = at_least(1, most=MAX_TORCH_THREADS)
    account: bool = setting(off=False)
    display: str = one_of(DISPLAYS, off="none")
    reference: str = one_of(REFERENCES, off="false")
    name: str | None = setting(one_line, off=None)

    def __post_init__(self) -> None:
        self.reference = self.reference.lower()  # YAML's true is Python's True
        Checked.__post_init__(self)


@options
class Config(Scalars):
    """One run: the scalars, one option of every group, and the trackers."""

    backend: Backend = setting(off=SerialBackend(name="serial"))
    data: Data
    split: Split
    model: Model
    trainer: TrainerOptions
    aggregation: Aggregation
    # by name; a dict is a class of the user's own
    tracker: dict[str, TrackerOptions] = setting(off={})

    @property
    def data_seed(self) -> int:
        """The seed of synthetic ratings. With `split.seed` all runs have the same test ratings."""
        return self.split.seed_or(self.seed)

    @property
    def stratified(self) -> bool:
        """True if workers pass rows of items on, and train on one block after another."""
        return self.split.name == STRATIFIED

    @property
    def has_owners(self) -> bool:
        """True if every row of the model has one owner, so that nothing is averaged."""
        return self.split.name in (STRATIFIED, BOTH)

    @property
    def in_ensemble(self) -> bool:
        """True if the aggregate averages the workers' predictions, and not their states.

        Each worker keeps its own state. The aggregate is a wider model that holds all of them.
        """
        return self.aggregation.name == "ensemble"

    @property
    def reads_aggregate(self) -> bool:
        """True if a worker continues each round from the aggregate."""
        return not self.has_owners and not self.in_ensemble

    @property
    def judged_on(self) -> str | None:
        """The part (valid or test) whose errors select a worker's best epoch, or give its weight.

        None: no part does either.
        """
        if self.has_owners:
            return None
        if self.select_on == "last":
            return "valid" if self.aggregation.by_loss else None
        return self.select_on

    @property
    def keeps_best(self) -> bool:
        """True if the run keeps the aggregate with the lowest validation RMSE, and not the last.

        An ensemble keeps its last one, and so does a run whose aggregate is a mean of samples.
        """
        return (
            self.keep == "best"
            and self.select_on == "valid"
            and self.split.valid_fraction > 0
            and not self.in_ensemble
            and not self.trainer.samples
        )

    @property
    def may_end_early(self) -> bool:
        """True if a round before the last one of `rounds` may end the run."""
        return self.patience is not None or self.max_seconds is not None

    @property
    def scored_on(self) -> str:
        """The part (valid or test) whose RMSE a sweeper compares runs by."""
        return "test" if self.select_on == "test" else "valid"

    def check(self) -> None:
        """Takes the split that goes with the aggregation; applies the rules that join settings."""
        self.split = taken_split(self.split, self.aggregation, self.trainer)
        if self.min_workers > self.workers:
            raise ConfigError(
                "min_workers", self.min_workers, f"must be at most workers={self.workers}"
            )
        check_data(self.split, self.data, self.workers)
        self._check_features()
        check_sweeps(self.split, self.aggregation, self.trainer)
        check_averaging(self.split, self.aggregation)
        if self.trainer.sweeps and not self.model.biases:
            reason = f"trainer={self.trainer.name} has a bias per user and item: use true"
            raise ConfigError("model.biases", False, reason)
        self._check_stragglers()
        if self.split.valid_fraction == 0 and self.patience is not None:
            raise ConfigError(
                "patience",
                self.patience,
                "counts rounds by their validation RMSE: set split.valid_fraction above 0",
            )
        if self.split.valid_fraction == 0 and self.judged_on == "valid":
            chosen = f"aggregation={self.aggregation.name}"
            reason = chosen if self.select_on == "last" else "select_on=valid"
            raise ConfigError(
                "split.valid_fraction", 0, f"{reason} needs a validation part: set it above 0"
            )

    def _check_features(self) -> None:
        for key in ("data.user_features", "data.item_features"):
            name = getattr(self.data, key.removeprefix("data."), None)
            if name is not None and not self.trainer.uses_features:
                raise ConfigError(key, name, "only trainer=gibbs uses attributes")

    def _check_stragglers(self) -> None:
        if self.straggler_timeout is None:
            return
        reason = ""
        if self.has_owners:
            other = "another split" if self.stratified else "another trainer"
            reason = f"split={self.split.name} cannot go on without a worker's rows; choose {other}"
        elif isinstance(self.backend, PollingBackend) and self.backend.poll_interval_s is not None:
            reason = (
                "an aggregator that polls cannot tell a late worker;"
                " set backend.poll_interval_s=null"
            )
        if reason:
            raise ConfigError(
                "straggler_timeout", self.straggler_timeout, f"{reason}, or straggler_timeout=null"
            )


# setting of a config that decides no number -> the value that leaves it without effect
OFF = all_off(Config)
# a resumed run may have other values of these settings
FREE = {"rounds", "patience", *OFF}


def deciding(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a config (nested dicts) that decide the numbers of each of its rounds."""
    return {key: value for key, value in config.items() if key not in FREE}


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config (nested dicts) as one row, with the same columns for every run, to compare runs.

    | column      | value                                                                |
    | ----------- | -------------------------------------------------------------------- |
    | a scalar    | its value                                                            |
    | `group`     | the name of the chosen option                                        |
    | `group.key` | a setting of that option; "-" if it has no such setting              |
    | `tracker`   | the names of the trackers; `metrics` likewise                        |
    """
    row = {field.name: config.get(field.name) for field in fields(Scalars)}
    for group, known in OPTIONS.items():
        chosen = config.get(group) or {}
        row[group] = chosen.get("name")
        keys = dict.fromkeys(
            field.name
            for schema in known.values()
            for field in fields(schema)
            if field.name != "name"
        )
        row |= {f"{group}.{key}": chosen.get(key, "-" if chosen else None) for key in keys}
    row["tracker"] = tracker_names(config)
    if isinstance(metrics := row["metrics"], list):
        row["metrics"] = ", ".join(map(str, metrics))
    return row


@cache
def is_number(name: str) -> bool:
    """True if a column of `settings` holds only numbers, true or false, and null."""
    group, _, key = name.partition(".")
    schemas = OPTIONS[group].values() if group in OPTIONS else (Scalars,)
    kinds = {
        kind
        for schema in schemas
        for field in fields(schema)
        if field.name == (key if group in OPTIONS else name)
        for kind in (get_args(field.type) or (field.type,))
    }
    return bool(kinds) and kinds <= {int, float, bool, type(None)}
