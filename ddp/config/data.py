"""The options of `data`: the source of the ratings."""

from ddp.config.checks import Checked, above, at_least, file_name, number, one_of, options
from ddp.errors import ConfigError

DUPLICATES = ("error", "last", "mean")


@options
class MovieLensData(Checked):
    """A MovieLens set: the folder that holds it, and the patience of its download."""

    PREFIX = "data."

    name: str
    root: str = file_name()
    connect_timeout_s: float = above(0)


@options
class CsvData(Checked):
    """One file of ratings, or several; its columns, and the scale of its ratings."""

    PREFIX = "data."

    name: str
    path: str | None = file_name()
    paths: list[str] | None = file_name()
    separator: str
    header: bool
    encoding: str
    user: int | str
    item: int | str
    rating: int | str
    timestamp: int | str | None
    rating_min: float | None = number()
    rating_max: float | None = number()
    duplicates: str = one_of(DUPLICATES)
    cache: str | None = file_name()

    def check(self) -> None:
        self._check_files()
        self._check_columns()
        low, high = self.rating_min, self.rating_max
        if low is not None and high is not None and low >= high:
            raise ConfigError("data.rating_min", low, f"must be below data.rating_max={high:g}")

    def _check_files(self) -> None:
        if (self.path is None) == (self.paths is None):
            allowed = "data=csv needs either data.path=FILE or data.paths=[FILE,...]"
            raise ConfigError("data.path", self.path, allowed)
        if self.paths is not None and not self.paths:
            raise ConfigError("data.paths", self.paths, "must name at least one file")
        self.separator = {"\\t": "\t", "tab": "\t"}.get(self.separator, self.separator)
        if len(self.separator) != 1 and self.separator != "::":
            raise ConfigError(
                "data.separator",
                repr(self.separator),
                "must be one character, tab, or '::' (on the command line quote others:"
                " \"data.separator=';'\")",
            )

    def _check_columns(self) -> None:
        columns = {role: getattr(self, role) for role in ("user", "item", "rating", "timestamp")}
        for role, column in columns.items():
            if isinstance(column, str) and not self.header:
                allowed = "a column name needs data.header=true; without one use a position"
                raise ConfigError(f"data.{role}", column, allowed)
            if isinstance(column, int) and column < 0:
                raise ConfigError(f"data.{role}", column, "positions count from 0")
        named = [column for column in columns.values() if column is not None]
        if len(set(named)) < len(named):
            allowed = f"user, item, rating and timestamp must be different columns, not {named}"
            raise ConfigError("data.user", self.user, allowed)


@options
class SyntheticData(Checked):
    """Ratings of a known model: low-rank factors + biases + Gaussian noise."""

    PREFIX = "data."

    name: str
    num_users: int = at_least(1)
    num_items: int = at_least(1)
    num_ratings: int = at_least(1)
    rank: int = at_least(1)
    noise_std: float = number(least=0)
    popularity: float = number(least=0)

    def check(self) -> None:
        if self.num_ratings > self.num_users * self.num_items // 2:
            raise ConfigError(
                "data.num_ratings",
                self.num_ratings,
                f"at most half of num_users x num_items = {self.num_users * self.num_items:,}"
                " pairs can be rated",
            )


Data = MovieLensData | CsvData | SyntheticData
