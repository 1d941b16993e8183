"""Recognises the format of a rating file from its first lines.

An option that is given is obeyed. A file that can be read in two ways is refused.
"""

import csv
import re
from dataclasses import replace
from itertools import islice

from ddp.config.data import AUTO
from ddp.errors import DataError
from ddp.ratings.sources.columns import (
    NEEDED,
    NUMBER,
    WHOLE,
    Table,
    Unclear,
    all_given,
    find_columns,
    has_header,
)
from ddp.ratings.sources.content import Content
from ddp.ratings.sources.layout import BLANKS, DOUBLE_COLON, Format, Layout, separator_name
from ddp.ratings.sources.records import length_trouble, split

NUM_LINES = 50  # that are looked at
_JSON = re.compile(r'\s*(\{\s*"|\[\s*[\[{])')
_DECIMAL_COMMA = re.compile(r"[ \t]*[+-]?[0-9]*,[0-9]+[ \t]*")
SEPARATORS = (DOUBLE_COLON, "\t", ";", "|", ",", BLANKS)  # the later ones also stand in texts


def recognise(content: Content, layout: Layout) -> tuple[Content, Format]:
    """The format of a file, and its text with a separator of one character. Raises DataError."""
    lines = _first_lines(content)
    shown = next((at for at, line in enumerate(lines) if line.strip()), None)
    if shown is None:
        raise DataError(f"{content.path}: has no ratings; it should have one per line.")
    if _JSON.match(lines[shown]):
        raise DataError(
            f"{content.path}:{shown + 1}: is JSON. Write its ratings as a table, one per line."
        )
    unclear: list[Unclear] = []
    for separator in SEPARATORS if layout.separator == AUTO else (layout.separator,):
        try:
            form = _read_with(separator, lines, layout)
            break
        except Unclear as reason:
            unclear.append(reason)
    else:
        nearest = max(unclear, key=lambda each: each.fields)
        raise DataError(f"{content.path}:{shown + 1}: {nearest}")
    _check_first_row(content, lines, form)
    content, splitter = content.with_splitter(form.separator)
    return content, replace(form, splitter=splitter)


def _first_lines(content: Content) -> list[str]:
    """The lines up to number `NUM_LINES` of those that are not blank."""
    lines, count = [], 0
    for line in content.lines():
        lines.append(line)
        count += not line.isspace()
        if count == NUM_LINES:
            break
    return lines


def _check_first_row(content: Content, lines: list[str], form: Format) -> None:
    """Raises DataError unless there is a row of data, as long as the header.

    pandas measures all lines by the first of them.
    """
    rows = list(islice(split(lines, form.separator, form.quote), 1 + form.header))
    if len(rows) <= form.header:
        raise DataError(f"{content.path}: has no ratings, only a header line.")
    if trouble := length_trouble(rows[-1].fields, form):
        raise DataError(f"{content.path}:{rows[-1].line}: {trouble}")


def _read_with(separator: str, lines: list[str], layout: Layout) -> Format:
    """The format if the fields are separated so. Raises Unclear."""
    quote = _quote(separator, lines, layout)
    try:
        records = [record.fields for record in split(lines, separator, quote)]
    except csv.Error:
        records = []
    if not records:
        raise Unclear("a quote is left open here. Set data.quote=false if it is no quote.", 0)
    first, num = records[0], len(records[0])
    longer = records[1:] and all(len(fields) == num + 1 for fields in records[1:])
    if layout.separator == AUTO and num >= 3 and longer:
        raise Unclear(
            f"the header has {num} names and each line {num + 1} fields, as R writes a table with"
            " row names. Write it without them (row.names = FALSE).",
            num,
        )
    if layout.separator == AUTO and (
        num < 3 or 2 * sum(len(fields) == num for fields in records[1:]) < len(records) - 1
    ):
        raise Unclear(
            "no separator gives three fields or more in each line. Set data.separator, or"
            " data.comment or data.skip_lines if the line is no rating. The line is"
            f" {next(line for line in lines if line.strip()).strip()[:200]!r}.",
            0,
        )
    if num < 3 and not all_given(layout):
        raise Unclear(
            f"the line has {num} fields separated by {separator_name(separator)}, where a user, an"
            " item and a rating were expected. Check data.separator.",
            num,
        )
    table = Table(records=records, line=next(line for line in lines if line.strip()).strip())
    table.header = has_header(table, layout)
    columns = find_columns(table, layout)
    user, item, rating = (columns[role] or 0 for role in NEEDED)
    decimal = layout.decimal
    if decimal == AUTO:
        decimal = "," if any(map(_DECIMAL_COMMA.fullmatch, table.column(rating))) else "."
    timestamp = columns["timestamp"]
    return Format(
        separator=separator, splitter=separator, quote=quote, decimal=decimal,
        header=table.header,
        names=[name.strip() for name in first] if table.header else [],
        num_fields=num,
        user=user, item=item, rating=rating, timestamp=timestamp,
        number_ids=table.mostly(WHOLE, user) and table.mostly(WHOLE, item),
        number_ratings=table.mostly(NUMBER, rating),
        whole_times=timestamp is None or table.mostly(WHOLE, timestamp),
        origins=_origins(layout),
    )  # fmt: skip


def _quote(separator: str, lines: list[str], layout: Layout) -> str:
    """The character around fields; "" for none.

    Files with tabs and '::' have none, unless all fields of a column stand in quotes.
    """
    if layout.quote != AUTO:
        return layout.quote
    if separator not in ("\t", DOUBLE_COLON):
        return '"'
    rows = [line.rstrip("\r\n").split(separator) for line in lines if line.strip()][1:]
    quoted = [[text[:1] == '"' == text[-1:] and len(text) > 1 for text in row] for row in rows]
    return '"' if any(all(column) for column in zip(*quoted, strict=False)) else ""


def _origins(layout: Layout) -> dict[str, str]:
    """Part of the format -> where it comes from."""
    parts = (*NEEDED, "timestamp", "separator", "header", "encoding", "decimal")
    given = "published" if layout.published else "given"
    return {part: "recognised" if getattr(layout, part) == AUTO else given for part in parts}
