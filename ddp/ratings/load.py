"""Loads ratings from files, from MovieLens or from a known model, all in the same form."""

from ddp.config.data import CsvData, Data, MovieLensData
from ddp.ratings.arrays import Ratings
from ddp.ratings.sources import delimited, movielens, synthetic
from ddp.ratings.sources.pairs import read_pairs

__all__ = ["Ratings", "load_ratings", "read_pairs"]


def load_ratings(data: Data, seed: int) -> Ratings:
    """The ratings that `data` describes. `seed`: of synthetic ratings. Raises DataError."""
    if isinstance(data, MovieLensData):
        return movielens.load(data)
    if isinstance(data, CsvData):
        return delimited.load(data)
    return synthetic.load(data, seed)
