"""How benchmarks.claims judges: where a measured curve passes a level, and what figures say of a
   claim. Nothing here measures.

The rules, of medians over the repeats:

- *about*: a cost that is claimed to be "about" so much is so within half an order of magnitude (a
  factor of 3.16) of the claimed figure, or of the range that is claimed; a cost that is claimed to
  be small may be smaller still.
- *faster*, *slower*: at least 1.1 times as fast, in the median of pairs of neighbours in time, and
  faster in every pair; slower likewise. Anything else is *as fast*.
- *turns over*: between the two measured points on both sides of a level, straight where both axes
  are logarithmic. It is the last such passage: from there on the curve stays above, as far as it
  was measured. For each repeat by itself, then their median and range; beyond what was measured it
  is only said to lie there ("> 64", "< 0.008").
- *paid back*: two lengths of a run give what it costs to begin and what a round costs; where two
  such lines cross. For each repeat by itself, then the median; only if a round is *faster*, else
  "no gain" (*as fast*) or "never" (*slower*).
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Literal

ABOUT = math.sqrt(10)
CLEARLY = 1.1

# where it was measured, ascending -> the figure, repeat by repeat
Series = Mapping[float, Sequence[float]]
Pace = Literal["faster", "as fast", "slower"]


def times_off(values: Sequence[float], low: float, high: float) -> float:
    """How many times as much as claimed it is (below 1: as little); 1 if it is about in the range.
    `low` 0: may be smaller.
    """
    median = statistics.median(values)
    if median > high * ABOUT:
        return median / high
    return median / low if median < low / ABOUT else 1.0


def pace(speed_ups: Sequence[float]) -> Pace:
    """What the ratios say: how many times as fast as its neighbour in time a candidate was."""
    median = statistics.median(speed_ups)
    if median >= CLEARLY and min(speed_ups) > 1:
        return "faster"
    return "slower" if median <= 1 / CLEARLY and max(speed_ups) < 1 else "as fast"


def times_at_least(values: Sequence[float], level: float) -> bool:
    """Whether the median is."""
    return statistics.median(values) >= level


def crossing(points: Sequence[tuple[float, float]], level: float) -> float:
    """The x from which on y is at least `level`, of points by ascending x, all positive: 0 if
    everywhere, infinity if not yet.
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
    """The number of rounds from which on a run takes no longer than another: 0 if always, infinity
    if never.
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
    """Crossings as they are shown: median and range. `measured`: where the curve was measured,
    ascending.
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
    """To so many digits, and all of those before the point."""
    if value == 0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{value:.{max(decimals, 0)}f}"
