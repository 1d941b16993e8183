"""The options of the config groups: one dataclass each, and the rules that its values keep.

The YAML files in conf/<group>/ choose values, these dataclasses own the shape: there are no
defaults here.
"""

from dataclasses import dataclass

from ddp.config.checks import at_least, check_start_method, file_name, number, one_of, start_methods
from ddp.errors import ConfigError

HOLDOUTS = ("random", "user", "time", "files")
OPTIMIZERS = ("adam", "sgd")
OUTER = ("none", "momentum", "nesterov", "adam")
DUPLICATES = ("error", "last", "mean")


# --- backend: how workers are started and what carries a vector between them ---


@dataclass(slots=True, kw_only=True)
class SerialBackend:
    name: str


@dataclass(slots=True, kw_only=True)
class PollingBackend:
    """`poll_interval_s`: look into the shared dict this often, as the document does; null = be
    notified.
    """

    name: str
    poll_interval_s: float | None

    def __post_init__(self) -> None:
        if self.poll_interval_s is not None:
            number("backend.poll_interval_s", self.poll_interval_s, above=0)


@dataclass(slots=True, kw_only=True)
class ThreadBackend(PollingBackend):
    pass


@dataclass(slots=True, kw_only=True)
class ProcessBackend(PollingBackend):
    """`start_method`: how Python starts a worker's process."""

    start_method: str

    def __post_init__(self) -> None:
        PollingBackend.__post_init__(self)
        check_start_method(self.start_method)

    @property
    def chosen_start_method(self) -> str:
        return self.start_method


@dataclass(slots=True, kw_only=True)
class ShmBackend:
    """`directory`: where the shared memory lies, null = /dev/shm; `start_method`: null = forkserver
    where there is one.
    """

    name: str
    directory: str | None
    start_method: str | None

    def __post_init__(self) -> None:
        file_name("backend.directory", self.directory)
        if self.start_method is not None:
            check_start_method(self.start_method)

    @property
    def chosen_start_method(self) -> str:
        return self.start_method or start_methods()[-1]


# --- data: where the ratings come from ---


@dataclass(slots=True, kw_only=True)
class MovieLensData:
    """`root`: the folder that holds one folder per set. `connect_timeout_s`: for the download."""

    name: str
    root: str
    connect_timeout_s: float

    def __post_init__(self) -> None:
        file_name("data.root", self.root)
        number("data.connect_timeout_s", self.connect_timeout_s, above=0)


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
            raise ConfigError(
                "data.path",
                self.path,
                "data=csv needs either data.path=FILE or data.paths=[FILE,...]",
            )
        if self.paths is not None and not self.paths:
            raise ConfigError("data.paths", self.paths, "must name at least one file")
        for key, name in (
            ("path", self.path),
            ("cache", self.cache),
            *(("paths", name) for name in self.paths or []),
        ):
            file_name(f"data.{key}", name)
        self.separator = {"\\t": "\t", "tab": "\t"}.get(self.separator, self.separator)
        if len(self.separator) != 1 and self.separator != "::":
            allowed = "must be one character, tab, or '::' (on the command line quote others: \"data.separator=';'\")"
            raise ConfigError("data.separator", repr(self.separator), allowed)
        one_of("data.duplicates", self.duplicates, DUPLICATES)
        columns = {
            "user": self.user,
            "item": self.item,
            "rating": self.rating,
            "timestamp": self.timestamp,
        }
        for role, column in columns.items():
            if isinstance(column, str) and not self.header:
                raise ConfigError(
                    f"data.{role}",
                    column,
                    "a column name needs data.header=true; without one use a position",
                )
            if isinstance(column, int) and column < 0:
                raise ConfigError(f"data.{role}", column, "positions count from 0")
        named = [column for column in columns.values() if column is not None]
        if len(set(named)) < len(named):
            raise ConfigError(
                "data.user",
                self.user,
                f"user, item, rating and timestamp must be different columns, not {named}",
            )
        for key, bound in (
            ("data.rating_min", self.rating_min),
            ("data.rating_max", self.rating_max),
        ):
            if bound is not None:
                number(key, bound)
        if (
            self.rating_min is not None
            and self.rating_max is not None
            and self.rating_min >= self.rating_max
        ):
            raise ConfigError(
                "data.rating_min",
                self.rating_min,
                f"must be below data.rating_max={self.rating_max:g}",
            )


@dataclass(slots=True, kw_only=True)
class SyntheticData:
    """Low-rank factors + biases + Gaussian noise; `popularity`: exponent of the power law over
    items and users.
    """

    name: str
    num_users: int
    num_items: int
    num_ratings: int
    rank: int
    noise_std: float
    popularity: float

    def __post_init__(self) -> None:
        for key in ("num_users", "num_items", "num_ratings", "rank"):
            at_least(f"data.{key}", getattr(self, key), 1)
        number("data.noise_std", self.noise_std, least=0)
        number("data.popularity", self.popularity, least=0)
        if self.num_ratings > self.num_users * self.num_items // 2:
            raise ConfigError(
                "data.num_ratings",
                self.num_ratings,
                f"at most half of num_users x num_items = {self.num_users * self.num_items:,}"
                " pairs can be rated",
            )


# --- split: what is held out, and how the rest is dealt to workers ---


@dataclass(slots=True, kw_only=True)
class Split:
    """`holdout` chooses the test part (validation is cut from what remains); the option's name, how
    shards are dealt.
    """

    name: str
    holdout: str
    test_fraction: float
    valid_fraction: float
    test_file: str | None

    def __post_init__(self) -> None:
        one_of("split.holdout", self.holdout, HOLDOUTS)
        number("split.test_fraction", self.test_fraction, above=0, below=1)
        number("split.valid_fraction", self.valid_fraction, least=0, below=1)
        file_name("split.test_file", self.test_file)
        if (self.holdout == "files") != (self.test_file is not None):
            raise ConfigError(
                "split.test_file",
                self.test_file,
                "split.holdout=files and split.test_file=FILE go together",
            )


@dataclass(slots=True, kw_only=True)
class DirichletSplit(Split):
    """`alpha`: concentration over the rating values; small = each worker sees few of them, large =
    iid.
    """

    alpha: float

    def __post_init__(self) -> None:
        Split.__post_init__(self)
        number("split.alpha", self.alpha, above=0)


# --- model, trainer, aggregation ---


@dataclass(slots=True, kw_only=True)
class Model:
    """`dim`: embedding size; `init_std`: of the factors' normal initial values (biases start at
    0).
    """

    name: str
    dim: int
    biases: bool
    init_std: float

    def __post_init__(self) -> None:
        at_least("model.dim", self.dim, 1)
        number("model.init_std", self.init_std, above=0)


@dataclass(slots=True, kw_only=True)
class AutogradTrainer:
    name: str
    optimizer: str
    lr: float
    weight_decay: float
    batch_size: int

    def __post_init__(self) -> None:
        one_of("trainer.optimizer", self.optimizer, OPTIMIZERS)
        number("trainer.lr", self.lr, above=0)
        number("trainer.weight_decay", self.weight_decay, least=0)
        at_least("trainer.batch_size", self.batch_size, 1)


@dataclass(slots=True, kw_only=True)
class FusedTrainer:
    """`lr` is multiplied by `lr_decay` after each epoch; `reg_*`: L2 on the rows of each rating
    that is visited.
    """

    name: str
    lr: float
    lr_decay: float
    reg_factors: float
    reg_biases: float

    def __post_init__(self) -> None:
        number("trainer.lr", self.lr, above=0)
        number("trainer.lr_decay", self.lr_decay, above=0)
        number("trainer.reg_factors", self.reg_factors, least=0)
        number("trainer.reg_biases", self.reg_biases, least=0)


@dataclass(slots=True, kw_only=True)
class Aggregation:
    """`outer`: what is done with the change that the mean makes; `outer_*`: see
    ddp/aggregation/outer.py, which of them it reads.
    """

    name: str
    outer: str
    outer_lr: float
    outer_beta1: float
    outer_beta2: float
    outer_tau: float

    def __post_init__(self) -> None:
        one_of("aggregation.outer", self.outer, OUTER)
        number("aggregation.outer_lr", self.outer_lr, above=0)
        number("aggregation.outer_beta1", self.outer_beta1, least=0, below=1)
        number("aggregation.outer_beta2", self.outer_beta2, least=0, below=1)
        number("aggregation.outer_tau", self.outer_tau, above=0)
        if self.name == "ensemble" and self.outer != "none":
            raise ConfigError(
                "aggregation.outer", self.outer, "aggregation=ensemble averages no states: use none"
            )


@dataclass(slots=True, kw_only=True)
class SoftmaxAggregation(Aggregation):
    """`temperature`: of softmax(-loss / temperature); large = uniform; so small that a weight
    underflows to 0 is refused when it happens.
    """

    temperature: float

    def __post_init__(self) -> None:
        Aggregation.__post_init__(self)
        number("aggregation.temperature", self.temperature, above=0)


@dataclass(slots=True, kw_only=True)
class RowsAggregation(Aggregation):
    """`power`: a worker counts in a row by its number of ratings there to this power."""

    power: float

    def __post_init__(self) -> None:
        Aggregation.__post_init__(self)
        number("aggregation.power", self.power, least=0)


# --- with advise=true ---


@dataclass(slots=True, kw_only=True)
class Simulate:
    """Another machine than this one. `cores`, `bandwidth` (of memory, GB/s): null = as here;
    `straggler`: how many times as long the slowest worker computes.
    """

    cores: int | None
    bandwidth: float | None
    straggler: float

    def __post_init__(self) -> None:
        if self.cores is not None:
            at_least("simulate.cores", self.cores, 1)
        if self.bandwidth is not None:
            number("simulate.bandwidth", self.bandwidth, above=0)
        number("simulate.straggler", self.straggler, least=1)


Backend = SerialBackend | ThreadBackend | ProcessBackend | ShmBackend
Data = MovieLensData | CsvData | SyntheticData
Trainer = AutogradTrainer | FusedTrainer

# Closed sets: group -> option -> its dataclass. conf/<group>/<option>.yaml holds the values.
OPTIONS: dict[str, dict[str, type]] = {
    "backend": {
        "serial": SerialBackend,
        "thread": ThreadBackend,
        "process": ProcessBackend,
        "shm": ShmBackend,
    },
    "data": {
        **dict.fromkeys(("ml100k", "ml1m", "ml_latest_small", "ml25m", "ml32m"), MovieLensData),
        "csv": CsvData,
        "synthetic": SyntheticData,
    },
    "split": {
        **dict.fromkeys(("iid", "user", "item", "time", "files", "stratified", "copies"), Split),
        "dirichlet": DirichletSplit,
    },
    "model": dict.fromkeys(("tiny", "small", "medium", "large"), Model),
    "trainer": {"autograd": AutogradTrainer, "fused": FusedTrainer},
    "aggregation": {
        **dict.fromkeys(("uniform", "samples", "inverse_loss", "ensemble"), Aggregation),
        "softmax_loss": SoftmaxAggregation,
        "rows": RowsAggregation,
    },
}
