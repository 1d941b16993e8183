"""The spread over seeds: mean, standard deviation and 95 % interval of each configuration.

A configuration is all settings but the seed, on one machine.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from ddp.results.run_file import NEVER, RunFile, machine_of

MEASURES = ("test_rmse", "valid_rmse", "train_s")  # keys of `RunFile.outcome`
CONFIDENCE = 0.95
MAX_NUMBER = 1e15  # no second or error is larger


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The values of `count` seeds; with one seed there is neither `std` nor an interval.

    `std`: of the sample, with count - 1. `low`, `high`: the 95 % interval of the mean, Student's t.
    """

    count: int
    mean: float | None = None
    std: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """A configuration that ran with several seeds, and its spread in each of MEASURES.

    A measure that no run has is left out, except for the first.

    `settings`: all but the seed, and the `machine`; None where there is no value. `failed`: the
    number of runs that did not end well. They count in no spread.
    """

    settings: Mapping[str, Any]
    failed: int
    spreads: Mapping[str, Spread]


def over_seeds(runs: Sequence[RunFile]) -> list[Configuration]:
    """The configurations with runs of at least two seeds, in the order of the runs.

    Runs of one seed count once, with their mean: they have the same bits.
    """
    return [
        _summarised(settings, group)
        for settings, group in configurations(runs)
        if len({run.settings["seed"] for run in group}) > 1
    ]


def configurations(runs: Sequence[RunFile]) -> list[tuple[dict[str, Any], list[RunFile]]]:
    """The settings of each configuration, as in `Configuration`, with its runs.

    Runs without known settings are left out.
    """
    groups: defaultdict[tuple[Any, ...], list[RunFile]] = defaultdict(list)
    for run in runs:
        if run.settings.get("workers") is not None:
            groups[tuple(_configuration(run).values())].append(run)
    return [(_configuration(group[0]), group) for group in groups.values()]


def _configuration(run: RunFile) -> dict[str, Any]:
    settings = {
        name: None if value == "-" else value
        for name, value in run.settings.items()
        if name not in ("seed", *NEVER)
    }
    return settings | {"machine": machine_of(run.content)}


def _summarised(settings: Mapping[str, Any], group: Sequence[RunFile]) -> Configuration:
    ended_well = [run for run in group if run.status == "ok"]
    spreads: dict[str, Spread] = {}
    for name in MEASURES:
        by_seed: defaultdict[Any, list[float]] = defaultdict(list)
        for run in ended_well:
            if abs(run.outcome[name]) < MAX_NUMBER:
                by_seed[run.settings["seed"]].append(run.outcome[name])
        if by_seed or not spreads:
            spreads[name] = spread([fmean(values) for values in by_seed.values()])
    return Configuration(settings=settings, failed=len(group) - len(ended_well), spreads=spreads)


def spread(values: Sequence[float]) -> Spread:
    """The spread of these values, one of each seed."""
    count = len(values)
    if count < 2:
        return Spread(count=count, mean=values[0] if values else None)
    mean, std = fmean(values), stdev(values)
    half = t_of(count - 1) * std / math.sqrt(count)
    return Spread(count=count, mean=mean, std=std, low=mean - half, high=mean + half)


def t_of(degrees: int) -> float:
    """The t that a Student's t of these degrees of freedom lies within +-t with probability 95 %.

    1 -> 12.706, 4 -> 2.776, many -> 1.960.
    """
    low, high = 0.0, 16.0
    while low < (middle := (low + high) / 2) < high:
        if _within(middle, degrees) < CONFIDENCE:
            low = middle
        else:
            high = middle
    return high


def _within(t: float, degrees: int) -> float:
    """The probability that |T| <= t. Source: Abramowitz and Stegun 1964, 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(degrees))
    odd = degrees % 2
    term, total = math.cos(angle) if odd else 1.0, 0.0
    for power in range(odd, degrees - 1, 2):
        total += term
        term *= (power + 1) / (power + 2) * math.cos(angle) ** 2
    total *= math.sin(angle)
    return (angle + total) * 2 / math.pi if odd else total
