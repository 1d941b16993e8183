"""How does a run get faster with more workers? `python -m benchmarks.scaling`

The same ratings and epochs are dealt to more and more workers. Training counts from the moment when
all workers have started. `speed-up` is against one worker of the same system; `efficiency` divides
it by the cores that so many workers can use. Compute and wait are seconds of wall, means over the
workers. Workers keep their last state (`select_on=last`) and little is held out, so that the
figures are those of training.

Beside each run the benchmark measures the machine: the speed-up of arithmetic in the cache, and of
copying memory, with as many threads. Training lies between the two: a rating costs arithmetic, and
the rows that it needs.
"""

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from benchmarks.data_sets import DATA, MILLION
from benchmarks.harness import (
    Figures,
    Row,
    add_overrides,
    add_ratio,
    command_line,
    in_turn,
    report,
    table_of,
)
from benchmarks.train_runs import per_worker, run_train, training_s
from ddp.counting import counted
from ddp.machine.cores import num_cores

STRATIFIED = ("split=stratified", "aggregation=none")
GIBBS = ("trainer=gibbs", "model=small", "split=auto", "aggregation=none")
SYSTEMS = {
    "thread + fused": ("backend=thread", "trainer=fused"),
    "shm + fused": ("backend=shm", "trainer=fused"),
    "thread + fused, stratified": ("backend=thread", "trainer=fused", *STRATIFIED),
    "shm + fused, stratified": ("backend=shm", "trainer=fused", *STRATIFIED),
    "thread + autograd": ("backend=thread", "trainer=autograd"),
    "thread + gibbs": ("backend=thread", *GIBBS),
    "shm + gibbs": ("backend=shm", *GIBBS),
    "thread + gibbs, ids alone": ("backend=thread", *GIBBS, "trainer.implicit=none"),
    "shm + gibbs, ids alone": ("backend=shm", *GIBBS, "trainer.implicit=none"),
}
JOB = (
    "model=medium",
    "split=iid",
    "aggregation=uniform",
    "select_on=last",
    "split.valid_fraction=0",
    "split.test_fraction=0.05",
    "reference=false",
    "checkpoint_every=0",
)
SETS = DATA | {"million": MILLION}
EPOCHS = {
    "ml100k": ("rounds=5", "local_epochs=10"),
    "synthetic": ("rounds=2", "local_epochs=4"),
    "million": ("rounds=2", "local_epochs=10"),
}
TRAINING, SPEED_UP, EFFICIENCY = "training, s", "speed-up", "efficiency"
# the time of the machine, and the name of its speed-up
LIMITS = {"arithmetic, s": "of arithmetic", "copying, s": "of copying"}
FIGURES = (
    TRAINING,
    "compute, s",
    "wait, s",
    "million ratings/s",
    SPEED_UP,
    EFFICIENCY,
    *LIMITS.values(),
)
POWERS, COPIES = 128, 64  # repetitions, of all threads together


def _arguments() -> argparse.Namespace:
    parser = command_line("scaling", __doc__)
    parser.add_argument("--data", nargs="+", choices=SETS, default=list(DATA), help="only these")
    parser.add_argument(
        "--systems",
        nargs="+",
        metavar="SYSTEM",
        choices=SYSTEMS,
        default=list(SYSTEMS),
        help="measure only these",
    )
    parser.add_argument(
        "--workers",
        nargs="+",
        type=int,
        default=[1, 2, 4, 8],
        metavar="N",
        help="numbers of workers; the first is the baseline",
    )
    add_overrides(parser)
    return parser.parse_intermixed_args()


def main() -> None:
    """The command."""
    arguments = _arguments()
    rows: list[Row] = []
    for data in arguments.data:
        for system in arguments.systems:
            overrides = (*JOB, *SETS[data], *EPOCHS[data], *SYSTEMS[system], *arguments.overrides)
            group = in_turn(
                [
                    (
                        {"data": data, "system": system, "workers": workers},
                        partial(run, workers, overrides),
                    )
                    for workers in arguments.workers
                ],
                arguments.repeats,
            )
            for ratio, figure in (
                (SPEED_UP, TRAINING),
                *((limit, figure) for figure, limit in LIMITS.items()),
            ):
                add_ratio(group, ratio, figure, group[0], faster=True)
            for row, workers in zip(group, arguments.workers, strict=True):
                if row.figures:
                    gain = _cores(workers) / _cores(arguments.workers[0])
                    row.figures[EFFICIENCY] = [
                        speed_up / gain for speed_up in row.figures[SPEED_UP]
                    ]
            rows += group
    title = (
        f"On {counted(num_cores(), 'core')}: median (lowest - highest) of"
        f" {counted(arguments.repeats, 'run')}"
    )
    report(
        "scaling", arguments, rows, [table_of(title, rows, ("data", "system", "workers"), FIGURES)]
    )


def _cores(workers: int) -> int:
    """Cores that so many workers can use."""
    return min(workers, num_cores())


def run(workers: int, overrides: tuple[str, ...]) -> Figures:
    """Runs the job once."""
    result = run_train((*overrides, f"workers={workers}"))
    visits = sum(worker["num_train"] for worker in result["workers"]) * result["rounds_completed"]
    seconds = training_s(result)
    return {
        TRAINING: seconds,
        "compute, s": per_worker(result, "compute_s"),
        "wait, s": per_worker(result, "wait_s"),
        "million ratings/s": visits * result["config"]["local_epochs"] / seconds / 1e6,
        "exchange, s": per_worker(result, "publish_s") + per_worker(result, "receive_s"),
        "evaluate, s": per_worker(result, "evaluate_s"),
        **machine(workers),
    }


def machine(threads: int) -> Figures:
    """Seconds of the same work by so many threads: powers of numbers, and copies of 32 MB."""
    small = [np.full((2, 32_768), 1.3) for _ in range(threads)]
    large = [np.ones((2, 8_000_000), np.float32) for _ in range(threads)]

    def powers(thread: int) -> None:
        for _ in range(POWERS // threads):
            np.power(small[thread][0], 1.7, out=small[thread][1])

    def copies(thread: int) -> None:
        for _ in range(COPIES // threads):
            np.copyto(large[thread][0], large[thread][1])

    seconds = []
    with ThreadPoolExecutor(threads) as pool:
        for work in (powers, copies):
            began = time.perf_counter()
            list(pool.map(work, range(threads)))
            seconds.append(time.perf_counter() - began)
    return dict(zip(LIMITS, seconds, strict=True))


if __name__ == "__main__":
    main()
