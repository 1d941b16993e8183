"""Finds the header and the columns of a rating file in its first lines."""

import re
from dataclasses import dataclass

from ddp.config.data import AUTO
from ddp.ratings.sources.column_names import columns_called, other_id_columns
from ddp.ratings.sources.layout import Layout

WHOLE = re.compile(r"[ \t]*[+-]?[0-9]+[ \t]*")
NUMBER = re.compile(r"[ \t]*[+-]?([0-9]+[.,]?[0-9]*|[.,][0-9]+)(e[+-]?[0-9]+)?[ \t]*", re.I)
_TRUTH = re.compile("true|false", re.I)  # such ratings are refused later, with their line
_DATE = re.compile(r"[ \t]*(19|20)[0-9]{2}([-/]?)[0-9]{2}\2[0-9]{2}.*")
_FIRST_TIME = 1e8  # seconds, in 1973: no rating is as large, and no time of a rating is earlier
NEEDED = ("user", "item", "rating")
_WHAT_TO_WRITE = (
    "Write data.user=, data.item=, data.rating= (a position from 0, or a name of the header) and"
    " data.header=true or false."
)


class Unclear(Exception):
    """The reason why a separator does not give ratings; `fields`: how many it gives."""

    def __init__(self, reason: str, fields: int) -> None:
        super().__init__(reason)
        self.fields = fields


@dataclass(slots=True, kw_only=True)
class Table:
    """The first records at some separator. `line`: the first line, as it stands in the file."""

    records: list[list[str]]
    line: str
    header: bool = False

    @property
    def first(self) -> list[str]:
        """The header, or the first rating."""
        return self.records[0]

    def column(self, at: int) -> list[str]:
        """The fields of a column, without the header."""
        return [row[at] for row in self.records[int(self.header) :] if at < len(row)]

    def mostly(self, pattern: re.Pattern[str], at: int) -> bool:
        """True if most fields of a column fit."""
        fields = self.column(at)
        return 2 * sum(pattern.fullmatch(text) is not None for text in fields) > len(fields)

    def has_times(self, at: int) -> bool:
        """True if most fields of a column are dates, or seconds since 1970."""
        fields = self.column(at)
        times = sum(
            _DATE.fullmatch(text) is not None
            or (NUMBER.fullmatch(text) is not None and float(text.replace(",", ".")) >= _FIRST_TIME)
            for text in fields
        )
        return 2 * times > len(fields)

    def unclear(self, reason: str) -> Unclear:
        """The error that shows the first line."""
        return Unclear(
            f"{reason}. {_WHAT_TO_WRITE} The line is {self.line[:200]!r}.", len(self.first)
        )


def has_header(table: Table, layout: Layout) -> bool:
    """True if the first record names the columns. Raises Unclear."""
    if layout.header != AUTO:
        return bool(layout.header)
    if any(_is_name(getattr(layout, role)) for role in (*NEEDED, "timestamp")):
        return True
    bare = [text.strip(" \t\"'") for text in table.first]
    if bare[:3] == ["0", "1", "2"]:
        raise table.unclear("0, 1, 2 may be the numbers of the columns, or a rating")
    known = sum(bool(columns_called(role, table.first)) for role in NEEDED)
    if any(map(NUMBER.fullmatch, bare)):
        return known >= 2
    if known:
        return True
    below = Table(records=table.records, line=table.line, header=True)
    numbers = sum(below.mostly(NUMBER, at) for at in range(len(table.first)))
    if numbers >= 2 or (numbers and all_given(layout)):
        return True
    raise table.unclear("this may be a header or a rating")


def find_columns(table: Table, layout: Layout) -> dict[str, int | None]:
    """Role -> position of its column; None: there are no timestamps. Raises Unclear."""
    num = len(table.first)
    columns: dict[str, int | None] = {}
    for role in (*NEEDED, "timestamp"):
        wanted = getattr(layout, role)
        if wanted is None or isinstance(wanted, int):
            if wanted is not None and wanted >= num:
                raise Unclear(
                    f"no column {wanted} for data.{role}: the line has {num} fields."
                    f" {_check(role)}",
                    num,
                )
            columns[role] = wanted
        elif wanted != AUTO:
            columns[role] = _position(table.first, role, wanted)
    trouble = (_by_name if table.header else _by_order)(table, columns)
    if trouble:
        raise table.unclear(trouble)
    return columns


def _by_name(table: Table, columns: dict[str, int | None]) -> str | None:
    """Adds the other roles, by the names of the header. Gives the reason why that fails."""
    for role in ("user", "rating", "timestamp", "item"):
        if role in columns:
            continue
        names = ["" if at in columns.values() else name for at, name in enumerate(table.first)]
        found = columns_called(role, names)
        if role == "item":
            found = found or other_id_columns(names)
        if len(found) > 1:
            both = " and ".join(repr(names[at].strip()) for at in found)
            return f"{both} may both be the {role}"
        if not found and role != "timestamp":
            return f"no name of the header is known as that of the {role}"
        columns[role] = found[0] if found else None
    return None


def _by_order(table: Table, columns: dict[str, int | None]) -> str | None:
    """Adds the other roles, in the order user, item, rating, time.

    Gives the reason why that does not fit the fields.
    """
    num = len(table.first)
    free = [at for at in range(num) if at not in columns.values()]
    missing = [role for role in NEEDED if role not in columns]
    nothing_given = len(missing) == len(NEEDED)
    if nothing_given and num not in (3, 4):
        return f"the first line is no header, and has {num} fields"
    if len(missing) > len(free):
        return "the line has too few fields"
    columns |= zip(missing, free, strict=False)
    rating = columns["rating"]
    if missing and rating is not None:
        if not table.mostly(NUMBER, rating) and not table.mostly(_TRUTH, rating):
            return f"there is no header, and column {rating} does not hold ratings"
        if table.has_times(rating):
            return f"there is no header, and column {rating} seems to hold times, not ratings"
    if "timestamp" not in columns:
        times = [at for at in free[len(missing) :] if table.has_times(at)]
        if nothing_given and num == 4 and not times:
            return f"there is no header, and column {free[-1]} does not hold times"
        columns["timestamp"] = times[0] if len(times) == 1 else None
    return None


def _position(names: list[str], role: str, wanted: str) -> int:
    found = [at for at, name in enumerate(names) if name.strip() == wanted]
    if len(found) != 1:
        trouble = "no column" if not found else f"{len(found)} columns called"
        raise Unclear(
            f"{trouble} {wanted!r} for data.{role}; the header has"
            f" {', '.join(name.strip() for name in names)}. {_check(role)}",
            len(names),
        )
    return found[0]


def _check(role: str) -> str:
    return f"Check data.separator, data.header and data.{role}" + (
        " (null = no timestamps)." if role == "timestamp" else "."
    )


def _is_name(column: int | str | None) -> bool:
    return isinstance(column, str) and column != AUTO


def all_given(layout: Layout) -> bool:
    """True if the columns of user, item and rating are given."""
    return AUTO not in (layout.user, layout.item, layout.rating)
