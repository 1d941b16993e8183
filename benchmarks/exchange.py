"""How long does a round of exchange take? `python -m benchmarks.exchange`

The real loops of ddp run on each backend, with a model of so many floats and one rating per worker,
so that there is hardly anything to compute. A worker's round of exchange is its time to publish, to
wait and to receive. Its epoch does not count, nor does the copy that keeps its best state. Figures
are means over the workers and medians over the rounds. Workers never begin at quite the same
moment, so a round contains some waiting for each other.

| row or column   | meaning                                                                      |
| --------------- | ---------------------------------------------------------------------------- |
| last to publish | the round of the worker that waits least: it begins when the others have     |
|                 | published, and ends when all have received                                   |
| copy            | one np.copyto of the same floats between warm buffers                        |
| gloo            | `torch.distributed`'s all_reduce (sum) after a barrier, the slowest rank     |
| copies needed   | the least that shared memory needs: publishing and receiving, as many at a   |
|                 | time as there are cores, and averaging, which reads the vector of every      |
|                 | worker and writes one (half a copy each)                                     |
"""

import math
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import repeat
from pathlib import Path

import numpy as np
import torch

from benchmarks.harness import (
    Figures,
    Row,
    Table,
    Unavailable,
    add_ratio,
    command_line,
    compose_config,
    in_turn,
    report,
)
from ddp.aggregation.aggregator import Aggregator
from ddp.aggregation.combine import make_combine
from ddp.backends.make import make_backend
from ddp.config.schema import Config
from ddp.ratings.arrays import Ratings
from ddp.ratings.splits import Deal
from ddp.timing.account import Account
from ddp.tracking.messages import AggregateRound, Message, WorkerRound
from ddp.tracking.metrics import SquaredError
from ddp.workers.prepare import Prepared

SIZES = (87_000, 1_000_000, 10_000_000, 50_000_000)  # 87,000: MovieLens 100K with embedding size 32
FLOATS_TO_MOVE = 10_000_000  # in all rounds of a measurement, about
WARM_UP = 2  # rounds that do not count
PICKLED_AT_MOST = 16_000_000  # floats: with these five workers take a few seconds a round
DIM = 64  # of the model that holds the floats: only its length matters
BACKENDS = ("thread", "process", "shm")
COPY, GLOO = "copy", "gloo"
ROUND, TIMES_COPIES, TIMES_GLOO = "round, ms", "times the copies needed", "times gloo"
PHASES = ("publish", "wait", "receive")  # of a worker's round: its exchange
PARTS = (
    *(
        "last to publish, ms",
        "publish, ms",
        "gather, ms",
        "average, ms",
        "broadcast, ms",
        "receive, ms",
    ),
    *("lock held, ms", "lock held at most, ms", "pickled, kB"),
)


def main() -> None:
    """The command."""
    parser = command_line("exchange", __doc__)
    parser.add_argument(
        "--sizes", nargs="+", type=int, default=SIZES, metavar="FLOATS", help="sizes of the vector"
    )
    parser.add_argument(
        "--workers", nargs="+", type=int, default=(1, 2, 5), metavar="N", help="numbers of workers"
    )
    parser.add_argument(
        "--backends", nargs="+", choices=BACKENDS, default=BACKENDS, help="measure only these"
    )
    parser.add_argument(
        "--rounds",
        type=int,
        help="rounds per measurement (default: 100 of the smallest size, 5 of the largest)",
    )
    arguments = parser.parse_args()
    rows: list[Row] = []
    for size in arguments.sizes:
        for workers in arguments.workers:
            rounds = arguments.rounds or min(100, max(5, FLOATS_TO_MOVE // size))
            rows += measured(size, workers, rounds, arguments.backends, arguments.repeats)
    report("exchange", arguments, rows, [_table(rows, arguments.repeats)])


def measured(
    size: int, workers: int, rounds: int, backends: Sequence[str], repeats: int
) -> list[Row]:
    """One row per backend, after those of the copy and of gloo, with their ratios."""
    candidates: dict[str, Callable[[], Figures]] = {
        COPY: partial(copy, size, rounds, copies_needed(workers)),
        GLOO: partial(all_reduce, size, workers, rounds),
        **{backend: partial(exchange, backend, size, workers, rounds) for backend in backends},
    }
    rows = in_turn(
        [
            ({"floats": size, "workers": workers, "by": name}, measure)
            for name, measure in candidates.items()
        ],
        repeats,
    )
    add_ratio(rows, TIMES_COPIES, ROUND, rows[0], faster=False)
    add_ratio(rows, TIMES_GLOO, ROUND, rows[1], faster=False)
    return rows


def copies_needed(workers: int) -> float:
    """Copies of a vector, one after another, that a round needs at least."""
    at_a_time = min(workers, os.cpu_count() or 1)
    return 2 * math.ceil(workers / at_a_time) + (workers + 1) / 2


def copy(size: int, rounds: int, times: float) -> Figures:
    """Time of one copy of the floats, and of `times` copies."""
    source, target = np.ones(size, np.float32), np.ones(size, np.float32)
    marks = [time.perf_counter()]
    for _ in range(WARM_UP + rounds):
        np.copyto(target, source)
        marks.append(time.perf_counter())
    once_ms = statistics.median(np.diff(marks)[WARM_UP:]) * 1e3
    return {"one copy, ms": once_ms, ROUND: once_ms * times}


def all_reduce(size: int, workers: int, rounds: int) -> Figures:
    """Time of gloo in spawned processes: of the slowest rank of a round, the median over the
    rounds.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool,
    ):
        meeting_point = Path(folder, "ranks").as_uri()
        ranks = pool.map(
            _rank,
            range(workers),
            repeat(workers),
            repeat(size),
            repeat(WARM_UP + rounds),
            repeat(meeting_point),
        )
        slowest_s = np.max(list(ranks), axis=0)
    return {ROUND: statistics.median(slowest_s[WARM_UP:]) * 1e3}


def _rank(rank: int, workers: int, size: int, rounds: int, meeting_point: str) -> list[float]:
    """Seconds of each all_reduce of one rank."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=meeting_point, rank=rank, world_size=workers
    )
    vector, seconds = torch.ones(size), []
    for _ in range(rounds):
        torch.distributed.barrier()
        began = time.perf_counter()
        torch.distributed.all_reduce(vector)
        seconds.append(time.perf_counter() - began)
        vector.fill_(1)
    torch.distributed.destroy_process_group()
    return seconds


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
            backend, combine, run.vector, lambda _: (SquaredError(), SquaredError())
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


def _table(rows: Sequence[Row], repeats: int) -> Table:
    names = (ROUND, TIMES_COPIES, TIMES_GLOO)
    return Table(
        title=f"A round of exchange: median (lowest - highest) of {repeats}",
        header=["floats", "workers", "by", *names, *PARTS],
        cells=[
            [
                *(f"{row.labels['floats']:,}", str(row.labels["workers"]), str(row.labels["by"])),
                *(row.cell(name) for name in names),
                *(row.cell(name, spread=False) for name in PARTS),
            ]
            for row in rows
        ],
    )


if __name__ == "__main__":
    main()
