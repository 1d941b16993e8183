"""The tables of `python train.py inspect=true`: how ratings, users and items are distributed."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ddp.ratings.arrays import FloatArray, Ratings
from ddp.ratings.outside import tally

MOST_VALUES = 20  # more distinct ratings are shown in bins
NUM_BINS = 10
MOST_BAR = 30  # characters
SPREAD = {"fewest": 0.0, "10 %": 0.1, "median": 0.5, "90 %": 0.9, "most": 1.0}
SINGLE = "with 1 rating"


def distribution(ratings: FloatArray) -> list[tuple[str, int]]:
    """(a value or a range of values, the number of its ratings), from the lowest to the highest."""
    values, counts = tally(ratings)
    if len(values) <= MOST_VALUES:
        exact = [str(value).removesuffix(".0") for value in values]
        return list(zip(exact, counts.tolist(), strict=True))
    edges = np.linspace(float(values[0]), float(values[-1]), NUM_BINS + 1)
    in_bins = np.histogram(values.astype(np.float64), edges, weights=counts)[0].astype(np.int64)
    digits = max(0, 2 - math.ceil(math.log10(edges[1] - edges[0])))
    names = [f"{edge:.{digits}f}" for edge in edges.tolist()]
    ranges = [f"{low} to {high}" for low, high in pairwise(names)]
    return list(zip(ranges, in_bins.tolist(), strict=True))


def spread(owners: npt.NDArray[np.int32], num: int) -> dict[str, int]:
    """Quantiles of the number of ratings of `num` users or items, and how many have only one.

    `owners`: the user or the item of each rating.
    """
    counts = np.bincount(owners, minlength=num)
    found = np.quantile(counts, list(SPREAD.values()), method="inverted_cdf").astype(np.int64)
    return dict(zip(SPREAD, found.tolist(), strict=True)) | {SINGLE: int((counts == 1).sum())}


def tables(ratings: Ratings, width: int) -> list[str]:
    """The lines of both tables. Bars take the rest of the `width`."""
    lines = [*_histogram(distribution(ratings.ratings), width), ""]
    by_user = spread(ratings.users, ratings.num_users)
    by_item = spread(ratings.items, ratings.num_items)
    return lines + _aligned(
        ["ratings of", *by_user],
        ["a user", *(f"{number:,}" for number in by_user.values())],
        ["an item", *(f"{number:,}" for number in by_item.values())],
    )


def _histogram(shares: Sequence[tuple[str, int]], width: int) -> list[str]:
    names, numbers = zip(*shares, strict=True)
    lines = _aligned(
        ["rating", *names],
        ["number", *(f"{number:,}" for number in numbers)],
        ["share", *(f"{100 * number / sum(numbers):.1f} %" for number in numbers)],
    )
    room = min(MOST_BAR, width - len(lines[0]) - 2)
    bars = ["#" * round(room * number / max(numbers)) for number in (0, *numbers)]
    return [f"{line}  {bar}".rstrip() for line, bar in zip(lines, bars, strict=True)]


def _aligned(names: Sequence[str], *columns: Sequence[str]) -> list[str]:
    """Lines of names, on the left, and of the cells of columns, each on the right."""
    widths = [max(map(len, column)) for column in columns]
    first = max(map(len, names))
    return [
        "  ".join([f"{name:<{first}}", *map(str.rjust, cells, widths)])
        for name, *cells in zip(names, *columns, strict=True)
    ]
