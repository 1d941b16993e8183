"""Reads rounds.csv for the report, and any number of a file of a run."""

import csv
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from ddp.results.earlier import read_round
from ddp.tracking.who import AGGREGATED

MAX_NUMBER = 1e15  # no second, byte or error is larger


@dataclass(slots=True, kw_only=True)
class Round:
    """The test RMSE of a round's aggregate, and sums since the start of the run.

    `number` counts rounds from 1. The sums are seconds of training, and bytes pickled and copied.
    `of_sample`: the test RMSE of the last sample alone. None where not known.
    """

    number: int
    rmse: float | None
    elapsed_s: float | None
    num_bytes: float
    of_sample: float | None = None


def number(value: Any) -> float | None:
    """`value` as a number that can be drawn; None for anything else."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        read = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return read if math.isfinite(read) and abs(read) < MAX_NUMBER else None


def read_rounds(path: Path) -> Iterator[Round]:
    """The rounds of a run. Raises ValueError, KeyError or OSError.

    Only a table of an earlier version has a round 0, and each such table has it.
    """
    moved: defaultdict[int, float] = defaultdict(float)
    aggregates = {}
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if not {"round", "who", "test_rmse"} <= set(reader.fieldnames or ()):
            raise ValueError("is no table of rounds")
        for row in reader:
            told = int(row["round"])
            moved[told] += sum(
                number(row.get(name)) or 0.0 for name in ("pickled_bytes", "copied_bytes")
            )
            if row["who"] == AGGREGATED:
                aggregates[told] = row
    in_order = sorted(moved)
    totals = dict(zip(in_order, accumulate(map(moved.__getitem__, in_order)), strict=True))
    for told, row in sorted(aggregates.items()):
        yield Round(
            number=read_round(told, earlier=0 in moved),
            rmse=number(row["test_rmse"]),
            elapsed_s=number(row.get("elapsed_s")),
            num_bytes=totals[told],
            of_sample=number(row.get("sample_test_rmse")),
        )
