"""The options of `data`: the source of the ratings."""

import math
import re

from ddp.config.checks import Checked, above, at_least, file_name, number, one_of, options
from ddp.errors import ConfigError

AUTO = "auto"  # the file itself decides
OWN = "own"  # the attributes that a MovieLens set itself tells of its users or films
DUPLICATES = ("error", "last", "mean")
IDS = (AUTO, "text")
SEPARATOR_NAMES = {
    "\\t": "\t", "tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "blanks": " ",
    "blank": " ", "space": " ",
}  # fmt: skip
QUOTE_NAMES = {"True": '"', "true": '"', "False": "", "false": "", "none": "", "None": ""}


@options
class MovieLensData(Checked):
    """A MovieLens set: the folder that holds it, and the patience of its download."""

    PREFIX = "data."

    name: str
    root: str = file_name()
    connect_timeout_s: float = above(0)
    user_features: str | None = file_name()
    item_features: str | None = file_name()


@options
class CsvData(Checked):
    """One file of ratings, or several; its format, and the scale of its ratings."""

    PREFIX = "data."

    name: str
    path: str | None = file_name()
    paths: list[str] | None = file_name()
    separator: str
    header: bool | str
    encoding: str
    quote: str | None
    decimal: str
    skip_lines: int = at_least(0)
    comment: str | None
    user: int | str
    item: int | str
    rating: int | str
    timestamp: int | str | None
    ids: str = one_of(IDS)
    not_rated: list[float] | None
    rating_min: float | None = number()
    rating_max: float | None = number()
    duplicates: str = one_of(DUPLICATES)
    cache: str | None = file_name()
    user_features: str | None = file_name()
    item_features: str | None = file_name()

    def check(self) -> None:
        self._check_files()
        self._check_signs()
        self._check_columns()
        for value in self.not_rated or []:
            if not math.isfinite(value):
                raise ConfigError("data.not_rated", value, "must be finite numbers")
        low, high = self.rating_min, self.rating_max
        if low is not None and high is not None and low >= high:
            raise ConfigError("data.rating_min", low, f"must be below data.rating_max={high:g}")

    def _check_files(self) -> None:
        if (self.path is None) == (self.paths is None):
            allowed = "data=csv needs either data.path=FILE or data.paths=[FILE,...]"
            raise ConfigError("data.path", self.path, allowed)
        if self.paths is not None and not self.paths:
            raise ConfigError("data.paths", self.paths, "must name at least one file")

    def _check_signs(self) -> None:
        """Turns the names of signs into the signs, and checks them."""
        self.separator = SEPARATOR_NAMES.get(self.separator, self.separator)
        # neither a quote, a line end, a NUL nor half of a character
        if self.separator not in (AUTO, "::") and not re.fullmatch(
            r"[^\"\r\n\0\ud800-\udfff]", self.separator
        ):
            raise ConfigError(
                "data.separator",
                repr(self.separator),
                "must be auto, comma, semicolon, tab, blanks, '::' or one character (on the command"
                " line quote others: \"data.separator='|'\")",
            )
        self.quote = QUOTE_NAMES.get(self.quote or "", self.quote or "")
        if self.quote != AUTO and not re.fullmatch(r"[!-~]?", self.quote):
            allowed = "must be auto, true (double quotes), false (none) or one character"
            raise ConfigError("data.quote", repr(self.quote), allowed)
        if self.quote == self.separator != AUTO:
            allowed = "cannot be the separator as well"
            raise ConfigError("data.quote", repr(self.quote), allowed)
        self.decimal = {"comma": ",", "point": "."}.get(self.decimal, self.decimal)
        if self.decimal not in (AUTO, ",", "."):
            raise ConfigError("data.decimal", self.decimal, "choose one of auto, comma, point")
        if self.comment is not None and not re.fullmatch(r"[^\r\n]+", self.comment):
            raise ConfigError("data.comment", repr(self.comment), "must be the beginning of a line")

    def _check_columns(self) -> None:
        if isinstance(self.header, str) and self.header != AUTO:
            raise ConfigError("data.header", self.header, "choose one of auto, true, false")
        columns = {role: getattr(self, role) for role in ("user", "item", "rating", "timestamp")}
        for role, column in columns.items():
            if isinstance(column, str) and column != AUTO and self.header is False:
                allowed = "a column name needs data.header=true; without one use a position"
                raise ConfigError(f"data.{role}", column, allowed)
            if isinstance(column, int) and column < 0:
                raise ConfigError(f"data.{role}", column, "positions count from 0")
        named = [column for column in columns.values() if column not in (None, AUTO)]
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
