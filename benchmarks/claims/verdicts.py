"""Rules of benchmarks.claims: where a measured curve passes a level, and the words for figures.

The rules, for medians over the repeats:

- *about*: a cost is "about" as claimed within half an order of magnitude (a factor of 3.16) of the
  claimed figure or range. A cost that is claimed to be small may be smaller still.
- *faster*, *slower*: at least 1.1 times as fast in the median of pairs of neighbours in time, and
  faster in every pair; slower likewise. Anything else is *as fast*.
- *turns over*: between the two measured points on both sides of a level, on a straight line where
  both axes are logarithmic. The last such passage counts: from there on the curve stays above, as
  far as it was measured. Each repeat gives one passage; the table has their median and range. A
  passage beyond the measured points is only said to lie there ("> 64", "< 0.008").
- *paid back*: two lengths of a run give the cost to begin and the cost of a round; two such lines
  cross. Each repeat gives one crossing; the table has the median. It counts only if a round is
  *faster*; else the table says "no gain" (*as fast*) or "never" (*slower*).
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Literal

ABOUT = math.sqrt(10)
CLEARLY = 1.1

# ascending point of measurement -> the figure, repeat by repeat
Series = Mapping[float, Sequence[float]]
Pace = Literal["faster", "as fast", "slower"]


def times_off(values: Sequence[float], low: float, high: float) -> float:
    """The cost as a multiple of the claim; 1 if it is about in the range.

    With `low` 0 any smaller cost is in the range.
    """
    median = statistics.median(values)
    if median > high * ABOUT:
        return median / high
    return median / low if median < low / ABOUT else 1.0


def pace(speed_ups: Sequence[float]) -> Pace:
    """The verdict on ratios.

    Each says how many times as fast a candidate was as its neighbour in time.
    """
    median = statistics.median(speed_ups)
    if median >= CLEARLY and min(speed_ups) > 1:
        return "faster"
    return "slower" if median <= 1 / CLEARLY and max(speed_ups) < 1 else "as fast"


def times_at_least(values: Sequence[float], level: float) -> bool:
    """True if the median reaches the level."""
    return statistics.median(values) >= level


def crossing(points: Sequence[tuple[float, float]], level: float) -> float:
    """The x from which on y is at least `level`: 0 if everywhere, infinity if not yet.

    `points`: by ascending x, all positive.
    """
    below = [number for number, (_, y) in enumerate(points) if y < level]
    if not below:
        return 0.0
    if below[-1] == len(points) - 1:
        return math.inf
    (x, y), (next_x, next_y) = points[below[-1]], points[below[-1] + 1]
    share = math.log(level / y) / math.log(next_y / y)
    return x * math.exp(share * math.log(next_x / x))


def crossings(series: Series, level: float) -> list[float]:
    """The crossing of each repeat."""
    repeats = zip(*series.values(), strict=True)
    return [crossing(list(zip(series, values, strict=True)), level) for values in repeats]


def paid_back(begin: float, per_round: float, other_begin: float, other_per_round: float) -> float:
    """The number of rounds from which on a run takes no longer than another.

    It is 0 if always, infinity if never.
    """
    if per_round >= other_per_round:
        return 0.0 if begin <= other_begin and per_round == other_per_round else math.inf
    return max(0.0, (begin - other_begin) / (other_per_round - per_round))


def span(values: Sequence[float], digits: int = 2) -> str:
    """The median and the range, to so many digits: "0.0034 (0.0031 - 0.004)"."""
    return _with_range(
        [rounded(value, digits) for value in (statistics.median(values), min(values), max(values))]
    )


def passage(values: Sequence[float], measured: Sequence[float]) -> str:
    """Crossings as the table shows them: median and range.

    `measured`: the ascending points of the curve.
    """

    def text(value: float) -> str:
        if math.isinf(value):
            return f"> {measured[-1]:g}"
        return f"< {measured[0]:g}" if value == 0 else rounded(value)

    return _with_range(
        [text(value) for value in (statistics.median_low(values), min(values), max(values))]
    )


def several(names: Sequence[str]) -> str:
    """A list in words."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def _with_range(texts: Sequence[str]) -> str:
    middle, low, high = texts
    return middle if low == high else f"{middle} ({low} - {high})"


def rounded(value: float, digits: int = 2) -> str:
    """A number to so many digits, and all of those before the point."""
    if value == 0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{value:.{max(decimals, 0)}f}"


def passes(series: Series, level: float) -> str:
    """The place where a series passes a level."""
    return passage(crossings(series, level), list(series))
