"""The test part in a file of its own (`split.test_file`), such as u1.test beside u1.base."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ddp.config.data import CsvData, Data, MovieLensData
from ddp.counting import counted
from ddp.errors import DataError
from ddp.ratings.arrays import Ratings
from ddp.ratings.sources.delimited import layout_of
from ddp.ratings.sources.duplicates import each_pair_once, pair_keys
from ddp.ratings.sources.ids import Ids, whole_number
from ddp.ratings.sources.layout import Layout
from ddp.ratings.sources.rating_files import read_rows
from ddp.ratings.sources.sets import SETS


def with_test_file(ratings: Ratings, path: Path, data: Data) -> Ratings:
    """The ratings with `test_rows`: the pairs that the file lists.

    The file has the format of `data`. It lists either pairs of the data, with the same ratings, or
    (data=csv) none of them, and then its ratings are added. With a MovieLens set, a bare name such
    as `u1.test` may also be a file in the folder of the set. Raises DataError for a file that is
    not readable, and for its first pair that does not fit.
    """
    path, layout = _place_and_layout(path, data)
    if "U" in (ratings.user_ids.dtype.kind, ratings.item_ids.dtype.kind):
        layout = replace(layout, ids="text")  # 007 is another than 7 there
    listed, places = read_rows(data.name, [path], layout)
    first, second = _in_common_ids(ratings, listed)
    known, wanted = pair_keys(first), pair_keys(second)
    order = np.argsort(known)
    slots = np.minimum(np.searchsorted(known, wanted, sorter=order), len(known) - 1)
    rows: npt.NDArray[np.int64] = order[slots]
    missing = known[rows] != wanted
    if missing.all() and isinstance(data, CsvData):
        _check_common(first, second, path, data)
        each_pair_once(second, places, layout)
        joined = _joined(first, second)
        return _told(joined, f"{counted(len(second), 'rating')} of {path.name}, added to the data")
    if missing.any():
        row = int(missing.argmax())
        raise DataError(
            f"{places.place(row)}: user {_user(listed, row)} has no rating of item"
            f" {_item(listed, row)} in data={data.name}. A test file lists pairs that are part of"
            " the data" + (", or none of them." if isinstance(data, CsvData) else ".")
        )
    other = ratings.ratings[rows] != listed.ratings
    if other.any():
        row = int(other.argmax())
        raise DataError(
            f"{places.place(row)}: user {_user(listed, row)}, item {_item(listed, row)}: rated"
            f" {listed.ratings[row]:g} here and {ratings.ratings[rows[row]]:g} in the data."
            " Name the test file of these data."
        )
    test_rows = np.unique(rows)
    found = replace(ratings, test_rows=test_rows)
    return _told(found, f"{len(test_rows):,} of the ratings, listed by {path.name}")


def _told(ratings: Ratings, words: str) -> Ratings:
    """The ratings, whose `Reading` tells of the test part."""
    if ratings.reading is None:
        return ratings
    told = ratings.reading.format | {"test part": (words, "given")}
    return replace(ratings, reading=replace(ratings.reading, format=told))


def _place_and_layout(path: Path, data: Data) -> tuple[Path, Layout]:
    if isinstance(data, CsvData):
        layout = layout_of(data)
    elif isinstance(data, MovieLensData):
        layout = SETS[data.name].layout
        beside = Path(data.root) / SETS[data.name].folder / path.name
        # Only a bare name, which cannot lead out of the folder.
        if path == Path(path.name) and not _exists(path) and _exists(beside):
            path = beside
    else:
        raise DataError(
            f"split.test_file={path}: data={data.name} has no files, so a file cannot say which"
            " rows to hold out"
        )
    if not _exists(path):
        raise DataError(f"{path}: there is no such file. Check split.test_file.")
    return path, layout


def _exists(path: Path) -> bool:
    try:
        return path.exists() and not path.is_dir()
    except OSError:  # the name is too long, or the folder is closed to us
        return False


def _in_common_ids(one: Ratings, other: Ratings) -> tuple[Ratings, Ratings]:
    """Copies of both, whose positions are in the ids of both."""
    pair = replace(one), replace(other)
    for ids, column in (("user_ids", "users"), ("item_ids", "items")):
        known = getattr(one, ids)
        own = [known, _numbers_if(getattr(other, ids), known.dtype.kind == "i")]
        if own[0].dtype.kind != own[1].dtype.kind:  # numbers in one file, text in the other
            own = [each.astype(np.str_) for each in own]
        union = np.union1d(*own)
        for each, ids_of_each in zip(pair, own, strict=True):
            ranks = np.searchsorted(union, ids_of_each).astype(np.int32)
            setattr(each, column, ranks[getattr(each, column)])
            setattr(each, ids, union)
    return pair


def _numbers_if(ids: Ids, wanted: bool) -> Ids:
    """The ids, with those that are whole numbers as such if `wanted`; 007 is 7 then."""
    if not wanted or ids.dtype.kind == "i":
        return ids
    numbers = [whole_number(text) for text in ids.tolist()]
    if None not in numbers:
        return np.array(numbers, dtype=np.int64)
    texts = [
        str(text if number is None else number)
        for text, number in zip(ids.tolist(), numbers, strict=True)
    ]
    return np.array(texts, dtype=np.str_)


def _check_common(one: Ratings, other: Ratings, path: Path, data: CsvData) -> None:
    """Raises DataError if no user, or no item, of the test file is in the data.

    With attributes all of them may be new.
    """
    for kind in ("user", "item"):
        common = np.isin(getattr(other, f"{kind}s"), getattr(one, f"{kind}s")).any()
        if not common and getattr(data, f"{kind}_features") is None:
            raise DataError(
                f"{path}: has no {kind} in common with the data. Name the test file of these data."
            )


def _joined(one: Ratings, other: Ratings) -> Ratings:
    """All rows of both, those of `other` as the test part."""
    timed = one.timestamps is not None and other.timestamps is not None
    joined = replace(
        one,
        users=np.concatenate([one.users, other.users]),
        items=np.concatenate([one.items, other.items]),
        ratings=np.concatenate([one.ratings, other.ratings]),
        rating_min=min(one.rating_min, other.rating_min),
        rating_max=max(one.rating_max, other.rating_max),
        timestamps=np.concatenate([one.timestamps, other.timestamps]) if timed else None,
        test_rows=np.arange(len(one), len(one) + len(other)),
    )
    if one.files is not None:  # split=files: to the worker who has most ratings of the user
        joined.files = np.concatenate([one.files, _files_of_users(one)[other.users]])
    return joined


def _files_of_users(ratings: Ratings) -> npt.NDArray[np.int16]:
    """The file that holds most ratings of each user; the first file for users without any."""
    assert ratings.files is not None
    num_files = int(ratings.files.max()) + 1
    counts = np.bincount(
        ratings.users.astype(np.int64) * num_files + ratings.files,
        minlength=ratings.num_users * num_files,
    )
    most: npt.NDArray[np.intp] = counts.reshape(ratings.num_users, num_files).argmax(axis=1)
    return most.astype(np.int16)


def _user(ratings: Ratings, row: int) -> object:
    return ratings.user_ids[ratings.users[row]]


def _item(ratings: Ratings, row: int) -> object:
    return ratings.item_ids[ratings.items[row]]
