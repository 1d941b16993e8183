"""The schema: what a run can be told, and the rules that its values keep.

The YAML files in conf/ choose values, these dataclasses own the shape: there are no defaults here.
`ddp.launch` converts what Hydra composed into a `Config` once, at the door; after that nothing
touches Hydra or OmegaConf, and a worker process receives these plain dataclasses.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any

from ddp.errors import ConfigError

SELECT_ON = ("valid", "test", "last")
HOLDOUTS = ("random", "user", "time", "files")
OPTIMIZERS = ("adam", "sgd")
DUPLICATES = ("error", "last", "mean")
MAX_TORCH_THREADS = 1024  # a typo above this brings the machine down, not an error
DISPLAYS = ("auto", "bars", "lines", "none")


def _one_of(key: str, value: str, allowed: Collection[str]) -> None:
    if value not in allowed:
        raise ConfigError(key, value, f"choose one of {', '.join(allowed)}")


def _at_least(key: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(key, value, f"must be a whole number of at least {least}")


def _number(key: str, value: float, *, above: float = -math.inf, least: float = -math.inf, below: float = math.inf) -> None:
    if not (math.isfinite(value) and above < value < below and value >= least):
        bounds = [f"above {above:g}"] * (above > -math.inf) + [f"of at least {least:g}"] * (least > -math.inf)
        bounds += [f"below {below:g}"] * (below < math.inf)
        raise ConfigError(key, value, "must be a finite number " + " and ".join(bounds))


# --- backend: how workers are started and what carries a vector between them -------------------------


@dataclass(slots=True, kw_only=True)
class SerialBackend:
    name: str


@dataclass(slots=True, kw_only=True)
class PollingBackend:
    """`poll_interval_s`: look into the shared dict this often, as the document does; null = be notified."""

    name: str
    poll_interval_s: float | None

    def __post_init__(self) -> None:
        if self.poll_interval_s is not None:
            _number("backend.poll_interval_s", self.poll_interval_s, above=0)


@dataclass(slots=True, kw_only=True)
class ThreadBackend(PollingBackend):
    pass


@dataclass(slots=True, kw_only=True)
class ProcessBackend(PollingBackend):
    pass


# --- data: where the ratings come from ------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class MovieLensData:
    """`root`: the folder that holds one folder per set. `connect_timeout_s`: for the download."""

    name: str
    root: str
    connect_timeout_s: float

    def __post_init__(self) -> None:
        _number("data.connect_timeout_s", self.connect_timeout_s, above=0)


@dataclass(slots=True, kw_only=True)
class CsvData:
    """Any rating file. Columns are names (needs `header`) or positions counted from 0."""

    name: str
    path: str | None
    paths: list[str] | None
    separator: str
    header: bool
    encoding: str
    user: int | str
    item: int | str
    rating: int | str
    timestamp: int | str | None
    rating_min: float | None
    rating_max: float | None
    duplicates: str
    cache: str | None

    def __post_init__(self) -> None:
        if (self.path is None) == (self.paths is None):
            raise ConfigError("data.path", self.path, "data=csv needs either data.path=FILE or data.paths=[FILE,...]")
        if self.paths is not None and not self.paths:
            raise ConfigError("data.paths", self.paths, "must name at least one file")
        self.separator = {"\\t": "\t", "tab": "\t"}.get(self.separator, self.separator)
        if len(self.separator) != 1 and self.separator != "::":
            allowed = "must be one character, tab, or '::' (on the command line quote others: \"data.separator=';'\")"
            raise ConfigError("data.separator", repr(self.separator), allowed)
        _one_of("data.duplicates", self.duplicates, DUPLICATES)
        columns = {"user": self.user, "item": self.item, "rating": self.rating, "timestamp": self.timestamp}
        for role, column in columns.items():
            if isinstance(column, str) and not self.header:
                raise ConfigError(f"data.{role}", column, "a column name needs data.header=true; without one use a position")
            if isinstance(column, int) and column < 0:
                raise ConfigError(f"data.{role}", column, "positions count from 0")
        named = [column for column in columns.values() if column is not None]
        if len(set(named)) < len(named):
            raise ConfigError("data.user", self.user, f"user, item, rating and timestamp must be different columns, not {named}")
        for key, bound in (("data.rating_min", self.rating_min), ("data.rating_max", self.rating_max)):
            if bound is not None:
                _number(key, bound)
        if self.rating_min is not None and self.rating_max is not None and self.rating_min >= self.rating_max:
            raise ConfigError("data.rating_min", self.rating_min, f"must be below data.rating_max={self.rating_max:g}")


@dataclass(slots=True, kw_only=True)
class SyntheticData:
    """Low-rank factors + biases + Gaussian noise; `popularity`: exponent of the power law over items and users."""

    name: str
    num_users: int
    num_items: int
    num_ratings: int
    rank: int
    noise_std: float
    popularity: float

    def __post_init__(self) -> None:
        for key in ("num_users", "num_items", "num_ratings", "rank"):
            _at_least(f"data.{key}", getattr(self, key), 1)
        _number("data.noise_std", self.noise_std, least=0)
        _number("data.popularity", self.popularity, least=0)
        if self.num_ratings > self.num_users * self.num_items // 2:
            raise ConfigError(
                "data.num_ratings",
                self.num_ratings,
                f"at most half of num_users x num_items = {self.num_users * self.num_items:,} pairs can be rated",
            )


# --- split: what is held out, and how the rest is dealt to workers --------------------------------------


@dataclass(slots=True, kw_only=True)
class Split:
    """`holdout` chooses the test part (validation is cut from what remains); the option's name, how shards are dealt."""

    name: str
    holdout: str
    test_fraction: float
    valid_fraction: float
    test_file: str | None

    def __post_init__(self) -> None:
        _one_of("split.holdout", self.holdout, HOLDOUTS)
        _number("split.test_fraction", self.test_fraction, above=0, below=1)
        _number("split.valid_fraction", self.valid_fraction, least=0, below=1)
        if (self.holdout == "files") != (self.test_file is not None):
            raise ConfigError("split.test_file", self.test_file, "split.holdout=files and split.test_file=FILE go together")


@dataclass(slots=True, kw_only=True)
class DirichletSplit(Split):
    """`alpha`: concentration over the rating values; small = each worker sees few of them, large = iid."""

    alpha: float

    def __post_init__(self) -> None:
        Split.__post_init__(self)
        _number("split.alpha", self.alpha, above=0)


# --- model, trainer, aggregation --------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Model:
    """`dim`: embedding size; `init_std`: of the factors' normal initial values (biases start at 0)."""

    name: str
    dim: int
    biases: bool
    init_std: float

    def __post_init__(self) -> None:
        _at_least("model.dim", self.dim, 1)
        _number("model.init_std", self.init_std, above=0)


@dataclass(slots=True, kw_only=True)
class AutogradTrainer:
    name: str
    optimizer: str
    lr: float
    weight_decay: float
    batch_size: int

    def __post_init__(self) -> None:
        _one_of("trainer.optimizer", self.optimizer, OPTIMIZERS)
        _number("trainer.lr", self.lr, above=0)
        _number("trainer.weight_decay", self.weight_decay, least=0)
        _at_least("trainer.batch_size", self.batch_size, 1)


@dataclass(slots=True, kw_only=True)
class Aggregation:
    name: str


@dataclass(slots=True, kw_only=True)
class SoftmaxAggregation(Aggregation):
    """`temperature`: of softmax(-loss / temperature); large = uniform; so small that a weight underflows to 0
    is refused when it happens."""

    temperature: float

    def __post_init__(self) -> None:
        _number("aggregation.temperature", self.temperature, above=0)


Backend = SerialBackend | ThreadBackend | ProcessBackend
Data = MovieLensData | CsvData | SyntheticData

# Closed sets: group -> option -> its dataclass. conf/<group>/<option>.yaml holds the values.
OPTIONS: dict[str, dict[str, type]] = {
    "backend": {"serial": SerialBackend, "thread": ThreadBackend, "process": ProcessBackend},
    "data": {
        **dict.fromkeys(("ml100k", "ml1m", "ml_latest_small", "ml25m", "ml32m"), MovieLensData),
        "csv": CsvData,
        "synthetic": SyntheticData,
    },
    "split": {**dict.fromkeys(("iid", "user", "item", "time", "files"), Split), "dirichlet": DirichletSplit},
    "model": dict.fromkeys(("tiny", "small", "medium", "large"), Model),
    "trainer": {"autograd": AutogradTrainer},
    "aggregation": {
        **dict.fromkeys(("uniform", "samples", "inverse_loss"), Aggregation),
        "softmax_loss": SoftmaxAggregation,
    },
}


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
    torch_threads: int
    tensorboard: bool
    display: str

    def __post_init__(self) -> None:
        for key in ("workers", "rounds", "local_epochs", "torch_threads"):
            _at_least(key, getattr(self, key), 1)
        if self.torch_threads > MAX_TORCH_THREADS:
            raise ConfigError("torch_threads", self.torch_threads, f"must be at most {MAX_TORCH_THREADS}")
        _at_least("seed", self.seed, 0)
        _one_of("select_on", self.select_on, SELECT_ON)
        _one_of("display", self.display, DISPLAYS)
        _number("agg_timeout", self.agg_timeout, above=0)
        _number("round_timeout", self.round_timeout, above=0)


@dataclass(slots=True, kw_only=True)
class Config(Scalars):
    """One run: the scalars, and one option of every group."""

    backend: Backend
    data: Data
    split: Split
    model: Model
    trainer: AutogradTrainer
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
                "split", "files", f"needs data=csv and one file per worker in data.paths: workers={self.workers}, files: {files}"
            )
        needs_time = [f"split={self.split.name}"] * (self.split.name == "time") + ["split.holdout=time"] * (
            self.split.holdout == "time"
        )
        has_time = isinstance(self.data, MovieLensData) or (isinstance(self.data, CsvData) and self.data.timestamp is not None)
        if needs_time and not has_time:
            raise ConfigError(
                "data", self.data.name, f"has no timestamps, which {needs_time[0]} needs (data=csv: set data.timestamp)"
            )
        by_loss = self.aggregation.name in ("inverse_loss", "softmax_loss")
        if self.split.valid_fraction == 0 and (self.select_on == "valid" or (by_loss and self.select_on == "last")):
            reason = "select_on=valid" if self.select_on == "valid" else f"aggregation={self.aggregation.name}"
            raise ConfigError("split.valid_fraction", 0, f"{reason} needs a validation part: set it above 0")


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config (as nested dicts) in one row, the same columns for every run: what runs are compared by.

    Scalars by their name, each group's choice under the group's name, its values as `group.key`; "-" where the chosen
    option has no such key.
    """
    row = {field.name: config.get(field.name) for field in fields(Scalars)}
    for group, options in OPTIONS.items():
        chosen = config.get(group) or {}
        row[group] = chosen.get("name")
        keys = dict.fromkeys(field.name for schema in options.values() for field in fields(schema) if field.name != "name")
        row |= {f"{group}.{key}": chosen.get(key, "-" if chosen else None) for key in keys}
    return row
