"""Splits the lines of a rating file into fields, with the number of each line.

This is for headers and for error messages: it is far too slow to parse with.
"""

import csv
import re
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from ddp.errors import DataError
from ddp.ratings.sources.content import Content
from ddp.ratings.sources.layout import (
    BLANKS,
    STAND_INS,
    Format,
    separator_name,
)

_RUNS = re.compile("[ \t]+")


class Record(NamedTuple):
    """One line of a file, or several with a text in quotes; `line`: the number of the first."""

    line: int
    text: list[str]
    fields: list[str]


def split(
    lines: Iterable[str], separator: str, quote: str, *, strict: bool = False
) -> Iterator[Record]:
    """Every record that is not blank.

    Raises csv.Error; if `strict`, also for a quote that does not close at the end of a field.
    """
    csv.field_size_limit(sys.maxsize)
    longer, separator = separator, STAND_INS[0] if len(separator) > 1 else separator
    text: list[str] = []

    def kept() -> Iterator[str]:
        for line in lines:
            text.append(line)
            yield (_one_blank(line) if separator == BLANKS else line).replace(longer, separator)

    if quote:
        reader = csv.reader(kept(), delimiter=separator, quotechar=quote, strict=strict)
    else:
        reader = csv.reader(kept(), delimiter=separator, quoting=csv.QUOTE_NONE)
    for fields in reader:
        begin = reader.line_num - len(text) + 1
        if len(text) > 1 or not is_blank(text[0], separator):
            yield Record(begin, text.copy(), fields)
        text.clear()


def is_blank(line: str, separator: str) -> bool:
    """True for a line that no reader counts. Tabs that separate fields make no blank line."""
    return not line.strip(" \r\n" if separator == "\t" else " \t\r\n")


def _one_blank(line: str) -> str:
    """The line with one blank for each run of blanks and tabs, and none at its ends."""
    text = line.rstrip("\r\n")
    return _RUNS.sub(" ", text).strip(" ") + line[len(text) :]


def records(content: Content, form: Format) -> Iterator[Record]:
    """The records of a file, including the header.

    Undecodable bytes become U+FFFD. Raises DataError when no reader can split the file.
    """
    line = 0
    try:
        for record in split(content.lines(), form.splitter, form.quote):
            yield record
            line = record.line
    except csv.Error as error:
        raise DataError(
            f"{content.path}:{line + 1}: {error}. Is data.separator="
            f"{separator_name(form.separator)} right, and is a quote left open?"
        ) from None


def ratings_of(content: Content, form: Format) -> Iterator[Record]:
    """The records behind the header."""
    return islice(records(content, form), int(form.header), None)


def length_trouble(fields: list[str], form: Format) -> str | None:
    """The reason why the number of fields is wrong; None if it is right."""
    if len(fields) == form.num_fields:
        return None
    kind = "line cut short" if len(fields) < form.num_fields else "line too long"
    return (
        f"{kind}: {len(fields)} fields separated by {separator_name(form.separator)},"
        f" where {form.num_fields} were expected."
    )
