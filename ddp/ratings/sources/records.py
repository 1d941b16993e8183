"""Splits the lines of a rating file into fields, with the number of each line.

This is for headers and for error messages: it is far too slow to parse with.
"""

import csv
import re
import sys
from collections.abc import Iterable, Iterator
from itertools import islice

from ddp.errors import DataError
from ddp.ratings.sources.content import Content
from ddp.ratings.sources.layout import (
    BLANKS,
    STAND_INS,
    Format,
    separator_name,
)

_RUNS = re.compile("[ \t]+")


def split(
    lines: Iterable[str], separator: str, quote: str, *, strict: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """(number of lines up to its end, fields) of every record.

    Raises csv.Error; if `strict`, also for a quote that does not close at the end of a field.
    """
    csv.field_size_limit(sys.maxsize)
    if len(separator) > 1:
        longer, separator = separator, STAND_INS[0]
        lines = (line.replace(longer, separator) for line in lines)
    if separator == BLANKS:
        lines = map(_one_blank, lines)
    if quote:
        reader = csv.reader(lines, delimiter=separator, quotechar=quote, strict=strict)
    else:
        reader = csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_NONE)
    for fields in reader:
        yield reader.line_num, fields


def _one_blank(line: str) -> str:
    """The line with one blank for each run of blanks and tabs, and none at its ends."""
    text = line.rstrip("\r\n")
    return _RUNS.sub(" ", text).strip(" ") + line[len(text) :]


def records(content: Content, form: Format) -> Iterator[tuple[int, list[str]]]:
    """(line number from 1, fields) of every record that is not blank, including the header.

    Undecodable bytes become U+FFFD. Raises DataError when no reader can split the file.
    """
    line = 1
    try:
        for end, fields in split(content.lines(), form.splitter, form.quote):
            if not is_blank(fields):
                yield line, fields
            line = end + 1
    except csv.Error as error:
        raise DataError(
            f"{content.path}:{line}: {error}. Is data.separator={separator_name(form.separator)}"
            " right, and is a quote left open?"
        ) from None


def ratings_of(content: Content, form: Format) -> Iterator[tuple[int, list[str]]]:
    """The records behind the header."""
    return islice(records(content, form), int(form.header), None)


def is_blank(fields: list[str]) -> bool:
    """True if the record is a blank line, which no reader counts."""
    return len(fields) < 2 and not "".join(fields).strip()


def length_trouble(fields: list[str], form: Format) -> str | None:
    """The reason why the number of fields is wrong; None if it is right."""
    if len(fields) == form.num_fields:
        return None
    kind = "line cut short" if len(fields) < form.num_fields else "line too long"
    return (
        f"{kind}: {len(fields)} fields separated by {separator_name(form.separator)},"
        f" where {form.num_fields} were expected."
    )
