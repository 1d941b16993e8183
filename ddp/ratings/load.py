"""Loads ratings from files, from MovieLens or from a known model, all in the same form."""

from pathlib import Path

from ddp.config.data import CsvData, Data, MovieLensData, SyntheticData
from ddp.ratings.arrays import Ratings
from ddp.ratings.sources import delimited, movielens, synthetic
from ddp.ratings.sources.test_file import with_test_file
from ddp.ratings.telling import Tell, nobody

__all__ = ["Ratings", "load_ratings"]


def load_ratings(
    data: Data, seed: int, test_file: str | None = None, tell: Tell = nobody
) -> Ratings:
    """The ratings that `data` describes. `seed`: of synthetic ratings. Raises DataError.

    `test_file`: the file with the test part, for `split.holdout=files`.
    `tell`: hears how far it is.
    """
    if isinstance(data, MovieLensData):
        ratings = movielens.load(data, tell=tell)
    elif isinstance(data, CsvData):
        ratings = delimited.load(data, tell)
    else:
        ratings = synthetic.load(data, seed, tell)
    if test_file is not None:
        ratings = with_test_file(ratings, Path(test_file), data)
    if isinstance(data, SyntheticData) or (data.user_features is data.item_features is None):
        return ratings
    from ddp.ratings.sources.attributes import with_features

    return with_features(ratings, data, tell)
