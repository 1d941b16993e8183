"""Parses delimited files into arrays and into `Ratings`. It imports pandas only when it parses."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ddp.errors import DataError
from ddp.ratings.arrays import Ratings
from ddp.ratings.sources.diagnose import first_bad_line, place_of_row, whole_number
from ddp.ratings.sources.layout import Columns, Layout, find_columns, has_nul

Ids = npt.NDArray[np.int64] | npt.NDArray[np.str_]


@dataclass(slots=True, kw_only=True)
class Table:
    """The rows of some files.

    | field            | type                 | meaning                                           |
    | ---------------- | -------------------- | ------------------------------------------------- |
    | `users`, `items` | int64 or object (n,) | ids; str objects if not all are whole numbers     |
    | `ratings`        | float32 (n,)         |                                                   |
    | `timestamps`     | int64 (n,)           | seconds; None if the layout has no such column    |
    | `lengths`        | ints (files,)        | the number of rows of each file                   |
    """

    users: npt.NDArray[Any]
    items: npt.NDArray[Any]
    ratings: npt.NDArray[np.float32]
    timestamps: npt.NDArray[np.int64] | None
    lengths: list[int]


def read_table(paths: Sequence[Path], layout: Layout, *, text_ids: bool = False) -> Table:
    """All rows of `paths`, with checked fields, numbers and scale.

    `text_ids`: keep ids as text even if they are whole numbers. (Otherwise 007 is read as 7.)
    Raises DataError with the first line that is wrong.
    """
    columns = [find_columns(path, layout) for path in paths]
    try:
        if any(has_nul(path, layout) for path in paths):
            raise ValueError("a NUL character is in it")
        try:
            table = _parse_all(paths, layout, columns, text_ids=text_ids)
        except (ValueError, OverflowError):
            if layout.published or text_ids:
                raise
            table = _parse_all(paths, layout, columns, text_ids=True)
        _check_scale(table.ratings, layout)
    except (ValueError, OverflowError) as error:
        if isinstance(error, DataError):
            raise
        fallback = DataError(f"{', '.join(map(str, paths))}: cannot be read: {str(error).strip()}")
        raise first_bad_line(paths, layout) or fallback from None
    except OSError as error:
        raise DataError(f"{', '.join(map(str, paths))}: cannot be read: {error}") from None
    return table


def _parse_all(
    paths: Sequence[Path], layout: Layout, columns: Sequence[Columns], *, text_ids: bool
) -> Table:
    parts = [
        _parse(path, layout, where, text_ids=text_ids)
        for path, where in zip(paths, columns, strict=True)
    ]
    users, items, ratings, timestamps = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Table(
        users=users,
        items=items,
        ratings=ratings,
        timestamps=None if layout.timestamp is None else timestamps,
        lengths=[len(part[0]) for part in parts],
    )


def _parse(
    path: Path, layout: Layout, columns: Columns, *, text_ids: bool
) -> list[npt.NDArray[Any]]:
    """Users, items, ratings and timestamps (empty when there are none) of one file.

    Raises ValueError or OverflowError for a bad line.
    """
    import pandas as pd

    # The C parser takes one character, so '::' is ':' with an empty column between.
    step = len(layout.separator)
    # Without a type pandas chooses int64 if all ids are whole numbers. Asked for int64, it would
    # also accept 1.0 and 1e5.
    ids = "object" if text_ids else None
    wanted: dict[int, str | None] = {
        columns.user * step: ids,
        columns.item * step: ids,
        columns.rating * step: "float32",
    }
    if columns.timestamp is not None:
        wanted[columns.timestamp * step] = "int64"
    # pandas reads one byte of the other columns too: with `usecols` it accepts lines that are too
    # long.
    dtypes = {**dict.fromkeys(range((columns.num_fields - 1) * step + 1), "S1"), **wanted}
    typed: Any = {column: dtype for column, dtype in dtypes.items() if dtype is not None}
    with np.errstate(over="ignore", invalid="ignore"), warnings.catch_warnings():
        # pandas warns about ids that are not all whole numbers
        warnings.simplefilter("ignore", pd.errors.DtypeWarning)
        frame = pd.read_csv(
            path, sep=layout.separator[0], header=0 if layout.header else None, names=list(dtypes),
            dtype=typed,
            index_col=False, na_filter=False, engine="c", encoding=layout.codec, compression=None,
        )  # fmt: skip
    if not text_ids and any(frame[column].dtype != np.int64 for column in list(wanted)[:2]):
        raise ValueError("an id is not a whole number of 64 bits")
    _check_fields(path, layout, frame, [column for column in dtypes if column not in wanted])
    arrays = [frame[column].to_numpy() for column in wanted]
    return arrays if columns.timestamp is not None else [*arrays, np.empty(0, np.int64)]


def _check_fields(path: Path, layout: Layout, frame: Any, unused: Sequence[int]) -> None:
    """Raises ValueError or DataError for fields that pandas has added or left out."""
    between = [column for column in unused if column % 2] if layout.separator == "::" else []
    if any((frame[column] != b"").any() for column in between):
        raise ValueError("a field contains ':'")
    # pandas adds empty fields to a line that is cut short. If the last column is in use,
    # its empty field has failed to parse.
    last = frame.columns[-1]
    if last in unused and (frame[last] == b"").any() and (bad := first_bad_line([path], layout)):
        raise bad
    for column in frame.select_dtypes("object").columns:
        if any(not text.strip() for text in frame[column].unique()):
            raise ValueError("an id is missing")


def _check_scale(ratings: npt.NDArray[np.float32], layout: Layout) -> None:
    lowest, highest = float(ratings.min()), float(ratings.max())  # NaN spreads to both
    with np.errstate(over="ignore"):
        low = np.float32(-np.inf if layout.rating_min is None else layout.rating_min)
        high = np.float32(np.inf if layout.rating_max is None else layout.rating_max)
    if not (np.isfinite(lowest) and np.isfinite(highest) and low <= lowest and highest <= high):
        raise ValueError("a rating is not finite or outside the scale")


def numbers_or_text(ids: npt.NDArray[Any]) -> Ids:
    """Ids from str objects: int64 if all are whole numbers of 64 bits, else fixed-width text."""
    numbers = [whole_number(text) for text in ids]
    return ids.astype(np.str_) if None in numbers else np.array(numbers, dtype=np.int64)


def _positions(raw: npt.NDArray[Any]) -> tuple[Ids, npt.NDArray[np.int32]]:
    """(the sorted distinct ids, each row's position among them)."""
    import pandas as pd

    codes, distinct = pd.factorize(raw)  # by hashing: several times faster than sorting all rows
    ids, rank = np.unique(
        numbers_or_text(distinct) if distinct.dtype == object else distinct, return_inverse=True
    )
    return ids, rank.astype(np.int32)[codes]


def read_ratings(
    name: str, paths: Sequence[Path], layout: Layout, *, number_files: bool = False
) -> Ratings:
    """The ratings of all `paths`. Raises DataError for a line that is not a rating.

    `number_files`: fill `Ratings.files`.
    """
    table = read_table(paths, layout)
    user_ids, users = _positions(table.users)
    item_ids, items = _positions(table.items)
    ratings = Ratings(
        name=name,
        users=users,
        items=items,
        ratings=table.ratings,
        user_ids=user_ids,
        item_ids=item_ids,
        rating_min=float(table.ratings.min())
        if layout.rating_min is None
        else float(layout.rating_min),
        rating_max=float(table.ratings.max())
        if layout.rating_max is None
        else float(layout.rating_max),
        timestamps=table.timestamps,
        files=np.repeat(np.arange(len(paths), dtype=np.int16), table.lengths)
        if number_files
        else None,
    )
    return _each_pair_once(ratings, paths, table.lengths, layout)


def pair_keys(ratings: Ratings) -> npt.NDArray[np.int64]:
    """One number per row, int64 (n,); rows with the same user and item have the same number."""
    return ratings.users.astype(np.int64) * ratings.num_items + ratings.items


def _each_pair_once(
    ratings: Ratings, paths: Sequence[Path], lengths: Sequence[int], layout: Layout
) -> Ratings:
    """Applies `layout.duplicates`. A kept pair stands where its last rating stood."""
    keys = pair_keys(ratings)
    ordered = np.sort(keys)
    if not (ordered[1:] == ordered[:-1]).any():
        return ratings
    import pandas as pd

    series = pd.Series(keys)
    if layout.duplicates == "error":
        second = int(series.duplicated().to_numpy().argmax())
        first = int((keys == keys[second]).argmax())
        here, there = (place_of_row(paths, lengths, layout, row) for row in (second, first))
        user = ratings.user_ids[ratings.users[second]]
        item = ratings.item_ids[ratings.items[second]]
        option = (
            "" if layout.published else ", or set data.duplicates to last or mean (it is error)"
        )
        raise DataError(
            f"{here}: user {user}, item {item}: already rated in {there}."
            f" Remove one of the two lines{option}."
        )
    if layout.duplicates == "mean":
        groups = pd.factorize(keys)[0]
        mean = np.bincount(groups, weights=ratings.ratings) / np.bincount(groups)
        ratings.ratings = mean.astype(np.float32)[groups]
    keep = ~series.duplicated(keep="last").to_numpy()
    ratings.users, ratings.items, ratings.ratings = (
        ratings.users[keep],
        ratings.items[keep],
        ratings.ratings[keep],
    )
    ratings.timestamps = None if ratings.timestamps is None else ratings.timestamps[keep]
    ratings.files = None if ratings.files is None else ratings.files[keep]
    return ratings
