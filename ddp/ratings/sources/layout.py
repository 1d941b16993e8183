"""The layout of a rating file: its columns, and its records with their line numbers."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ddp.errors import DataError

_PIECE = 1 << 20  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The format of a rating file.

    | field                      | meaning                                                         |
    | -------------------------- | --------------------------------------------------------------- |
    | `user`, ... `timestamp`    | columns: names (needs `header`) or positions, counted from 0    |
    | `rating_min`, `rating_max` | a rating outside is an error; None: no bound                    |
    | `duplicates`               | of two ratings of an item by a user: error, last or mean        |
    | `published`                | True: a MovieLens set. Its ids are whole numbers, and no option |
    |                            | describes it, so no error message names one.                    |
    """

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
    published: bool

    @property
    def codec(self) -> str:
        """The encoding by Python's name; UTF-8 may begin with a byte order mark.

        Raises DataError when it is unknown.
        """
        try:
            "".encode(self.encoding)
        except (LookupError, ValueError):  # ValueError: a NUL, or the codec named "undefined"
            raise DataError(
                f"data.encoding={self.encoding!r}: no such encoding; common ones are utf-8,"
                " latin-1, cp1252"
            ) from None
        return "utf-8-sig" if self.encoding.lower() in ("utf-8", "utf8") else self.encoding


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The positions of the columns in one file."""

    num_fields: int
    user: int
    item: int
    rating: int
    timestamp: int | None


def records(path: Path, layout: Layout) -> Iterator[tuple[int, list[str]]]:
    """(line number from 1, fields) of every record that is not blank, including the header.

    This is for headers and for error messages: it is far too slow to parse with. Undecodable
    bytes become U+FFFD. Raises DataError when no reader can split the file into fields.
    """
    line = 1
    try:
        with path.open(encoding=layout.codec, errors="replace", newline="") as file:
            reader = csv.reader(file, delimiter=layout.separator[0])
            for fields in reader:
                if len(fields) > 1 or (fields and fields[0].strip()):
                    yield line, _split(fields, layout)
                line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}:{line}: {error}. Is data.separator={layout.separator!r} right, and is a quote"
            " left open?"
        ) from None
    # despite errors="replace": UTF-16 without its byte order mark, for example
    except UnicodeError as error:
        raise DataError(
            f"{path}: is not {layout.encoding} text: {error}. Set data.encoding."
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def has_nul(path: Path, layout: Layout) -> bool:
    """True if the text holds a NUL, at which the fast parser ends a field without an error."""
    with path.open(encoding=layout.codec, errors="replace", newline="") as file:
        return any("\0" in piece for piece in iter(lambda: file.read(_PIECE), ""))


def _split(fields: list[str], layout: Layout) -> list[str]:
    """Drops, where the separator is '::', the empty fields that a split at ':' gives."""
    if layout.separator != "::":
        return fields
    return fields[::2] if not any(fields[1::2]) else [":".join(fields)]


def find_columns(path: Path, layout: Layout) -> Columns:
    """The positions in `path` of the columns that `layout` names.

    Raises DataError when a column is missing or there are no ratings.
    """
    heading = list(islice(records(path, layout), 1 + layout.header))
    if len(heading) <= layout.header:
        raise DataError(
            f"{path}: has no ratings"
            + (", only a header line." if heading else "; it should have one per line.")
        )
    line, names = heading[0]
    # pandas measures all lines by the first line of data, so that one must agree with the header.
    if trouble := length_trouble(heading[-1][1], len(names), layout):
        raise DataError(f"{path}:{heading[-1][0]}: {trouble}")
    find = {
        role: _position(path, line, names, role, getattr(layout, role))
        for role in ("user", "item", "rating")
    }
    timestamp = (
        None
        if layout.timestamp is None
        else _position(path, line, names, "timestamp", layout.timestamp)
    )
    return Columns(num_fields=len(names), timestamp=timestamp, **find)


def length_trouble(fields: list[str], expected: int, layout: Layout) -> str | None:
    """The reason why the number of fields is wrong; None if it is right."""
    if len(fields) == expected:
        return None
    kind = "line cut short" if len(fields) < expected else "line too long"
    return (
        f"{kind}: {len(fields)} fields separated by {layout.separator!r},"
        f" where {expected} were expected."
    )


def _position(path: Path, line: int, names: list[str], role: str, column: int | str) -> int:
    what_to_do = f"Check data.separator, data.header and data.{role}" + (
        " (null = no timestamps)." if role == "timestamp" else "."
    )
    if isinstance(column, int):
        if column >= len(names):
            raise DataError(
                f"{path}:{line}: no column {column} for data.{role}: the line has {len(names)}"
                f" fields. {what_to_do}"
            )
        return column
    found = [position for position, name in enumerate(names) if name.strip() == column]
    if len(found) != 1:
        trouble = "no column" if not found else f"{len(found)} columns called"
        raise DataError(
            f"{path}:{line}: {trouble} {column!r} for data.{role}; the header has"
            f" {', '.join(names)}. {what_to_do}"
        )
    return found[0]
