"""Reads rating files into `Ratings`: rows, ids, each pair once, and how they were read."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ddp.errors import DataError
from ddp.ratings.arrays import Ratings, Reading
from ddp.ratings.outside import exact
from ddp.ratings.sources.content import read_content
from ddp.ratings.sources.diagnose import Places, Source
from ddp.ratings.sources.duplicates import each_pair_once
from ddp.ratings.sources.ids import first_text_among_numbers, positions
from ddp.ratings.sources.layout import Layout
from ddp.ratings.sources.recognise import recognise
from ddp.ratings.sources.table import AS_TEXT, Table, is_rated, read_table
from ddp.ratings.telling import Tell, nobody


def read_ratings(
    name: str,
    paths: Sequence[Path],
    layout: Layout,
    *,
    number_files: bool = False,
    tell: Tell = nobody,
) -> Ratings:
    """The ratings of all `paths`, each pair of a user and an item once.

    `number_files`: fill `Ratings.files`. Raises DataError for a line that is not a rating.
    """
    ratings, places = read_rows(name, paths, layout, number_files=number_files, tell=tell)
    twice = each_pair_once(ratings, places, layout)
    if twice and ratings.reading is not None:
        ratings.reading.left_out[f"rated again (duplicates={layout.duplicates})"] = twice
    return ratings


def read_rows(
    name: str,
    paths: Sequence[Path],
    layout: Layout,
    *,
    number_files: bool = False,
    tell: Tell = nobody,
) -> tuple[Ratings, Places]:
    """The ratings of all `paths`, and the place of each row; a pair may be there several times."""
    sources = [recognise(read_content(path, layout, tell), layout) for path in paths]
    table = read_table(sources, layout)
    tell("numbering users and items")
    num_rows = len(table.ratings)
    kept = _only_rated(table, layout, ", ".join(map(str, paths)))
    places = Places(sources=sources, lengths=table.lengths, kept=kept)
    left_out = {}
    if kept is not None:
        values = ", ".join(map(exact, layout.not_rated))
        left_out[f"not rated ({values})"] = num_rows - len(kept)
    as_text = layout.ids == AS_TEXT
    user_ids, users = positions(table.users, as_text=as_text)
    item_ids, items = positions(table.items, as_text=as_text)
    low, high = layout.rating_min, layout.rating_max
    ratings = Ratings(
        name=name, users=users, items=items, ratings=table.ratings, user_ids=user_ids,
        item_ids=item_ids,
        rating_min=float(table.ratings.min() if low is None else low),
        rating_max=float(table.ratings.max() if high is None else high),
        timestamps=table.timestamps,
        reading=Reading(
            format=_in_words(sources, table), left_out=left_out,
            warnings=() if as_text else _mixed_ids(table, places),
        ),
    )  # fmt: skip
    if number_files:
        files = np.repeat(np.arange(len(paths), dtype=np.int16), table.lengths)
        ratings.files = files if kept is None else files[kept]
    return ratings, places


def _only_rated(table: Table, layout: Layout, names: str) -> npt.NDArray[np.int64] | None:
    """Leaves out the rows with a rating of `layout.not_rated`, and gives the numbers of the others.

    None: there are no such rows.
    """
    rated = is_rated(table.ratings, layout) if layout.not_rated else np.ones(1, np.bool_)
    if rated.all():
        return None
    if not rated.any():
        raise DataError(f"{names}: has no ratings but those of data.not_rated.")
    table.users, table.items, table.ratings = (
        table.users[rated],
        table.items[rated],
        table.ratings[rated],
    )
    table.timestamps = None if table.timestamps is None else table.timestamps[rated]
    return np.flatnonzero(rated)


def _mixed_ids(table: Table, places: Places) -> tuple[str, ...]:
    """A warning for users and for items, if most ids are numbers and some are text."""
    found = []
    for role, raw in (("user", table.users), ("item", table.items)):
        row = first_text_among_numbers(raw)
        if row is not None:
            found.append(
                f"{places.place(row)}: {role} {raw[row]!r} is no whole number, and most {role}s"
                " are: all are read as text, so 1 and 01 are two (data.ids=text accepts that)"
            )
    return tuple(found)


def _in_words(sources: Sequence[Source], table: Table) -> dict[str, tuple[str, str]]:
    """`Reading.format`: of the first file, and where another file differs, of that one too."""
    forms = [form.in_words(content.encoding, content.compression) for content, form in sources]
    words = dict(forms[0])
    for (content, _), other in zip(sources[1:], forms[1:], strict=True):
        for part, (value, origin) in other.items():
            if value != forms[0].get(part, ("", ""))[0]:
                before = words[part][0] + "; " if part in words else ""
                words[part] = (f"{before}{content.path.name}: {value}", origin)
    if table.timestamps is not None:
        column, origin = words["timestamp"]
        words["timestamp"] = (f"{column}, {table.time_unit}", origin)
    else:
        words.pop("timestamp", None)
    return words
