"""The layout of a rating file: as the user describes it, and as it was found in one file."""

from dataclasses import dataclass

from ddp.config.data import AUTO

DOUBLE_COLON = "::"
BLANKS = " "  # stands for runs of blanks and tabs

# Stand in the text in place of '::' and the like, at which pandas cannot split.
STAND_INS = ("\x1f", "\x1e", "\x1d", "\x1c")

_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "'|'", BLANKS: "blanks"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The format of a rating file, as far as somebody has given it; "auto": as it is found.

    | field                      | meaning                                                         |
    | -------------------------- | --------------------------------------------------------------- |
    | `quote`                    | the character around a field; "": none                          |
    | `skip_lines`, `comment`    | first lines, and lines that begin so, which hold no rating      |
    | `user`, ... `timestamp`    | columns: names (needs a header) or positions, counted from 0    |
    | `ids`                      | "text": ids stay as they are written                            |
    | `not_rated`                | ratings that mean "not rated"                                   |
    | `rating_min`, `rating_max` | a rating outside is an error; None: no bound                    |
    | `duplicates`               | of two ratings of an item by a user: error, last or mean        |
    | `published`                | True: a MovieLens set. Its ids are whole numbers, and no option |
    |                            | describes it, so no error message names one.                    |
    """

    separator: str = AUTO
    header: bool | str = AUTO
    encoding: str = AUTO
    quote: str = AUTO
    decimal: str = AUTO
    skip_lines: int = 0
    comment: str = ""
    user: int | str = AUTO
    item: int | str = AUTO
    rating: int | str = AUTO
    timestamp: int | str | None = AUTO
    ids: str = AUTO
    not_rated: tuple[float, ...] = ()
    rating_min: float | None = None
    rating_max: float | None = None
    duplicates: str = "error"
    published: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """The format of one file, with nothing left open.

    | field              | meaning                                                             |
    | ------------------ | ------------------------------------------------------------------- |
    | `splitter`         | the character that stands for the separator in the text             |
    | `names`            | the header; [] without one                                          |
    | `user`, ...        | positions of the columns                                            |
    | `number_ids`, ...  | most of the first lines have (whole) numbers there                  |
    | `origins`          | part of the format -> "given", "recognised" or "published"          |
    """

    separator: str
    splitter: str
    quote: str
    decimal: str
    header: bool
    names: list[str]
    num_fields: int
    user: int
    item: int
    rating: int
    timestamp: int | None
    number_ids: bool
    number_ratings: bool
    whole_times: bool
    origins: dict[str, str]

    @property
    def roles(self) -> dict[str, int]:
        """Role -> position of its column; the timestamp is left out where there is none."""
        found = {"user": self.user, "item": self.item, "rating": self.rating}
        return found if self.timestamp is None else {**found, "timestamp": self.timestamp}

    def in_words(self, encoding: str, compression: str) -> dict[str, tuple[str, str]]:
        """The parts of the format for `Reading.format`."""
        named = self.names or [f"column {position}" for position in range(self.num_fields)]
        found = {role: named[at] for role, at in self.roles.items()} | {
            "separator": separator_name(self.separator),
            "header": "yes" if self.header else "none",
            "encoding": encoding + (f", {compression}" if compression else ""),
        }
        if self.decimal == ",":
            found["decimal"] = "comma"
        return {part: (value, self.origins[part]) for part, value in found.items()}


def separator_name(separator: str) -> str:
    """The name of a separator in messages."""
    return _NAMES.get(separator, repr(separator))
