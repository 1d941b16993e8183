"""Applies `data.duplicates`: a user has at most one rating of an item."""

import numpy as np
import numpy.typing as npt

from ddp.errors import DataError
from ddp.ratings.arrays import Ratings
from ddp.ratings.sources.diagnose import Places
from ddp.ratings.sources.layout import Layout


def pair_keys(ratings: Ratings) -> npt.NDArray[np.int64]:
    """One number per row, int64 (n,); rows with the same user and item have the same number."""
    return ratings.users.astype(np.int64) * ratings.num_items + ratings.items


def each_pair_once(ratings: Ratings, places: Places, layout: Layout) -> int:
    """Leaves one row of each pair in `ratings`, and gives the number of rows left out.

    The last row of a pair stays. With timestamps that is the last in time; of equal times it is
    the last in the file.
    """
    keys = pair_keys(ratings)
    ordered = np.sort(keys)
    if not (ordered[1:] == ordered[:-1]).any():
        return 0
    import pandas as pd

    if layout.duplicates == "error":
        raise _rated_twice(ratings, keys, places, layout)
    if layout.duplicates == "mean":
        groups = pd.factorize(keys)[0]
        mean = np.bincount(groups, weights=ratings.ratings) / np.bincount(groups)
        ratings.ratings = mean.astype(np.float32)[groups]
    rated_again = ordered[1:][ordered[1:] == ordered[:-1]]
    several = np.flatnonzero(pd.Series(keys).isin(rated_again).to_numpy())
    if ratings.timestamps is not None:
        several = several[np.argsort(ratings.timestamps[several], kind="stable")]
    keep = np.ones(len(keys), np.bool_)
    keep[several] = ~pd.Series(keys[several]).duplicated(keep="last").to_numpy()
    left_out = len(keys) - int(np.count_nonzero(keep))
    keep_rows(ratings, keep)
    return left_out


def keep_rows(ratings: Ratings, keep: npt.NDArray[np.bool_]) -> None:
    """Leaves some rows in `ratings`, whose users and items keep their numbers."""
    for name in ("users", "items", "ratings", "timestamps", "files"):
        column = getattr(ratings, name)
        setattr(ratings, name, None if column is None else column[keep])


def _rated_twice(
    ratings: Ratings, keys: npt.NDArray[np.int64], places: Places, layout: Layout
) -> DataError:
    import pandas as pd

    second = int(pd.Series(keys).duplicated().to_numpy().argmax())
    first = int((keys == keys[second]).argmax())
    user = ratings.user_ids[ratings.users[second]]
    item = ratings.item_ids[ratings.items[second]]
    option = "" if layout.published else ", or set data.duplicates to last or mean (it is error)"
    return DataError(
        f"{places.place(second)}: user {user}, item {item}: already rated in"
        f" {places.place(first)}. Remove one of the two lines{option}."
    )
