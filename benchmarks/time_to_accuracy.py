"""How long does training take to a given accuracy? `python -m benchmarks.time_to_accuracy`

| data                  | target                                                                   |
| --------------------- | ------------------------------------------------------------------------ |
| MovieLens 100K        | a test RMSE of 0.920 (chosen beforehand; the split is that of seed 0)    |
| 5 million synthetic   | within 0.002 of the best validation RMSE that one worker reaches in as   |
| ratings               | many epochs                                                              |

Ours are trainer=fused, stratified, and trainer=gibbs. Beside them stand two ways of torch: a plain
loop with Adam in one process, and two processes that each train on half of the ratings and average
every few steps (torch.distributed's PeriodicModelAverager over gloo).

Only training counts. torch is evaluated after every epoch, and that time is subtracted. Ours is
evaluated after every round (some epochs on MovieLens 100K) while training goes on; where training
waits for the evaluation, the wait counts.
"""

import math
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.algorithms.model_averaging.averagers import PeriodicModelAverager

from benchmarks.data_sets import DATA
from benchmarks.harness import (
    Figures,
    Row,
    Unavailable,
    add_ratio,
    command_line,
    in_turn,
    report,
    table_of,
)
from benchmarks.train_runs import aggregates, compose_config
from ddp.config.schema import Config
from ddp.model.torch_module import CollabFiltering
from ddp.ratings.arrays import Part
from ddp.ratings.load import load_ratings
from ddp.tracking.messages import AggregateRound
from ddp.workers.job import Job
from ddp.workers.prepare import prepare

TIME, EPOCHS, RATIO = "time to accuracy, s", "epochs", "times one worker"
TARGET = 0.920  # test RMSE on MovieLens 100K
MARGIN = 0.002  # validation RMSE above the best of one worker, on synthetic ratings
BASE = ("select_on=last", "reference=false", "tensorboard=false", "display=none")
HELD_OUT = {
    "ml100k": (),
    "synthetic": ("split.test_fraction=0.02", "split.valid_fraction=0.02"),
}
# Chosen for the shortest time: such learning rates are larger, and fall faster, than those for the
# best accuracy, and such chains have few samples. An aggregate is evaluated after each round, which
# should take longer than the evaluation.
FUSED = {
    "ml100k": (
        "trainer=fused",
        "model=medium",
        "model.init_std=0.05",
        "trainer.lr=0.12",
        "trainer.lr_decay=0.6",
        "trainer.reg_factors=0.08",
        "rounds=12",
        "local_epochs=5",
    ),
    "synthetic": (
        "trainer=fused",
        "model=medium",
        "model.init_std=0.01",
        "trainer.lr=0.05",
        "trainer.lr_decay=0.9",
        "trainer.reg_factors=0.05",
        "rounds=16",
        "local_epochs=1",
    ),
}
GIBBS = {
    "ml100k": (
        "trainer=gibbs",
        "model=tiny",
        "trainer.burn_in=2",
        "rounds=20",
        "local_epochs=2",
    ),
    "synthetic": (
        "trainer=gibbs",
        "model=tiny",
        "trainer.implicit=none",
        "trainer.noise=common",
        "trainer.burn_in=4",
        "rounds=16",
        "local_epochs=1",
    ),
}
# ranks -> lr of Adam; tried: 0.005, 0.01, 0.02 and 0.03, with weight decay 1e-5, 1e-4 and 3e-4
TORCH_LR = {1: 0.01, 2: 0.02}
WORKERS = {
    "one worker, thread": ("workers=1", "backend=thread"),
    "2 workers, thread": ("workers=2", "backend=thread"),
    "2 workers, shm": ("workers=2", "backend=shm"),
}
# name -> the settings of its trainer on each data set, and those of its workers
OURS = {name: (FUSED, workers) for name, workers in WORKERS.items()} | {
    f"gibbs, {name}": (GIBBS, workers) for name, workers in WORKERS.items()
}
ONE = next(iter(OURS))
BATCH, WEIGHT_DECAY, AVERAGE_EVERY = 1024, 3e-4, 4
DEADLINE_S = 120.0  # for torch's ranks to wait for each other


def main() -> None:
    """The command."""
    parser = command_line("time_to_accuracy", __doc__)
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA), help="only these")
    arguments = parser.parse_args()
    rows: list[Row] = []
    for data in arguments.data:
        reached = _target(data)
        candidates: list[tuple[dict[str, str | int], Callable[[], Figures]]] = [
            ({"data": data, "by": name}, partial(ours, name, data, reached)) for name in OURS
        ]
        if data == "ml100k":
            config = _config(ONE, data)
            candidates += [
                ({"data": data, "by": name}, partial(torchs, config, ranks))
                for name, ranks in (
                    ("torch, Adam", 1),
                    ("torch, PeriodicModelAverager, 2 ranks", 2),
                )
            ]
        group = in_turn(candidates, arguments.repeats)
        add_ratio(group, RATIO, TIME, group[0], faster=False)
        rows += group
    title = f"median (lowest - highest) of {arguments.repeats}"
    table = table_of(title, rows, ("data", "by"), (TIME, EPOCHS, RATIO))
    report("time_to_accuracy", arguments, rows, [table])


def _config(name: str, data: str) -> Config:
    """The configuration of one of ours."""
    trainer, workers = OURS[name]
    return compose_config((*BASE, *DATA[data], *HELD_OUT[data], *trainer[data], *workers))


def _target(data: str) -> Callable[[AggregateRound], bool]:
    """A function that says whether an aggregate is good enough."""
    if data == "ml100k":
        return lambda row: row.test.rmse <= TARGET
    best = min(row.valid.rmse for row in aggregates(_config(ONE, data)))
    return lambda row: row.valid.rmse <= best + MARGIN


def ours(name: str, data: str, reached: Callable[[AggregateRound], bool]) -> Figures:
    """Runs one of ours once. Raises Unavailable if it misses the target."""
    config = _config(name, data)
    for row in aggregates(config):
        if reached(row):
            return {TIME: row.elapsed_s, EPOCHS: (row.round_index + 1) * config.local_epochs}
    raise Unavailable("does not get there")


# --- torch's ways ---


def torchs(config: Config, ranks: int) -> Figures:
    """Trains in a process per rank, and gives the time of the slowest."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(ranks, multiprocessing.get_context("spawn")) as pool,
    ):
        found = list(pool.map(partial(_rank, ranks, config, folder), range(ranks)))
    seconds = max(elapsed_s for elapsed_s, _ in found)
    if math.isnan(seconds):
        raise Unavailable("does not get there")
    return {TIME: seconds, EPOCHS: found[0][1]}


def _rank(ranks: int, config: Config, folder: str, rank: int) -> tuple[float, int]:
    """Trains on every `ranks`-th rating and averages with the others.

    Gives seconds of training (NaN if it misses the target) and epochs.
    """
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", f"file://{folder}/store", timedelta(seconds=DEADLINE_S), rank=rank, world_size=ranks
    )
    prepared = prepare(config, load_ratings(config.data, config.data_seed, config.split.test_file))
    job = prepared.make_jobs()[0]
    model = CollabFiltering.over(job.make_parameters())
    users, items, ratings = _share(job.shard.train, rank, ranks)
    length = len(ratings)
    optimizer = torch.optim.Adam(
        model.parameters(), lr=TORCH_LR[ranks], weight_decay=WEIGHT_DECAY, fused=True
    )
    averager = PeriodicModelAverager(period=AVERAGE_EVERY)
    elapsed_s = 0.0
    for epoch in range(config.rounds * config.local_epochs):
        order = torch.randperm(length, generator=torch.Generator().manual_seed(epoch))
        dist.barrier()
        began = time.perf_counter()
        for start in range(0, length, BATCH):
            batch = order[start : start + BATCH]
            optimizer.zero_grad()
            loss: Any = torch.nn.functional.mse_loss(
                model(users[batch], items[batch]), ratings[batch]
            )
            loss.backward()
            optimizer.step()
            if ranks > 1:
                averager.average_parameters(model.parameters())
        elapsed_s += time.perf_counter() - began
        if _rmse_of_the_mean(job, model, prepared.test, ranks) <= TARGET:
            return elapsed_s, epoch + 1
    return math.nan, config.rounds * config.local_epochs


def _share(part: Part, rank: int, ranks: int) -> tuple[torch.Tensor, ...]:
    """Users, items and ratings of a rank, as many as of any other: else one would wait."""
    length = len(part) // ranks
    columns = (part.users, part.items, part.ratings)
    return tuple(torch.from_numpy(column[rank::ranks][:length].copy()) for column in columns)


def _rmse_of_the_mean(job: Job, model: CollabFiltering, test: Part, ranks: int) -> float:
    """The test RMSE of the mean of the ranks, the same on every rank."""
    mean = job.make_parameters()
    for name, parameter in model.named_parameters():
        total = parameter.detach().clone()
        dist.all_reduce(total)
        mean.views[name][...] = (total / ranks).numpy()
    return job.evaluate(mean, test).rmse


if __name__ == "__main__":
    main()
