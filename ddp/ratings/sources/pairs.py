"""Finds the rows of the data that a file lists: the test part of split.holdout=files."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ddp.config.data import CsvData, Data, MovieLensData
from ddp.errors import DataError
from ddp.ratings.arrays import Ratings
from ddp.ratings.sources.delimited import layout_of
from ddp.ratings.sources.diagnose import place_of_row
from ddp.ratings.sources.movielens import SETS
from ddp.ratings.sources.table import Ids, numbers_or_text, pair_keys, read_table


def read_pairs(path: Path, data: Data, ratings: Ratings) -> npt.NDArray[np.int64]:
    """Rows of `ratings`, sorted and each once, of the (user, item) pairs that the file lists.

    The file has the format of `data`. With a MovieLens set, a bare name such as `u1.test` may also
    be a file in the folder of the set. Raises DataError when the file is not readable, or for its
    first line whose pair is not in the data.
    """
    if isinstance(data, CsvData):
        layout = layout_of(data)
    elif isinstance(data, MovieLensData):
        layout = SETS[data.name].layout
        beside = Path(data.root) / SETS[data.name].folder / path.name
        # Only a bare name, which cannot lead out of the folder.
        path = (
            beside if path == Path(path.name) and not _is_file(path) and _is_file(beside) else path
        )
    else:
        raise DataError(
            f"split.test_file={path}: data={data.name} has no files, so a file cannot say which"
            " rows to hold out"
        )
    if not _is_file(path):
        raise DataError(f"{path}: there is no such file. Check split.test_file.")
    text_ids = "U" in (ratings.user_ids.dtype.kind, ratings.item_ids.dtype.kind)
    table = read_table([path], layout, text_ids=text_ids)
    users, items = _lookup(table.users, ratings.user_ids), _lookup(table.items, ratings.item_ids)
    keys = pair_keys(ratings)
    order = np.argsort(keys)
    wanted = np.where((users < 0) | (items < 0), -1, users * ratings.num_items + items)
    slots = np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)
    rows: npt.NDArray[np.int64] = order[slots]
    if (missing := np.flatnonzero(keys[rows] != wanted)).size:
        row = int(missing[0])
        place = place_of_row([path], table.lengths, layout, row)
        raise DataError(
            f"{place}: user {table.users[row]} has no rating of item {table.items[row]} in"
            f" data={data.name}. "
            "A test file lists pairs that are part of the data."
        )
    return np.unique(rows)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the name is too long, or the folder is closed to us
        return False


def _lookup(raw: npt.NDArray[Any], ids: Ids) -> npt.NDArray[np.int64]:
    """Positions of `raw` in the sorted `ids`, -1 where it is not among them."""
    import pandas as pd

    codes, distinct = pd.factorize(raw)
    if distinct.dtype == object:
        distinct = numbers_or_text(distinct) if ids.dtype.kind == "i" else distinct.astype(np.str_)
    # The file has an id that is no number. As text, its other ids are still found.
    if distinct.dtype.kind != ids.dtype.kind:
        ids = ids.astype(np.str_)
    found: npt.NDArray[np.int64] = pd.Index(ids.tolist()).get_indexer(pd.Index(distinct.tolist()))[
        codes
    ]
    return found
