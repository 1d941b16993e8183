"""Runs of ours for benchmarks.quality, the values that validation chooses, and their gaps."""

import math
from collections.abc import Sequence
from itertools import product

from benchmarks.harness import Row
from benchmarks.quality.protocols import VALID_FRACTION, HeldOut
from benchmarks.quality.ways import BASE, Values, Way
from benchmarks.train_runs import aggregates, compose_config, last_of_each
from ddp.errors import AggregationError, WorkerError
from ddp.tracking.messages import AggregateRound

TEST, GAP = "test RMSE", "gap to one worker"


def fit(
    way: Way, values: Values, held_out: HeldOut, *, valid_fraction: float, epochs: int, seed: int
) -> list[AggregateRound]:
    """The aggregates of one run."""
    chosen = [f"{key}={value:g}" for key, value in values.items()]
    rounds = max(1, epochs // way.local_epochs)
    config = compose_config(
        last_of_each(
            [
                *BASE,
                *way.overrides,
                *chosen,
                f"rounds={rounds}",
                f"local_epochs={way.local_epochs}",
                f"seed={seed}",
                *held_out,
                f"split.valid_fraction={valid_fraction}",
            ]
        )
    )
    return aggregates(config)


def fit_to_choose(way: Way, values: Values, held_out: HeldOut) -> list[AggregateRound] | None:
    """The aggregates of a run with a validation part; None if it diverges."""
    try:
        return fit(way, values, held_out, valid_fraction=VALID_FRACTION, epochs=way.epochs, seed=0)
    except AggregationError:
        return None
    except WorkerError as error:
        if not error.diverged:
            raise
        return None


def choose(way: Way, held_out: HeldOut) -> tuple[Values, int]:
    """The values and the number of epochs with the lowest validation RMSE."""
    best, epochs = math.inf, 0
    chosen: Values = {}
    for tried in product(*way.tried.values()):
        values = dict(zip(way.tried, tried, strict=True))
        rows = fit_to_choose(way, values, held_out)
        if rows is None:
            continue
        row = min(rows, key=lambda row: row.valid.mse)
        if row.valid.rmse < best:
            best, chosen, epochs = row.valid.rmse, values, (row.round_index + 1) * way.local_epochs
    return chosen, epochs


def add_gaps(rows: Sequence[Row], one: Row) -> None:
    """Adds to each row how much larger its errors are than those of one worker."""
    for row in rows:
        if TEST in row.figures:
            row.figures[GAP] = [
                own - best for own, best in zip(row.figures[TEST], one.figures[TEST], strict=True)
            ]
