"""Times of the rounds of exchange in the real loops of ddp."""

import statistics
from collections.abc import Sequence

import numpy as np

from benchmarks.harness import Figures, Unavailable
from benchmarks.train_runs import compose_config
from ddp.aggregation.aggregator import Aggregator, Errors
from ddp.aggregation.make import make_combine
from ddp.backends.make import make_backend
from ddp.config.schema import Config
from ddp.ratings.arrays import Ratings
from ddp.ratings.splits import Deal
from ddp.timing.account import Account
from ddp.tracking.messages import AggregateRound, Message, WorkerRound
from ddp.tracking.metrics import SquaredError
from ddp.workers.prepare import Prepared

ROUND = "round, ms"
WARM_UP = 2  # rounds that do not count
PICKLED_AT_MOST = 16_000_000  # floats: with these five workers take a few seconds a round
DIM = 64  # of the model that holds the floats: only its length matters
PHASES = ("publish", "wait", "receive")  # of a worker's round: its exchange


def exchange(backend_name: str, size: int, workers: int, rounds: int, *more: str) -> Figures:
    """Times of the real loops of one run, which takes `more` options."""
    if backend_name == "process" and size > PICKLED_AT_MOST:
        raise Unavailable(f"process: pickling {size:,} floats takes many seconds a round")
    run = prepared(backend_name, size, workers, WARM_UP + rounds, *more)
    messages: list[Message] = []
    combine = make_combine(run)
    backend = make_backend(run, run.make_jobs(), messages.append)
    try:
        backend.load()
        backend.start()
        backend.spans.take()  # the rounds begin now
        aggregator = Aggregator(
            backend, combine, run.vector, lambda _: Errors(SquaredError(), SquaredError())
        )
        aggregate_rounds = [done.row for done in aggregator.rounds()]
    finally:
        backend.stop()
    worker_rounds = [message for message in messages if isinstance(message, WorkerRound)]
    return figures(worker_rounds, aggregate_rounds)


def prepared(backend_name: str, size: int, workers: int, rounds: int, *more: str) -> Prepared:
    """A run whose workers have hardly anything to compute."""
    options = [
        f"backend={backend_name}",
        f"workers={workers}",
        f"rounds={rounds}",
        f"model.dim={DIM}",
    ]
    options += [
        "data=synthetic",
        "split=iid",  # states are averaged: workers receive the aggregate
        "split.valid_fraction=0",
        "aggregation=uniform",
        "select_on=last",
        "local_epochs=1",
    ]
    options += ["trainer=fused"]  # it leaves rows alone that no rating refers to
    config = compose_config([*options, "model.biases=false", *more])
    return _prepared(config, size)


def _prepared(config: Config, size: int) -> Prepared:
    """A job with one rating per worker, and a model of `size` floats or up to DIM fewer."""
    rows = (size - 1) // DIM  # of both factor matrices; the last float is the mean
    ratings = Ratings(
        name="one",
        users=np.zeros(1, np.int32),
        items=np.zeros(1, np.int32),
        ratings=np.full(1, 3.0, np.float32),
        user_ids=np.arange(rows - 1),
        item_ids=np.arange(1),
        rating_min=1.0,
        rating_max=5.0,
    )
    return Prepared(
        config=config,
        num_users=ratings.num_users,
        num_items=ratings.num_items,
        rating_min=ratings.rating_min,
        rating_max=ratings.rating_max,
        vector=np.full(rows * DIM + 1, 0.1, np.float32),
        ratings=ratings,
        deal=Deal(part=np.zeros(1, np.uint8), owner=None, workers=config.workers),
        workers=tuple(range(config.workers)),
    )


def figures(
    worker_rounds: Sequence[WorkerRound], aggregate_rounds: Sequence[AggregateRound]
) -> Figures:
    """Means over the workers, medians over the rounds."""
    per_round: dict[str, list[float]] = {}
    for aggregate in aggregate_rounds[WARM_UP:]:
        accounts = [
            row.account for row in worker_rounds if row.round_index == aggregate.round_index
        ]
        costs = {
            f"{phase}, ms": statistics.mean(account.phase_s(phase) for account in accounts) * 1e3
            for phase in PHASES
        }
        costs[ROUND] = sum(costs.values())
        costs["last to publish, ms"] = (
            min(sum(account.phase_s(phase) for phase in PHASES) for account in accounts) * 1e3
        )
        costs |= {
            f"{phase}, ms": aggregate.account.phase_s(phase) * 1e3
            for phase in ("gather", "average", "broadcast")
        }
        everybody = (*accounts, aggregate.account)
        costs["lock held, ms"] = max(_longest_hold_s(account) for account in everybody) * 1e3
        costs["pickled, kB"] = (
            statistics.mean(sum(account.num_bytes.values()) for account in accounts) / 1e3
        )
        for name, value in costs.items():
            per_round.setdefault(name, []).append(value)
    medians = {name: statistics.median(values) for name, values in per_round.items()}
    return medians | {"lock held at most, ms": max(per_round["lock held, ms"])}


def _longest_hold_s(account: Account) -> float:
    """The longest of a round's phases that hold the lock. Each holds it once, "broadcast" twice."""
    return max(
        (seconds for path, seconds in account.seconds.items() if path.endswith("/lock_hold")),
        default=0.0,
    )
