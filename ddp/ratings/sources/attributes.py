"""The attributes of users and of items, in files: data.user_features and data.item_features."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ddp.config.data import CsvData, MovieLensData
from ddp.counting import counted
from ddp.errors import DataError
from ddp.ratings.arrays import Ratings, Reading
from ddp.ratings.features import features_of
from ddp.ratings.sources.columns import NUMBER
from ddp.ratings.sources.ids import Ids, whole_number
from ddp.ratings.sources.small_files import read_records


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """The rows of a file: `lines` and `ids` of each, and `columns`: name -> the cell of each."""

    path: Path
    lines: Sequence[int]
    ids: Sequence[str]
    columns: dict[str, Sequence[str]]


def with_features(ratings: Ratings, data: MovieLensData | CsvData) -> Ratings:
    """The ratings with the attributes of `data`, and with each user and item that has some.

    Such a user or item may have no rating. Raises DataError.
    """
    for kind in ("user", "item"):
        if name := getattr(data, f"{kind}_features"):
            known: Ids = getattr(ratings, f"{kind}_ids")
            ratings = _joined(ratings, _read(Path(name), kind, known), kind)
    return ratings


def _read(path: Path, kind: str, known: Ids) -> Attributes:
    """Reads a file with a header, an id in the first column and attributes in the others.

    `known`: the ids of the ratings, which no header begins with.
    """
    if not path.exists():
        raise DataError(f"{path}: there is no such file. Check data.{kind}_features.")
    header, *rows = read_records(path, f"{kind} with its attributes")
    names = [name.strip() for name in header.fields]
    if NUMBER.fullmatch(names[0]) or names[0] in known.astype(np.str_):
        raise DataError(
            f"{path}:{header.line}: begins with {names[0]}, the id of a {kind}. Put a header above"
            " it, a line with the names of the columns."
        )
    for at, name in enumerate(names):
        if not name or names.index(name) < at:
            trouble = f"two columns are called {name!r}" if name else f"column {at + 1} has no name"
            raise DataError(f"{path}:{header.line}: {trouble}. Give each column a name of its own.")
    if not rows:
        raise DataError(f"{path}: has only a header line. Below it should be a {kind} per line.")
    for line, _, fields in rows:
        if len(fields) != len(names):
            raise DataError(
                f"{path}:{line}: {len(fields)} fields, where {len(names)} were expected."
            )
        if "\ufffd" in "".join(fields):
            raise DataError(f"{path}:{line}: is not UTF-8 text. Save the file as UTF-8.")
        if not fields[0].strip():
            raise DataError(f"{path}:{line}: the {kind} is missing. Its id is the first field.")
    ids, *cells = zip(*(fields for _, _, fields in rows), strict=True)
    return Attributes(
        path=path,
        lines=[record.line for record in rows],
        ids=[text.strip() for text in ids],
        columns=dict(zip(names[1:], cells, strict=True)),
    )


def _joined(ratings: Ratings, file: Attributes, kind: str) -> Ratings:
    known: Ids = getattr(ratings, f"{kind}_ids")
    ids = _like(known, file, kind)
    union = np.union1d(known, ids)
    ranks = np.searchsorted(union, known).astype(np.int32)
    features, notes = features_of(file.columns, np.searchsorted(union, ids).astype(np.int32))
    if not features.names:
        raise DataError(f"{file.path}: has no attributes: {'; '.join(notes)}.")
    joined = replace(ratings)
    setattr(joined, f"{kind}_ids", union)
    setattr(joined, f"{kind}s", ranks[getattr(ratings, f"{kind}s")])
    setattr(joined, f"{kind}_features", features)
    if kind == "item" and ratings.titles is not None:
        joined.titles = np.zeros(len(union), ratings.titles.dtype)
        joined.titles[ranks] = ratings.titles
    return _told(joined, kind, file, notes, len(union) - len(known), len(union) - len(ids))


def _told(
    ratings: Ratings, kind: str, file: Attributes, notes: Sequence[str], added: int, missing: int
) -> Ratings:
    """The ratings, whose `Reading` tells of the attributes.

    `added`: users (items) of the file without ratings. `missing`: those that are not in the file.
    """
    features = ratings.user_features if kind == "user" else ratings.item_features
    assert features is not None
    words = (
        f"{len(features.names):,} of {counted(len(file.ids), kind)}, of which {added:,} without"
        f" ratings ({file.path.name})"
    )
    warnings = [f"{file.path}: {note}" for note in notes]
    if missing:
        warnings.append(f"{file.path}: has no line for {counted(missing, kind)} of the ratings")
    reading = ratings.reading or Reading(format={}, left_out={})
    told = replace(
        reading,
        format=reading.format | {f"{kind} attributes": (words, "given")},
        warnings=(*reading.warnings, *warnings),
    )
    return replace(ratings, reading=told)


def _like(known: Ids, file: Attributes, kind: str) -> Ids:
    """The ids of the file, as those of the ratings are: numbers or text. Raises DataError."""
    numbers = known.dtype.kind == "i"
    ids = [whole_number(text) for text in file.ids] if numbers else list(file.ids)
    first: dict[int | str, int] = {}
    for line, text, found in zip(file.lines, file.ids, ids, strict=True):
        if found is None:
            raise DataError(
                f"{file.path}:{line}: {kind} {text!r} is no whole number, and all {kind}s of the"
                " ratings are. The id is the first field."
            )
        if found in first:
            raise DataError(
                f"{file.path}:{line}: {kind} {text} is also in line {first[found]}. Remove one of"
                " the two lines."
            )
        first[found] = line
    made: Ids = np.array(ids, np.int64) if numbers else np.array(ids, np.str_)
    if not np.isin(made, known).any():
        raise DataError(
            f"{file.path}: has no {kind} in common with the ratings. Its first column should hold"
            f" ids such as {known[0]}, and holds {file.ids[0]}."
        )
    return made
