"""Recognises the format of a rating file from its first lines.

An option that is given is obeyed. A file that can be read in two ways is refused.
"""

import csv
import re
from dataclasses import dataclass, replace

from ddp.config.data import AUTO
from ddp.errors import DataError
from ddp.ratings.sources.column_names import columns_called
from ddp.ratings.sources.content import Content
from ddp.ratings.sources.layout import BLANKS, DOUBLE_COLON, Format, Layout
from ddp.ratings.sources.records import is_blank, length_trouble, split

NUM_LINES = 50  # that are looked at
SEPARATORS = (DOUBLE_COLON, "\t", ";", "|", ",", BLANKS)  # the later ones also stand in texts
_WHOLE = re.compile(r"[ \t]*[+-]?[0-9]+[ \t]*")
_NUMBER = re.compile(r"[ \t]*[+-]?([0-9]+[.,]?[0-9]*|[.,][0-9]+)(e[+-]?[0-9]+)?[ \t]*", re.I)
_DECIMAL_COMMA = re.compile(r"[ \t]*[+-]?[0-9]*,[0-9]+[ \t]*")
_DATE = re.compile(r"[ \t]*(19|20)[0-9]{2}([-/]?)[0-9]{2}\2[0-9]{2}.*")
_FIRST_TIME = 1e8  # seconds, in 1973: no rating is as large, and no time of a rating is earlier
_NEEDED = ("user", "item", "rating")
_WHAT_TO_WRITE = (
    "Write data.user=, data.item=, data.rating= (a position from 0, or a name of the header) and"
    " data.header=true or false"
)


class _Unclear(Exception):
    """The reason why a separator does not give ratings; `fields`: how many it gives."""

    def __init__(self, reason: str, fields: int) -> None:
        super().__init__(reason)
        self.fields = fields


@dataclass(slots=True, kw_only=True)
class _Table:
    """The first records at some separator; `rows` are all of them without the header."""

    first: list[str]
    rows: list[list[str]]

    def column(self, at: int) -> list[str]:
        return [row[at] for row in self.rows if at < len(row)]

    def mostly(self, pattern: re.Pattern[str], at: int) -> bool:
        """True if most fields of a column fit."""
        fields = self.column(at)
        return 2 * sum(pattern.fullmatch(text) is not None for text in fields) > len(fields)

    def has_times(self, at: int) -> bool:
        """True if most fields of a column are dates, or seconds since 1970."""
        fields = self.column(at)
        times = sum(
            _DATE.fullmatch(text) is not None
            or (_NUMBER.fullmatch(text) is not None and _value(text) >= _FIRST_TIME)
            for text in fields
        )
        return 2 * times > len(fields)


def recognise(content: Content, layout: Layout) -> tuple[Content, Format]:
    """The format of a file, and its text with a separator of one character. Raises DataError."""
    lines = _first_lines(content)
    shown = next((at for at, line in enumerate(lines) if line.strip()), None)
    if shown is None:
        raise DataError(f"{content.path}: has no ratings; it should have one per line.")
    found: list[Format] = []
    unclear: list[_Unclear] = []
    for separator in SEPARATORS if layout.separator == AUTO else (layout.separator,):
        try:
            found.append(_read_with(separator, lines, layout))
        except _Unclear as reason:
            unclear.append(reason)
    if not found:
        nearest = max(unclear, key=lambda each: each.fields)
        raise DataError(f"{content.path}:{shown + 1}: {nearest}") from None
    # a header with known names says more than numbers
    form = next((form for form in found if form.header), found[0])
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
    line, rows = 1, []
    for end, fields in split(lines, form.separator, form.quote):
        if not is_blank(fields):
            rows.append((line, fields))
        line = end + 1
        if len(rows) > form.header:
            break
    if len(rows) <= form.header:
        raise DataError(f"{content.path}: has no ratings, only a header line.")
    line, fields = rows[-1]
    if trouble := length_trouble(fields, form):
        raise DataError(f"{content.path}:{line}: {trouble}")


def _read_with(separator: str, lines: list[str], layout: Layout) -> Format:
    """The format if the fields are separated so. Raises _Unclear."""
    quote = _quote(separator, lines, layout)
    try:
        records = [fields for _, fields in split(lines, separator, quote)]
    except csv.Error:
        records = []
    records = [fields for fields in records if not is_blank(fields)]
    if not records:
        raise _Unclear("a quote is left open here. Set data.quote=false if it is no quote.", 0)
    first, num = records[0], len(records[0])
    if layout.separator == AUTO and (
        num < 3 or 2 * sum(len(fields) == num for fields in records[1:]) < len(records) - 1
    ):
        raise _Unclear(
            "no separator gives three fields or more in each line. Set data.separator."
            + _show(lines),
            0,
        )
    header = _has_header(first, records[1:], layout, lines)
    table = _Table(first=first, rows=records[int(header) :])
    columns = _columns(table, header, layout, lines)
    rating = columns["rating"]
    assert rating is not None
    decimal = layout.decimal
    if decimal == AUTO:
        decimal = "," if any(map(_DECIMAL_COMMA.fullmatch, table.column(rating))) else "."
    timestamp = columns["timestamp"]
    return Format(
        separator=separator, splitter=separator, quote=quote, decimal=decimal, header=header,
        names=[name.strip() for name in first] if header else [],
        num_fields=num,
        user=columns["user"] or 0, item=columns["item"] or 0, rating=rating, timestamp=timestamp,
        number_ids=all(table.mostly(_WHOLE, columns[role] or 0) for role in ("user", "item")),
        number_ratings=table.mostly(_NUMBER, rating),
        whole_times=timestamp is None or table.mostly(_WHOLE, timestamp),
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


def _has_header(first: list[str], rows: list[list[str]], layout: Layout, lines: list[str]) -> bool:
    if layout.header != AUTO:
        return bool(layout.header)
    if any(_is_name(getattr(layout, role)) for role in (*_NEEDED, "timestamp")):
        return True
    bare = [text.strip(" \t\"'") for text in first]
    if bare[:3] == ["0", "1", "2"]:
        raise _Unclear(
            "0, 1, 2 may be the numbers of the columns, or a rating. Write data.header=true or"
            " false." + _show(lines),
            len(first),
        )
    known = sum(bool(columns_called(role, first)) for role in _NEEDED)
    if any(map(_NUMBER.fullmatch, bare)):
        return known >= 2
    if known:
        return True
    below = _Table(first=first, rows=rows)
    numbers = sum(below.mostly(_NUMBER, at) for at in range(len(first))) if rows else 0
    if numbers >= 2 or (numbers and _all_given(layout)):
        return True
    raise _Unclear(
        f"this may be a header or a rating. {_WHAT_TO_WRITE}." + _show(lines), len(first)
    )


def _columns(
    table: _Table, header: bool, layout: Layout, lines: list[str]
) -> dict[str, int | None]:
    """Role -> position of its column. Raises _Unclear."""
    num = len(table.first)
    columns: dict[str, int | None] = {}
    for role in (*_NEEDED, "timestamp"):
        wanted = getattr(layout, role)
        if wanted is None or isinstance(wanted, int):
            if wanted is not None and wanted >= num:
                raise _Unclear(
                    f"no column {wanted} for data.{role}: the line has {num} fields."
                    f" {_check(role)}",
                    num,
                )
            columns[role] = wanted
        elif wanted != AUTO:
            columns[role] = _position(table.first, role, wanted)
    find = _by_name if header else _by_order
    found = find(table, columns, layout)
    if isinstance(found, str):
        raise _Unclear(f"{found}. {_WHAT_TO_WRITE}." + _show(lines), num)
    return found


def _by_name(
    table: _Table, columns: dict[str, int | None], layout: Layout
) -> dict[str, int | None] | str:
    """All roles, by the names of the header; or the reason why it does not tell."""
    for role in ("user", "rating", "timestamp", "item"):
        if role in columns:
            continue
        names = ["" if at in columns.values() else name for at, name in enumerate(table.first)]
        found = columns_called(role, names)
        if len(found) > 1:
            both = " and ".join(repr(names[at].strip()) for at in found)
            return f"{both} may both be the {role}"
        if not found and role != "timestamp":
            return f"no name of the header is known as that of the {role}"
        columns[role] = found[0] if found else None
    return columns


def _by_order(
    table: _Table, columns: dict[str, int | None], layout: Layout
) -> dict[str, int | None] | str:
    """All roles, in the order user, item, rating, time; or the reason why that does not fit."""
    num = len(table.first)
    free = [at for at in range(num) if at not in columns.values()]
    missing = [role for role in _NEEDED if role not in columns]
    if len(missing) == len(_NEEDED) and num not in (3, 4):
        return f"the first line is no header, and has {num} fields"
    if len(missing) > len(free):
        return "the line has too few fields"
    columns |= zip(missing, free, strict=False)
    rating = columns["rating"]
    if missing and rating is not None:
        if not table.mostly(_NUMBER, rating) and not table.mostly(_TRUTH, rating):
            return f"there is no header, and column {rating} does not hold ratings"
        if table.has_times(rating):
            return f"there is no header, and column {rating} seems to hold times, not ratings"
    if "timestamp" not in columns:
        times = [at for at in free[len(missing) :] if table.has_times(at)]
        if len(missing) == len(_NEEDED) and len(free) > len(missing) and not times:
            return f"there is no header, and column {free[-1]} does not hold times"
        columns["timestamp"] = times[0] if len(times) == 1 else None
    return columns


_TRUTH = re.compile("true|false", re.I)  # refused later, with its line


def _position(names: list[str], role: str, wanted: str) -> int:
    found = [at for at, name in enumerate(names) if name.strip() == wanted]
    if len(found) != 1:
        trouble = "no column" if not found else f"{len(found)} columns called"
        raise _Unclear(
            f"{trouble} {wanted!r} for data.{role}; the header has"
            f" {', '.join(name.strip() for name in names)}. {_check(role)}",
            len(names),
        )
    return found[0]


def _check(role: str) -> str:
    return f"Check data.separator, data.header and data.{role}" + (
        " (null = no timestamps)." if role == "timestamp" else "."
    )


def _show(lines: list[str]) -> str:
    first = next(line for line in lines if line.strip()).strip()
    return f" The line is {first[:200]!r}."


def _is_name(column: int | str | None) -> bool:
    return isinstance(column, str) and column != AUTO


def _all_given(layout: Layout) -> bool:
    return AUTO not in (layout.user, layout.item, layout.rating)


def _value(text: str) -> float:
    return float(text.replace(",", "."))


def _origins(layout: Layout) -> dict[str, str]:
    """Part of the format -> where it comes from."""
    given = {
        "columns": _all_given(layout),
        "separator": layout.separator != AUTO,
        "header": layout.header != AUTO,
        "encoding": layout.encoding != AUTO,
        "decimal": layout.decimal != AUTO,
    }
    yes = "published" if layout.published else "given"
    return {part: yes if is_given else "recognised" for part, is_given in given.items()}
