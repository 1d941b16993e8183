"""Ties: the rule by which the table and the report say that two configurations do not differ.

Two configurations tie in a figure if their means differ by at most the larger of their standard
deviations. An RMSE has a value for each seed, seconds have one for each run: repeats of a seed have
the same bits, but not the same seconds. A single value shows no spread, so nothing ties with it
unless the other has one.
"""

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

from ddp.results.run_file import RunFile
from ddp.results.seeds import MAX_NUMBER


def values_of(runs: Sequence[RunFile], name: str) -> list[float]:
    """The values of an outcome that count for its spread; those that make no sense are left out."""
    by_seed: defaultdict[Any, list[float]] = defaultdict(list)
    for number, run in enumerate(runs):
        if abs(run.outcome[name]) < MAX_NUMBER:
            key = number if name.endswith("_s") else run.settings["seed"]
            by_seed[key].append(run.outcome[name])
    return [fmean(values) for values in by_seed.values()]


def tie(one: Sequence[float], other: Sequence[float]) -> bool:
    """Tells whether the means of these values differ by no more than their spread."""
    spreads = [stdev(values) for values in (one, other) if len(values) > 1]
    return bool(spreads and one and other) and abs(fmean(one) - fmean(other)) <= max(spreads)
