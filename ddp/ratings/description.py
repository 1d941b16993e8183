"""Describes ratings to the user: how many, on which scale, how they were read, and what is odd."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ddp.counting import counted
from ddp.machine.printable import printable
from ddp.ratings.arrays import FloatArray, Ratings, Reading
from ddp.ratings.outside import as_option, outside, tally

SAMPLE = 1 << 17  # ratings; their distinct values serve for those of all: 25 million are slow
NO_RATING = 1e6  # nobody rates so high, but the time in seconds is higher since 1970


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """Facts about the ratings of a run. result.json has them under `data`.

    | field                | meaning                                                            |
    | -------------------- | ------------------------------------------------------------------ |
    | `fill_percent`       | ratings in per cent of all pairs of a user and an item             |
    | `scale`              | lowest and highest rating that a prediction can have               |
    | `found`              | lowest and highest rating of the data                              |
    | `time`               | first and last time, ISO 8601 in UTC; None without timestamps      |
    | `format`, `left_out` | those of the `Reading`; empty for ratings that come from no file   |
    | `notes`              | sentences about ratings that look wrong                            |
    """

    num_ratings: int
    num_users: int
    num_items: int
    fill_percent: float
    scale: Sequence[float]
    found: Sequence[float]
    mean: float
    time: Sequence[str] | None
    format: Mapping[str, Sequence[str]]
    left_out: Mapping[str, int]
    notes: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        """The plain values of result.json; `Description(**values)` is their description."""
        return asdict(self)


def description_of(ratings: Ratings) -> Description:
    """The description of at least one rating. It takes milliseconds for 100,000 ratings."""
    values, reading = ratings.ratings, ratings.reading or Reading(format={}, left_out={})
    lowest, highest = float(values.min()), float(values.max())
    return Description(
        num_ratings=len(ratings),
        num_users=ratings.num_users,
        num_items=ratings.num_items,
        fill_percent=100 * len(ratings) / (ratings.num_users * ratings.num_items),
        scale=(ratings.rating_min, ratings.rating_max),
        found=(lowest, highest),
        mean=float(values.mean(dtype=np.float64)),
        time=_span(ratings),
        format=reading.format,
        left_out=reading.left_out,
        notes=(*reading.warnings, *_notes(values, lowest, highest)),
    )


def _span(ratings: Ratings) -> tuple[str, str] | None:
    if ratings.timestamps is None:
        return None
    edges = int(ratings.timestamps.min()), int(ratings.timestamps.max())
    # the lowest integer means no time to numpy
    first, last = (np.datetime64(max(edge, 1 - 2**63), "s") for edge in edges)
    return f"{first}Z", f"{last}Z"


def _notes(ratings: FloatArray, lowest: float, highest: float) -> Iterator[str]:
    if lowest == highest:
        yield f"all ratings are {amount(lowest)}, so there is nothing to learn: check data.rating"
    for edge in (lowest, highest):
        if abs(edge) >= NO_RATING:
            yield (
                f"the ratings reach {amount(edge)}: the rating and timestamp columns may be swapped"
                " (data.rating, data.timestamp)"
            )
    values, counts = tally(ratings[:: max(1, len(ratings) // SAMPLE)])
    found = outside(values, counts)
    others = [value for value in values.tolist() if value not in found]
    for value in found:
        number = int(np.count_nonzero(ratings == np.float32(value)))
        yield (
            f"{amount(value)} is the rating of {counted(number, 'row')}"
            f" ({short(100 * number / len(ratings))} %), outside the scale of the others,"
            f" {_range((others[0], others[-1]))}: if it means 'not rated', set {as_option(found)}"
        )


def facts(about: Description) -> dict[str, str]:
    """Each fact in words, by its name."""
    scale = _range(about.scale)
    if list(about.scale) != list(about.found):
        scale += f" (found: {_range(about.found)})"
    found = {
        "ratings": f"{about.num_ratings:,}",
        "users": f"{about.num_users:,}",
        "items": f"{about.num_items:,}",
        "full": f"{short(about.fill_percent)} %",
        "scale": scale,
        "mean": f"{about.mean:.4g}",
        "time": _time(about),
    }
    found |= {part: f"{value} ({origin})" for part, (value, origin) in about.format.items()}
    if about.format:
        found["left out"] = _left_out(about.left_out)
    return {printable(name): printable(text) for name, text in found.items()}


def in_numbers(about: Description) -> str:
    """The numbers of ratings, users and items."""
    return (
        f"{counted(about.num_ratings, 'rating')} of {counted(about.num_users, 'user')}"
        f" for {counted(about.num_items, 'item')}"
    )


def in_lines(about: Description) -> list[tuple[str, str]]:
    """The label and the text of each line about the data; "" is the label of the line above."""
    known = facts(about)
    found = [
        ("data", f"{in_numbers(about)}, {known['full']} full"),
        ("", f"scale {known['scale']}, mean {known['mean']}, {known['time']}"),
    ]
    origins = dict.fromkeys(origin for _, origin in about.format.values())
    for origin in origins:
        parts = [
            f"{part} = {value}" for part, (value, how) in about.format.items() if how == origin
        ]
        found.append((origin, "; ".join(parts)))
    if about.format:
        found.append(("left out", known["left out"]))
    found += [("note", note) for note in about.notes]
    return [(label, printable(text)) for label, text in found]


def _time(about: Description) -> str:
    if about.time is None:
        return "no timestamps"
    first, last = (time.partition("T")[0] for time in about.time)
    return first if first == last else f"{first} to {last}"


def _left_out(left_out: Mapping[str, int]) -> str:
    reasons = {reason: number for reason, number in left_out.items() if number}
    if not reasons:
        return "no row"
    each = [f"{number:,} {reason}" for reason, number in reasons.items()]
    total = counted(sum(reasons.values()), "row")
    return f"{total}: {', '.join(each if len(each) > 1 else reasons)}"


def _range(edges: Sequence[float]) -> str:
    return " to ".join(map(amount, edges))


def amount(value: float) -> str:
    """A rating as text: 4, 3.5, 978,300,760; at most four digits behind the point."""
    return f"{value:,.0f}" if value == round(value) or abs(value) > 1000 else f"{value:.4g}"


def short(value: float) -> str:
    """A number of two digits, never with an exponent: 6.3, 0.00041; larger ones are whole."""
    if value >= 10:
        return f"{value:.0f}"
    return np.format_float_positional(value, precision=2, fractional=False, trim="-")
