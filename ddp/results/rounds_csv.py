"""Writes rounds.csv: a row for each worker and each aggregate of each round.

A row has errors, seconds and bytes. Rounds, and the local epochs of a round, count from 1.
"""

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from ddp.counting import round_of
from ddp.timing.account import Account
from ddp.timing.kinds import EXCHANGE_KINDS, OFF_CORE_KINDS
from ddp.timing.paths import AGGREGATOR_PHASES, ROUND_PHASES, WORKER_PHASES
from ddp.tracking.history import History
from ddp.tracking.messages import AggregateRound, WorkerRound
from ddp.tracking.sampled import Sampled
from ddp.tracking.who import AGGREGATED, worker_name

INNER_KINDS = (*EXCHANGE_KINDS, *OFF_CORE_KINDS)
SAMPLE_COLUMNS = (
    "sample_valid_rmse",
    "sample_test_rmse",
    "precision",
    "samples",
    "effective_samples",
)
ROUND_COLUMNS = (
    *(
        "round",
        "who",
        "train_loss",
        "valid_rmse",
        "test_rmse",
        "best_epoch",
        "aggregate_received",
        "elapsed_s",
        "lr",
    ),
    *SAMPLE_COLUMNS,
    *(f"{name}_s" for name in (*ROUND_PHASES, *INNER_KINDS)),
    *("wall_s", "pickled_bytes", "copied_bytes"),
)


def rounds_csv(history: History) -> str:
    """The content of the file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ROUND_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for row in sorted(history.worker_rounds, key=lambda row: (row.round_index, row.worker)):
        writer.writerow(worker_columns(row))
    for aggregate in history.aggregate_rounds:
        writer.writerow(aggregate_columns(aggregate))
    return text.getvalue()


def worker_columns(row: WorkerRound) -> dict[str, Any]:
    """The row of a worker in a round, by column."""
    told = costs(row.account, WORKER_PHASES)
    del told["pickle_s"]
    return {
        "round": round_of(row.round_index),
        "who": worker_name(row.worker),
        "train_loss": row.train_loss,
        "valid_rmse": row.valid.rmse,
        "test_rmse": row.test.rmse,
        "best_epoch": row.best_epoch + 1,
        "aggregate_received": row.aggregate_received,
        **told,
    }


def aggregate_columns(row: AggregateRound) -> dict[str, Any]:
    """The row of a round's aggregate, by column."""
    told = costs(row.account, AGGREGATOR_PHASES)
    del told["pickle_s"]
    return {
        "round": round_of(row.round_index),
        "who": AGGREGATED,
        "valid_rmse": row.valid.rmse,
        "test_rmse": row.test.rmse,
        "elapsed_s": row.elapsed_s,
        "lr": None if math.isnan(row.lr) else row.lr,
        **_of_samples(row.sampled),
        **told,
    }


def _of_samples(sampled: Sampled | None) -> dict[str, float]:
    if sampled is None:
        return {}
    told = (
        sampled.valid.rmse,
        sampled.test.rmse,
        sampled.precision,
        sampled.count,
        sampled.effective,
    )
    return dict(zip(SAMPLE_COLUMNS, told, strict=True))


def costs(account: Account, phases: Sequence[str]) -> dict[str, float]:
    """Seconds by phase and by kind of time, and bytes, by column."""
    by_phase, by_innermost = account.by_phase(), account.by_innermost()
    return {
        **{f"{phase}_s": by_phase[phase] for phase in phases},
        **{f"{kind}_s": by_innermost[kind] for kind in INNER_KINDS},
        "pickle_s": account.pickle_s,
        "wall_s": account.wall_s,
        "pickled_bytes": sum(account.num_bytes.values()),
        "copied_bytes": sum(account.num_copied.values()),
    }
