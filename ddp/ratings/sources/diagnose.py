"""Finds the first wrong line by a slow scan, after the fast parser has refused a file."""

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import numpy.typing as npt

from ddp.errors import DataError
from ddp.ratings.sources.content import Content
from ddp.ratings.sources.ids import LONGEST
from ddp.ratings.sources.layout import Format, Layout
from ddp.ratings.sources.records import (
    Record,
    is_blank,
    length_trouble,
    ratings_of,
    records,
    split,
)
from ddp.ratings.sources.times import kind_of, unit_of

_INTEGER = re.compile(r"[ \t]*[+-]?[0-9]+[ \t]*")
_NUMBER = re.compile(r"[ \t]*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?[ \t]*", re.IGNORECASE)
_NOT_FINITE = re.compile(r"[ \t]*[+-]?(nan|inf|infinity)[ \t]*", re.IGNORECASE)
_LARGEST_FLOAT32 = 3.4028234e38
_MOST_LINES = 10  # of a quoted text; a quote that nobody closes takes many more
_STRAY = "Correct the quotes, or set data.quote=false if quotes are signs like others here."

Source = tuple[Content, Format]


def first_bad_line(sources: Sequence[Source], layout: Layout) -> DataError | None:
    """The error for the first line that is not a rating; None if every line is one."""
    for content, form in sources:
        check, header = _Check(form, layout), form.header
        for record in records(content, form):
            if header:
                header, trouble = False, check.text_trouble("".join(record.fields))
            else:
                trouble = _quote_trouble(record, check) or check.trouble(record.fields)
            if trouble:
                return DataError(f"{content.path}:{record.line}: {trouble}")
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Finds the place of a row in the files that it comes from.

    `lengths`: the number of rows in each file. `kept`: the numbers, over all files, of the rows
    that count; None: all do.
    """

    sources: Sequence[Source]
    lengths: Sequence[int]
    kept: npt.NDArray[np.int64] | None = None

    def place(self, row: int) -> str:
        """'file:line' of a row, counted from 0."""
        if self.kept is not None:
            row = int(self.kept[row])
        for (content, form), length in zip(self.sources, self.lengths, strict=True):
            if row < length:
                record = next(islice(ratings_of(content, form), row, None))
                return f"{content.path}:{record.line}"
            row -= length
        raise AssertionError("a row behind the last file")


def check_lines(content: Content, form: Format, layout: Layout, num_rows: int) -> None:
    """Raises DataError unless each line that is not blank gave one row.

    A text in quotes may take some lines, but none that is a rating: a stray quote does that.
    `num_rows`: without the header.
    """
    num_records = num_rows + form.header
    if num_records == content.num_lines:
        return
    if num_records == sum(not is_blank(line, form.splitter) for line in content.lines()):
        return
    found, check = 0, _Check(form, layout)
    for record in records(content, form):
        found += 1
        if trouble := _quote_trouble(record, check):
            raise DataError(f"{content.path}:{record.line}: {trouble}")
    if found != num_records:
        raise DataError(
            f"{content.path}: {found:,} of its lines hold text, but {num_records:,} were read."
            " Check data.separator and data.quote."
        )


def _quote_trouble(record: Record, check: "_Check") -> str | None:
    """The reason why the quotes of a record are wrong; None if they are right.

    A text in quotes may have several lines.
    """
    form, (_, text, fields) = check.form, record
    num_lines = len(text)
    if not form.quote or (num_lines == 1 and text[0].count(form.quote) % 2 == 0):
        return None
    strict_trouble = ""
    try:
        list(split(text, form.splitter, form.quote, strict=True))
    except csv.Error as error:
        strict_trouble = str(error)
    trouble = ""
    if num_lines == 1:
        trouble = "and never closes" if "unexpected end" in strict_trouble else ""
    elif broken := [role for role, at in form.roles.items() if _has_line_end(fields[at : at + 1])]:
        trouble = f"and gives the {broken[0]} {num_lines} lines"
    elif num_lines > _MOST_LINES:
        trouble = f"and closes {num_lines} lines later, or never"
    elif strict_trouble:
        trouble = "and no field ends where it closes"
    elif any(_is_rating(line, check) for line in text[1:]):
        trouble = "and the lines up to its end are ratings"
    return f"a quote opens here, {trouble}. {_STRAY}" if trouble else None


def _has_line_end(fields: list[str]) -> bool:
    return any("\n" in text or "\r" in text for text in fields)


def _is_rating(line: str, check: "_Check") -> bool:
    """True if a line alone is a rating."""
    alone = split([line], check.form.splitter, "")
    return any(replace(check).trouble(record.fields) is None for record in alone)


@dataclass(slots=True)
class _Check:
    """The check of one file, line by line: its times must all be of one kind and unit."""

    form: Format
    layout: Layout
    times: tuple[str, str] | None = None

    def trouble(self, fields: list[str]) -> str | None:
        """The reason why a record is not a rating; None if it is one."""
        form, published = self.form, self.layout.published
        if trouble := self.text_trouble("".join(fields)) or length_trouble(fields, form):
            return trouble
        for role, at in (("user", form.user), ("item", form.item)):
            if not fields[at].strip():
                return f"the {role} is missing."
            if published and not _INTEGER.fullmatch(fields[at]):
                return f"{role} {fields[at]!r} is not a whole number."
            if len(fields[at]) > LONGEST:
                return f"the {role} has {len(fields[at]):,} characters. {_STRAY}"
        if form.timestamp is not None and (trouble := self._time_trouble(fields[form.timestamp])):
            return trouble
        return self._rating_trouble(fields[form.rating])

    def text_trouble(self, text: str) -> str | None:
        """The reason why the text is none; None if it is one."""
        published = self.layout.published
        if "\ufffd" in text:
            hint = (
                "Is the file damaged?" if published else "Set data.encoding (latin-1, cp1252, ...)."
            )
            return f"not utf-8 text. {hint}"
        if "\0" in text:
            return "a NUL character is in it. Is the file damaged" + (
                "?" if published else ", or is data.encoding wrong?"
            )
        return None

    def _time_trouble(self, text: str) -> str | None:
        kind = kind_of(text)
        hint = "" if self.layout.published else " (data.timestamp=null reads none.)"
        if kind is None:
            return f"timestamp {text!r} is not a number of seconds or an ISO 8601 date.{hint}"
        number = float(text) if kind == "number" else 0.0
        found = kind, unit_of(number) if number else ""
        if self.times is None or (self.times[0] == kind and not self.times[1]):
            self.times = found
        elif found[0] != self.times[0] or (found[1] and found[1] != self.times[1]):
            before = self.times[1] or self.times[0]
            return (
                f"timestamp {text!r} is in {found[1] or found[0]}, those above in {before}.{hint}"
            )
        return None

    def _rating_trouble(self, text: str) -> str | None:
        if _NOT_FINITE.fullmatch(text):
            return f"rating {text!r} is not a finite number."
        # with a decimal comma a point is none
        plain = text if self.form.decimal == "." else text.replace(".", "?").replace(",", ".")
        if not _NUMBER.fullmatch(plain):
            return f"rating {text!r} is not a number.{self._rating_hint(text)}"
        value = float(plain)
        if abs(value) > _LARGEST_FLOAT32:
            return f"rating {text!r} is too large for a 32-bit number."
        if value in self.layout.not_rated:
            return None
        low = -math.inf if self.layout.rating_min is None else self.layout.rating_min
        high = math.inf if self.layout.rating_max is None else self.layout.rating_max
        if not low <= value <= high:
            hint = (
                ""
                if self.layout.published
                else " Correct it, or change data.rating_min and data.rating_max."
            )
            return f"rating {text} is outside the scale {low:g} to {high:g}.{hint}"
        return None

    def _rating_hint(self, text: str) -> str:
        """The advice about a rating that is no number."""
        if self.layout.published:
            return ""
        if text.strip().lower() in ("true", "false"):
            return " Write 1 for True and 0 for False."
        if _NUMBER.fullmatch(text.replace(",", ".", 1)):
            other = "comma" if self.form.decimal == "." else "point"
            return f" Set data.decimal={other} if the {other} begins the decimals."
        if text.strip() != text.strip(" \t"):
            return " Remove the no-break space, or the like, that it holds."
        if len(text) > 2 and text[0] == text[-1] == '"':
            return " Set data.quote='\"' if fields stand in quotes."
        return " Correct the line or remove it."
