"""Reads pairs of a user and an item, without ratings: those that a model shall predict."""

from dataclasses import dataclass
from pathlib import Path

from ddp.errors import DataError
from ddp.ratings.sources.column_names import columns_called
from ddp.ratings.sources.ids import whole_number
from ddp.ratings.sources.recognise import NUM_LINES
from ddp.ratings.sources.small_files import read_records

_NAME_THEM = "Call the two columns user and item."


@dataclass(slots=True, kw_only=True)
class Pairs:
    """The pairs of a file: `users` and `items` as they are written, and the `lines` they are in."""

    path: Path
    lines: list[int]
    users: list[str]
    items: list[str]


def read_pairs(path: Path) -> Pairs:
    """Reads the pairs of a file. Raises DataError.

    The file is packed and encoded as a file of ratings may be, and its separator and its header are
    recognised. Columns other than those of the user and the item do not count. Without a header the
    first two columns are those.
    """
    records = read_records(path, "pair of a user and an item")
    first = records[0].fields
    header = _is_header(first, [record.fields for record in records[1:NUM_LINES]])
    user, item = _columns(path, first) if header else (0, 1)
    pairs = Pairs(path=path, lines=[], users=[], items=[])
    for line, _, fields in records[int(header) :]:
        if trouble := _trouble(fields, len(first), user, item):
            raise DataError(f"{path}:{line}: {trouble}")
        pairs.lines.append(line)
        pairs.users.append(fields[user])
        pairs.items.append(fields[item])
    return pairs


def _is_header(first: list[str], rows: list[list[str]]) -> bool:
    if columns_called("user", first) or columns_called("item", first):
        return True
    if any(whole_number(text) is not None for text in first[:2]):
        return False
    numbers = [[whole_number(text) is not None for text in row[:2]] for row in rows]
    return any(2 * sum(column) > len(rows) for column in zip(*numbers, strict=False))


def _columns(path: Path, names: list[str]) -> tuple[int, int]:
    """The positions of the users and of the items, by the names of the header."""
    users, items = columns_called("user", names), columns_called("item", names)
    if len(names) == 2 and len(users) + len(items) < 2:  # one known name tells the other column
        users = users or [1 - at for at in items] or [0]
        items = items or [1 - at for at in users]
    for kind, found in (("user", users), ("item", items)):
        if len(found) != 1:
            several = " and ".join(repr(names[at]) for at in found)
            trouble = f"{several} may both be the {kind}" if found else f"no column for the {kind}"
            raise DataError(f"{path}: {trouble}; the header has {', '.join(names)}. {_NAME_THEM}")
    return users[0], items[0]


def _trouble(fields: list[str], expected: int, user: int, item: int) -> str | None:
    """The reason why a record is not a pair; None if it is one."""
    if len(fields) != expected:
        return f"{len(fields)} fields, where {expected} were expected."
    for kind, text in (("user", fields[user]), ("item", fields[item])):
        if not text.strip():
            return f"the {kind} is missing."
        if "\ufffd" in text:
            return f"the {kind} {text!r} is not UTF-8 text. Save the file as UTF-8."
    return None
