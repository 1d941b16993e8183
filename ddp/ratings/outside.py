"""Finds values that may mean "not rated", such as -1, 0 or 99 beside ratings of 1 to 5.

A value can stand outside in three ways. Each time it is the lowest or the highest value, and at
least three other values are there:

| way      | meaning                                                                              |
| -------- | ------------------------------------------------------------------------------------ |
| far      | it is many steps away from an even scale, or, where the other values have no steps,  |
|          | at least as far away as the lowest of them is from the highest (99 beside -10 to 10) |
| sign     | it is the only value below 0, or the only one of 0 or less, and a step is missing    |
|          | between it and the others (-1 beside 1, 2, 3)                                        |
| too many | the same with no step missing (0 beside 1, 2, 3), but it is more than twice as       |
|          | frequent as the next two values are on average                                       |

So 0 counts as a rating on a scale of 0 to 5, unless it is as frequent as in a file where 0 means
"viewed, but not rated". A low value above 0 always counts as a rating.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

MIN_SHARE = 0.03  # a value of fewer rows harms little
MIN_OTHERS = 3  # two other values make no scale: likes and dislikes
MOST_STEPS = 20  # more values than these have no steps: 0.5 to 10 in halves
FAR_STEPS = 2.5

Values = npt.NDArray[np.floating]
Counts = npt.NDArray[np.integer]


def tally(ratings: Values) -> tuple[Values, Counts]:
    """(the distinct values in order, the number of each)."""
    ordered = np.sort(ratings)  # several times faster than np.unique
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    return ordered[first], np.diff(first, append=len(ordered))


def outside(values: Values, counts: Counts) -> list[float]:
    """The values that stand outside; `values` and `counts` are those of `tally`."""
    values = values.astype(np.float64)
    often = counts > MIN_SHARE * counts.sum()
    low, high = 0, len(values)
    while high - low > MIN_OTHERS:
        inner, numbers = values[low:high], counts[low:high]
        if often[low] and _below(inner, numbers):
            low += 1
        elif often[high - 1] and _far(inner[-1] - inner[-2], inner[:-1]):
            high -= 1
        else:
            break
    return [*values[:low].tolist(), *values[high:].tolist()]


def _below(values: Values, counts: Counts) -> bool:
    """Whether the lowest value stands outside."""
    lowest, others = values[0], values[1:]
    gap = others[0] - lowest
    if lowest > 0:
        return False
    if _far(gap, others):
        return True
    if others[0] < 0:
        return False
    if gap > 1.5 * np.diff(others).max():
        return True
    return len(others) <= MOST_STEPS and bool(counts[0] > 2 * counts[1:3].mean())


def _far(gap: float, others: Values) -> bool:
    steps = np.diff(others)
    if len(others) > MOST_STEPS:
        return bool(gap >= others[-1] - others[0])
    return bool(steps.max() <= 2 * steps.min() and gap > FAR_STEPS * steps.max())


def as_option(values: Sequence[float]) -> str:
    """The option that leaves these values out."""
    return f"data.not_rated=[{','.join(map(exact, values))}]"


def exact(value: float) -> str:
    """A rating as a text that is read as the same 32-bit number."""
    if value == round(value):
        return f"{value:.0f}"
    return np.format_float_positional(np.float32(value), trim="-")
