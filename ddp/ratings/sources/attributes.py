"""The attributes of users and of items, in files: data.user_features and data.item_features."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ddp.config.data import OWN, CsvData, MovieLensData
from ddp.counting import counted
from ddp.errors import DataError
from ddp.ratings.arrays import Ratings, Reading
from ddp.ratings.features import BETWEEN_VALUES, Attributes, features_of
from ddp.ratings.sources.column_names import RECBOLE_TYPE
from ddp.ratings.sources.columns import NUMBER
from ddp.ratings.sources.ids import LONGEST, Ids, whole_number
from ddp.ratings.sources.movielens import titles_of
from ddp.ratings.sources.small_files import read_records
from ddp.ratings.telling import Tell, nobody

_SEVERAL = ":token_seq"  # ends the name of a column of RecBole


def with_features(ratings: Ratings, data: MovieLensData | CsvData, tell: Tell = nobody) -> Ratings:
    """The ratings with the attributes of `data`, and with each user and item that has some.

    Such a user or item may have no rating. Raises DataError.
    """
    for kind in ("user", "item"):
        name = getattr(data, f"{kind}_features")
        if name is not None:
            tell(f"reading attributes of {kind}s")
        if name == OWN and isinstance(data, MovieLensData):
            from ddp.ratings.sources.movielens_attributes import own_attributes

            ratings = _joined(ratings, own_attributes(data, kind, tell), kind)
        elif name is not None:
            known: Ids = getattr(ratings, f"{kind}_ids")
            ratings = _joined(ratings, _read(Path(name), kind, known), kind)
    if isinstance(data, MovieLensData):
        ratings.titles = titles_of(data, ratings.item_ids)
    return ratings


def _read(path: Path, kind: str, known: Ids) -> Attributes:
    """Reads a file with a header, an id in the first column and attributes in the others.

    `known`: the ids of the ratings.
    """
    header, *rows = read_records(path, f"{kind} with its attributes")
    names = [RECBOLE_TYPE.sub("", name).strip() for name in header.fields]
    if trouble := _header_trouble(names, kind, known):
        raise DataError(f"{path}:{header.line}: {trouble}")
    if not rows:
        raise DataError(f"{path}: has only a header line. Below it should be a {kind} per line.")
    for line, _, fields in rows:
        if trouble := _row_trouble(fields, len(names), kind):
            raise DataError(f"{path}:{line}: {trouble}")
    ids, *cells = zip(*(fields for _, _, fields in rows), strict=True)
    lines = [record.line for record in rows]
    return Attributes(
        path=path,
        ids=_like(known, [text.strip() for text in ids], lines, path, kind),
        columns={
            name: list(map(_between, texts)) if field.strip().endswith(_SEVERAL) else texts
            for name, field, texts in zip(names[1:], header.fields[1:], cells, strict=True)
        },
    )


def _between(text: str) -> str:
    """The values of a field of RecBole, which stand between blanks."""
    return BETWEEN_VALUES.join(text.split())


def _header_trouble(names: Sequence[str], kind: str, known: Ids) -> str | None:
    """The reason why the first record is no header; None if it is one."""
    if NUMBER.fullmatch(names[0]) or names[0] in known.astype(np.str_):
        return (
            f"begins with {names[0]}, the id of a {kind}. Put a header above it, a line with the"
            " names of the columns."
        )
    for at, name in enumerate(names):
        if not name:
            return f"column {at} has no name. Give it one."
        if names.index(name) < at:
            return f"two columns are called {name!r}. Give each a name of its own."
    return None


def _row_trouble(fields: Sequence[str], expected: int, kind: str) -> str | None:
    """The reason why a record is not a row of the file; None if it is one."""
    if len(fields) != expected:
        return f"{len(fields)} fields, where {expected} were expected."
    if "\ufffd" in "".join(fields):
        return "is not UTF-8 text. Save the file as UTF-8."
    if not fields[0].strip():
        return f"the {kind} is missing. Its id is the first field."
    if len(fields[0]) > LONGEST:
        return f"the {kind} has {len(fields[0]):,} characters. Its id is the first field."
    return None


def _joined(ratings: Ratings, file: Attributes, kind: str) -> Ratings:
    known: Ids = getattr(ratings, f"{kind}_ids")
    if not np.isin(file.ids, known).any():
        raise DataError(
            f"{file.path}: has no {kind} in common with the ratings. Its first column should hold"
            f" ids such as {known[0]}, and holds {file.ids[0]}."
        )
    union = np.union1d(known, file.ids)
    ranks = np.searchsorted(union, known).astype(np.int32)
    features, notes = features_of(file.columns, np.searchsorted(union, file.ids).astype(np.int32))
    if not features.names:
        raise DataError(f"{file.path}: has no attributes: {'; '.join(notes)}.")
    joined = replace(ratings)
    setattr(joined, f"{kind}_ids", union)
    setattr(joined, f"{kind}s", ranks[getattr(ratings, f"{kind}s")])
    setattr(joined, f"{kind}_features", features)
    return _told(joined, kind, file, notes, len(union) - len(known), len(union) - len(file.ids))


def _told(
    ratings: Ratings, kind: str, file: Attributes, notes: Sequence[str], added: int, missing: int
) -> Ratings:
    """The ratings, whose `Reading` tells of the attributes.

    `added`: users (items) of the file without ratings. `missing`: those that are not in the file.
    """
    features = ratings.user_features if kind == "user" else ratings.item_features
    assert features is not None
    words = f"{len(features.names):,} of {counted(len(file.ids), kind)} in {file.path.name}"
    if added:
        words += f", {added:,} of them without ratings"
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


def _like(known: Ids, texts: Sequence[str], lines: Sequence[int], path: Path, kind: str) -> Ids:
    """Ids of a file, as those of the ratings are: numbers or text. Raises DataError.

    `lines`: the line of each.
    """
    numbers = known.dtype.kind == "i"
    ids = [whole_number(text) for text in texts] if numbers else list(texts)
    first: dict[int | str, int] = {}
    for line, text, found in zip(lines, texts, ids, strict=True):
        if found is None:
            raise DataError(
                f"{path}:{line}: {kind} {text!r} is no whole number, and all {kind}s of the ratings"
                " are. The id is the first field."
            )
        if found in first:
            raise DataError(
                f"{path}:{line}: {kind} {text} is also in line {first[found]}. Remove one of the"
                " two lines."
            )
        first[found] = line
    return np.array(ids, np.int64) if numbers else np.array(ids, np.str_)
