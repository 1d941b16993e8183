"""Reads the records of a small file of any separator: pairs to predict, or attributes."""

import csv
from itertools import islice
from pathlib import Path

from ddp.errors import DataError
from ddp.ratings.sources.content import Content, read_content
from ddp.ratings.sources.layout import Layout
from ddp.ratings.sources.recognise import NUM_LINES, SEPARATORS
from ddp.ratings.sources.records import Record, split


def read_records(path: Path, kind: str) -> list[Record]:
    """All records of a file, with its header if it has one. Raises DataError.

    It may be packed and encoded as a file of ratings may be. `kind`: one of its lines in words.
    """
    content = _content(path, f"It should have one {kind} per line.")
    separator = _separator(content)
    found: list[Record] = []
    try:
        found.extend(split(content.lines(), separator, '"', strict=True))
    except csv.Error as error:
        line = found[-1].line if found else 0
        raise DataError(f"{path}:{line + 1}: {error}. Is a quote left open?") from None
    return found


def _content(path: Path, what: str) -> Content:
    try:
        if path.is_dir():
            raise DataError(f"{path}: is a folder. Name the file itself.")
        if path.stat().st_size == 0 and path.is_file():
            raise DataError(f"{path}: is empty. {what}")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}. Check the path.") from None
    content = read_content(path, Layout())
    if all(map(str.isspace, content.lines())):
        raise DataError(f"{path}: is empty. {what}")
    return content


def _separator(content: Content) -> str:
    """The separator that gives most of the first lines the same number of fields, two or more."""
    lines = list(islice((line for line in content.lines() if line.strip()), NUM_LINES))
    for separator in SEPARATORS:
        counts = [len(record.fields) for record in split(lines, separator, '"')]
        if counts[0] >= 2 and 2 * counts.count(counts[0]) >= len(counts):
            return separator
    raise DataError(
        f"{content.path}: no separator gives two fields in each line. The first line is"
        f" {lines[0].strip()[:200]!r}."
    )
