"""Parses rating files into arrays. It imports pandas only when it parses."""

import csv
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ddp.errors import DataError
from ddp.ratings.sources.content import Content
from ddp.ratings.sources.diagnose import Source, check_lines, first_bad_line
from ddp.ratings.sources.ids import LONGEST
from ddp.ratings.sources.layout import BLANKS, Format, Layout
from ddp.ratings.sources.times import Times, to_seconds

AS_TEXT = "text"  # data.ids=text
_OBJECT = "object"


@dataclass(slots=True, kw_only=True)
class Table:
    """The rows of some files.

    | field            | type                 | meaning                                           |
    | ---------------- | -------------------- | ------------------------------------------------- |
    | `users`, `items` | int64 or object (n,) | ids; str objects if not all are whole numbers     |
    | `ratings`        | float32 (n,)         |                                                   |
    | `timestamps`     | (n,)                 | seconds; None if no file has them                 |
    | `time_unit`      | text                 | the unit in which the first file has them         |
    | `lengths`        | ints (files,)        | the number of rows of each file                   |
    """

    users: npt.NDArray[Any]
    items: npt.NDArray[Any]
    ratings: npt.NDArray[np.float32]
    timestamps: Times | None
    time_unit: str
    lengths: list[int]


def read_table(sources: Sequence[Source], layout: Layout) -> Table:
    """All rows of the files, with checked fields, numbers and scale."""
    names = ", ".join(str(content.path) for content, _ in sources)
    try:
        if any(content.has_nul for content, _ in sources):
            raise ValueError("a NUL character is in it")
        as_text = layout.ids == AS_TEXT or not (
            layout.published or all(form.number_ids for _, form in sources)
        )
        try:
            table = _parse_all(sources, layout, text=as_text)
        except (ValueError, OverflowError):
            if as_text or layout.published:
                raise
            table = _parse_all(sources, layout, text=True)
        _check_scale(table.ratings, layout)
    except (ValueError, OverflowError) as error:
        if isinstance(error, DataError):
            raise
        fallback = DataError(f"{names}: cannot be read: {str(error).strip()}")
        raise first_bad_line(sources, layout) or fallback from None
    except OSError as error:
        raise DataError(f"{names}: cannot be read: {error}") from None
    return table


def _parse_all(sources: Sequence[Source], layout: Layout, *, text: bool) -> Table:
    parts = [_parse(content, form, layout, text=text) for content, form in sources]
    users, items, ratings = (
        np.concatenate([part[column] for part in parts]) for column in ("user", "item", "rating")
    )
    timestamps, unit = None, ""
    if all("timestamp" in part for part in parts):
        times = [to_seconds(part["timestamp"]) for part in parts]
        timestamps, unit = np.concatenate([seconds for seconds, _ in times]), times[0][1]
    lengths = [len(part["rating"]) for part in parts]
    return Table(
        users=users, items=items, ratings=ratings, timestamps=timestamps, time_unit=unit,
        lengths=lengths,
    )  # fmt: skip


def _parse(
    content: Content, form: Format, layout: Layout, *, text: bool
) -> dict[str, npt.NDArray[Any]]:
    """Role -> its column in one file. Raises ValueError or OverflowError for a bad line.

    `text`: read ids and timestamps as str objects.
    """
    import pandas as pd

    if not form.number_ratings:  # pandas would read True and False as numbers
        raise ValueError("the ratings are no numbers")
    # Without a type pandas chooses int64 if all ids are whole numbers. Asked for int64, it would
    # also accept 1.0 and 1e5.
    ids = _OBJECT if text else None
    whole_times = form.whole_times or layout.published
    times = "int64" if whole_times and not text else _OBJECT
    types = {"user": ids, "item": ids, "rating": "float32", "timestamp": times}
    wanted = {at: types[role] for role, at in form.roles.items()}
    # pandas reads one byte of the other columns too: with `usecols` it accepts lines that are too
    # long.
    dtypes = {**dict.fromkeys(range(form.num_fields), "S1"), **wanted}
    typed: Any = {column: dtype for column, dtype in dtypes.items() if dtype is not None}
    quoting: dict[str, Any] = {"quoting": csv.QUOTE_NONE}
    if form.quote:
        quoting = {"quotechar": form.quote}
    with (
        np.errstate(over="ignore", invalid="ignore"),
        warnings.catch_warnings(),
        content.open_to_parse() as file,
    ):
        # pandas warns about ids that are not all whole numbers
        warnings.simplefilter("ignore", pd.errors.DtypeWarning)
        frame = pd.read_csv(
            file, sep=r"\s+" if form.splitter == BLANKS else form.splitter,
            header=0 if form.header else None, names=list(dtypes), dtype=typed, index_col=False,
            na_filter=False, engine="c", encoding="utf-8", compression=None, decimal=form.decimal,
            **quoting,
        )  # fmt: skip
    if not text and any(frame[at].dtype != np.int64 for at in (form.user, form.item)):
        raise ValueError("an id is not a whole number of 64 bits")
    check_lines(content, form, layout, len(frame))
    _check_fields((content, form), layout, frame)
    return {role: frame[at].to_numpy() for role, at in form.roles.items()}


def _check_fields(source: Source, layout: Layout, frame: Any) -> None:
    """Raises ValueError or DataError for fields that pandas has added, or that are no ids."""
    form = source[1]
    # pandas adds empty fields to a line that is cut short. If the last column is in use,
    # its empty field has failed to parse.
    last = frame.columns[-1]
    unused = last not in form.roles.values()
    if unused and (frame[last] == b"").any() and (bad := first_bad_line([source], layout)):
        raise bad
    for at in (form.user, form.item):
        if frame[at].dtype != object:
            continue
        if any(not text.strip() or len(text) > LONGEST for text in frame[at].unique()):
            raise ValueError("an id is missing, or too long")


def _check_scale(ratings: npt.NDArray[np.float32], layout: Layout) -> None:
    if layout.not_rated:
        ratings = ratings[is_rated(ratings, layout)]
        if not len(ratings):
            return
    lowest, highest = float(ratings.min()), float(ratings.max())  # NaN spreads to both
    with np.errstate(over="ignore"):
        low = np.float32(-np.inf if layout.rating_min is None else layout.rating_min)
        high = np.float32(np.inf if layout.rating_max is None else layout.rating_max)
    if not (np.isfinite(lowest) and np.isfinite(highest) and low <= lowest and highest <= high):
        raise ValueError("a rating is not finite or outside the scale")


def is_rated(ratings: npt.NDArray[np.float32], layout: Layout) -> npt.NDArray[np.bool_]:
    """False for each rating of `layout.not_rated`."""
    with np.errstate(over="ignore"):
        return ~np.isin(ratings, np.array(layout.not_rated, np.float32))
