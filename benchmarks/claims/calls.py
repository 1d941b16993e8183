"""Times of single calls: a write and a round of exchange, for states of 8 kB to 64 MB.

Each figure is a mean over the calls of one measurement. `measure_calls` runs everything in a
process without a main module: else each of its processes would first import the benchmark.
"""

import json
import multiprocessing
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from benchmarks.exchange.rounds import ROUND, exchange, prepared
from benchmarks.harness import Figures
from benchmarks.headline import JOB, TRAINERS
from benchmarks.train_runs import REPOSITORY, compose_config
from ddp.backends.manager import ManagerStore
from ddp.backends.store import worker_key
from ddp.backends.thread import ThreadExchange, Threads
from ddp.model.parameters import Parameters, Vector
from ddp.ratings.arrays import Part
from ddp.timing.spans import Spans
from ddp.workers.exchange import Update

JOB_FLOATS = 87_000  # MovieLens 100K with embedding size 32
WRITE_FLOATS = (2_000, 20_000, JOB_FLOATS, 1_000_000, 4_000_000, 16_000_000)
COPY_FLOATS = (2_000, 20_000, JOB_FLOATS, 1_000_000)
ROUND_FLOATS = {
    "thread": (2_000, JOB_FLOATS, 1_000_000),
    "process": (JOB_FLOATS, 1_000_000, 16_000_000),
}
OTHERS = (0, 1, 4)  # threads that train beside the one that writes
TIMEOUT_S = 600.0  # of one write
WORKERS = 5  # in a round of exchange, as in the seed systems
FLOATS_TO_MOVE = 8_000_000  # in all writes of a measurement, about
THREAD_WRITES = 60
REFERENCES = 100  # at a time: one takes no longer than reading the clock
PAUSE_S = 0.002  # before each write, so that the threads beside it train
# of a thread that trains: a fifth of MovieLens 100K
TRAINED_RATINGS, USERS, ITEMS = 16_000, 943, 1682
POLLING = ("backend.poll_interval_s=0.2", "aggregation=rows")
SEND = "import sys; from benchmarks.claims.calls import send; send(*map(int, sys.argv[1:]))"


def size_mb(floats: int) -> float:
    """Size of a state, MB."""
    return floats * 4 / 1e6


def call_name(what: str, floats: int, others: int = 0) -> str:
    """The name of a figure.

    `what`: "reference", "copy", "manager", "thread round", "process round, polling" ...
    """
    beside = f" beside {others}" if others else ""
    return f"{what} of {size_mb(floats):g} MB{beside}, ms"


def measure_calls(rounds: int = 10) -> Figures:
    """Measures everything here once. `rounds`: rounds of exchange of small states."""
    command = [sys.executable, "-c", SEND, str(rounds)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def send(rounds: int) -> None:
    """Prints all figures as JSON."""
    print(json.dumps(manager_writes() | thread_writes() | exchanges(rounds)))


def manager_writes(sizes: Sequence[int] = WRITE_FLOATS) -> dict[str, float]:
    """Times of one entry of a `Manager().dict()`: a vector, which the proxy pickles."""
    manager = ManagerStore(multiprocessing.get_context("spawn"), TIMEOUT_S, lambda: 0)

    def write(vector: Vector) -> None:
        manager.proxy["w0_r0_best"] = vector

    manager.start()
    try:
        figures = {}
        for floats in sizes:
            call, number = (
                partial(write, np.ones(floats, np.float32)),
                min(50, max(2, FLOATS_TO_MOVE // floats)),
            )
            call()
            figures[call_name("manager", floats)] = _mean_ms(call, number)
        return figures
    finally:
        manager.stop()


def thread_writes(
    sizes: Sequence[int] = COPY_FLOATS, others: Sequence[int] = OTHERS
) -> dict[str, float]:
    """Times of two writes of a thread: a reference, and a copy.

    The claim is about a reference put into a dict under a lock. Threads of ddp write four entries,
    with a copy of the state: the worker goes on with the state itself. Each is measured alone, and
    for the state of the seed job also beside others that train.
    """
    figures = {}
    for number in others:
        with training(number):
            for floats in sizes if number == 0 else (JOB_FLOATS,):
                figures[call_name("copy", floats, number)] = _mean_ms(
                    _publishing(floats), THREAD_WRITES
                )
            figures[call_name("reference", JOB_FLOATS, number)] = (
                _mean_ms(_references, THREAD_WRITES) / REFERENCES
            )
    return figures


def _references() -> None:
    shared: dict[str, Any] = {}
    lock, state = threading.Lock(), np.ones(1, np.float32)
    for _ in range(REFERENCES):
        with lock:
            shared["w0_r0_best"] = state


def _publishing(floats: int) -> Callable[[], None]:
    """The worker's end of ddp's threads, which publishes to nobody."""
    run = prepared("thread", floats, 1, 1)
    options: Any = run.config.backend
    threads = Threads(options, run, run.make_jobs(), lambda _: None)
    end = ThreadExchange(threads, 0, Spans())
    update = Update(worker=0, round_index=0, vector=run.vector, rmse=1.0, loss=1.0)

    def publish() -> None:
        end.publish(update)
        # an aggregate would bring the slot back
        threads.peers[0].slots.append(threads.shared[worker_key(0, 0, "best")])

    publish()  # the first one allocates
    return publish


@contextmanager
def training(number: int) -> Iterator[None]:
    """Threads that train with torch (batch 1024) while the block runs."""
    import torch

    from ddp.trainers.autograd import Autograd

    torch.set_num_threads(1)
    config = compose_config((*JOB, *TRAINERS["autograd"], "backend=thread"))
    random, ending = np.random.default_rng(0), threading.Event()
    begun = threading.Barrier(number + 1)
    options: Any = config.trainer

    def train(trainer: Autograd, order: np.random.Generator) -> None:
        trainer.epoch(order)  # the first one allocates
        begun.wait()
        while not ending.is_set():
            trainer.epoch(order)

    def make() -> Autograd:
        users, items = (
            random.integers(0, count, TRAINED_RATINGS).astype(np.int32) for count in (USERS, ITEMS)
        )
        ratings = random.integers(1, 6, TRAINED_RATINGS).astype(np.float32)
        parameters = Parameters(USERS, ITEMS, config.model.dim)
        return Autograd(options, parameters, Part(users=users, items=items, ratings=ratings))

    threads = [
        threading.Thread(target=train, args=(make(), np.random.default_rng(worker)))
        for worker in range(number)
    ]
    for thread in threads:
        thread.start()
    try:
        begun.wait()
        yield
    finally:
        ending.set()
        for thread in threads:
            thread.join()


def exchanges(rounds: int) -> dict[str, float]:
    """Times of a worker's round of exchange: notified for all sizes, and with polling.

    The polling is that of the seed systems.
    """
    figures = {}
    for backend, sizes in ROUND_FLOATS.items():
        # the start of workers is not measured
        more = ("backend.start_method=forkserver",) if backend == "process" else ()
        for floats in sizes:
            number = max(2, min(rounds, FLOATS_TO_MOVE // floats))
            measured = exchange(backend, floats, WORKERS, number, *more)
            figures[call_name(f"{backend} round", floats)] = measured[ROUND]
        polled = exchange(backend, JOB_FLOATS, WORKERS, 3, *more, *POLLING)
        figures[call_name(f"{backend} round, polling", JOB_FLOATS)] = polled[ROUND]
    return figures


def _mean_ms(call: Callable[[], object], number: int) -> float:
    """The mean over so many calls, each after a pause."""
    total_s = 0.0
    for _ in range(number):
        time.sleep(PAUSE_S)
        began = time.perf_counter()
        call()
        total_s += time.perf_counter() - began
    return total_s / number * 1e3
