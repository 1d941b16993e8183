"""Finds the first wrong line by a slow scan, after the fast parser has refused a file."""

import math
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from ddp.errors import DataError
from ddp.ratings.sources.layout import Columns, Layout, find_columns, length_trouble, records

INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*")
_NUMBER = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?\s*", re.IGNORECASE)
_NOT_FINITE = re.compile(r"\s*[+-]?(nan|inf|infinity)\s*", re.IGNORECASE)
_LARGEST_FLOAT32 = 3.4028234e38


def first_bad_line(paths: Sequence[Path], layout: Layout) -> DataError | None:
    """The error for the first line of `paths` that is not a rating; None if every line is one."""
    for path in paths:
        columns = find_columns(path, layout)
        for line, fields in islice(records(path, layout), int(layout.header), None):
            if trouble := _trouble(fields, columns, layout):
                return DataError(f"{path}:{line}: {trouble}")
    return None


def place_of_row(paths: Sequence[Path], lengths: Sequence[int], layout: Layout, row: int) -> str:
    """'file:line' of rating number `row`, counted from 0 over all `paths`.

    `lengths`: the number of ratings in each file.
    """
    for path, length in zip(paths, lengths, strict=True):
        if row < length:
            line, _ = next(islice(records(path, layout), row + layout.header, None))
            return f"{path}:{line}"
        row -= length
    raise AssertionError("a row behind the last file")


def _trouble(fields: list[str], columns: Columns, layout: Layout) -> str | None:
    """The reason why a record is not a rating; None if it is one."""
    if trouble := _text_trouble("".join(fields), layout):
        return trouble
    if trouble := length_trouble(fields, columns.num_fields, layout):
        return trouble
    for role, position in (("user", columns.user), ("item", columns.item)):
        if not fields[position].strip():
            return f"the {role} is missing."
        if layout.published and not INTEGER.fullmatch(fields[position]):
            return f"{role} {fields[position]!r} is not a whole number."
    if columns.timestamp is not None and not _is_whole(fields[columns.timestamp]):
        return f"timestamp {fields[columns.timestamp]!r} is not a whole number of seconds."
    return _rating_trouble(fields[columns.rating], layout)


def _text_trouble(text: str, layout: Layout) -> str | None:
    if "\ufffd" in text:
        hint = (
            "Is the file damaged?"
            if layout.published
            else "Set data.encoding (latin-1, cp1252, ...)."
        )
        return f"not {layout.encoding} text. {hint}"
    if "\0" in text:
        return "a NUL character is in it. Is the file damaged" + (
            "?" if layout.published else ", or is data.encoding wrong?"
        )
    return None


def whole_number(text: str) -> int | None:
    """The number if `text` is a whole one that fits into 64 bits."""
    # int() refuses very long numbers
    if not INTEGER.fullmatch(text) or len(text.strip().lstrip("+-0")) > len(str(2**63)):
        return None
    number = int(text)
    return number if -(2**63) <= number < 2**63 else None


def _is_whole(text: str) -> bool:
    """True if `text` is a number such as 12 or 12.0 that fits into 64 bits."""
    if INTEGER.fullmatch(text):
        return whole_number(text) is not None
    return (
        _NUMBER.fullmatch(text) is not None
        and float(text).is_integer()
        and abs(float(text)) < 2**63
    )


def _rating_trouble(text: str, layout: Layout) -> str | None:
    if _NOT_FINITE.fullmatch(text):
        return f"rating {text!r} is not a finite number."
    if not _NUMBER.fullmatch(text):
        return f"rating {text!r} is not a number."
    value = float(text)
    if abs(value) > _LARGEST_FLOAT32:
        return f"rating {text!r} is too large for a 32-bit number."
    low = -math.inf if layout.rating_min is None else layout.rating_min
    high = math.inf if layout.rating_max is None else layout.rating_max
    if not low <= value <= high:
        hint = (
            ""
            if layout.published
            else " Correct it, or change data.rating_min and data.rating_max."
        )
        return f"rating {text} is outside the scale {low:g} to {high:g}.{hint}"
    return None
