"""What a trainer costs, measured with the trainer itself: alone on a core, and beside other threads."""

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from ddp.advice.constants import SPILLING, spilled_bytes
from ddp.options import AutogradTrainer, Model, Trainer
from ddp.parameters import Parameters, initial_vector
from ddp.ratings import Part
from ddp.trainers import Epochs, arrange, evaluate, make_trainer, set_threads

USERS, ITEMS = 943, 1682
RATINGS = 2048  # in an epoch of batches, which has at least two
LEAST_S, REPEATS = 0.02, 7  # one measurement takes at least so long; the median of so many counts
TOGETHER_S = 60.0  # until all have made their first epoch
THREADS_S, THREADS_REPEATS = 0.08, 3  # the same of several threads that train beside each other
BATCHES = ((128, 8), (128, 256), (1024, 64), (8192, 8), (8192, 64), (2048, 256), (8192, 256))  # size of the batch, embedding size
SPILLED = (8192, 256)
CONTENDED = ((128, 8), (1024, 64))
EPOCHS = ((2_000, 8), (40_000, 8), (40_000, 64), (40_000, 256))  # ratings, embedding size
PARTS = ((500, 8), (20_000, 8), (20_000, 64), (20_000, 256))


def measure_trainer(options: Trainer, cores: int) -> dict[str, float]:
    """The fields of `Training` that are not about starting."""
    set_threads(options, 1)
    parts = _alone_s([_evaluation(options, size, dim) for size, dim in PARTS])
    fixed, rating, element = fit([(1.0, size, size * dim) for size, dim in PARTS], parts)
    measured = {"evaluation_s": fixed, "evaluated_rating_s": rating, "evaluated_element_s": element}
    if isinstance(options, AutogradTrainer):
        return measured | _in_batches(options, cores)
    epochs = _alone_s([_epoch(_make(options, size, dim)) for size, dim in EPOCHS])
    batch, rating, element = fit([(1.0, size, size * dim) for size, dim in EPOCHS], epochs)
    measured |= {"batch_s": batch, "parameter_s": 0.0, "rating_s": rating, "element_s": element}
    measured |= {"spilled_element_s": 0.0, "bandwidth": 0.0}
    return measured | {"handoff_s": 0.0, "handoff_growth": 0.0}  # one call an epoch, without the GIL


def _in_batches(options: AutogradTrainer, cores: int) -> dict[str, float]:
    numbers = [max(2, RATINGS // size) for size, _ in BATCHES]  # of batches in an epoch
    trainers = [
        _make(replace(options, batch_size=size), number * size, dim) for (size, dim), number in zip(BATCHES, numbers, strict=True)
    ]
    epochs = _alone_s([_epoch(trainer) for trainer in trainers])
    seconds = {batch: epoch_s / number for batch, epoch_s, number in zip(BATCHES, epochs, numbers, strict=True)}
    terms = [(1.0, (USERS + ITEMS) * (dim + 1), size, size * dim, max(0, size * dim - SPILLING)) for size, dim in BATCHES]
    batch, parameter, rating, element, spilled = fit(terms, list(seconds.values()))
    handoffs = {}
    for threads in (2, 4) if cores > 1 else ():
        more = []
        for size, dim in CONTENDED:
            beside = [_beside_each_other_s(replace(options, batch_size=size), dim, threads) for _ in range(THREADS_REPEATS)]
            batch_s = statistics.median(beside)
            more.append(max(0.0, batch_s * min(threads, cores) / threads - seconds[size, dim]))
        handoffs[threads] = statistics.mean(more)
    bandwidth = 0.0
    if cores > 1:
        size, dim = SPILLED
        both_s = statistics.median(
            _beside_each_other_s(replace(options, batch_size=size), dim, 2) for _ in range(THREADS_REPEATS)
        )
        crowded_s = both_s - handoffs[2]
        num_bytes = spilled_bytes(size * dim)  # of which one thread alone gets as much as it wants
        bandwidth = num_bytes * max(2 / crowded_s, 1 / seconds[SPILLED]) if crowded_s > seconds[SPILLED] else 0.0
    grows = len(handoffs) == 2 and min(handoffs.values()) > 0
    return {
        "batch_s": batch,
        "parameter_s": parameter,
        "rating_s": rating,
        "element_s": element,
        "spilled_element_s": spilled,
        "bandwidth": bandwidth,
        "handoff_s": handoffs.get(2, 0.0),
        "handoff_growth": max(0.0, float(np.log2(handoffs[4] / handoffs[2]))) if grows else 0.0,
    }


def fit(terms: Sequence[tuple[float, ...]], seconds: Sequence[float]) -> list[float]:
    """Factors of the terms, none below 0, for which the relative errors' squares are least."""
    rows = np.array(terms) / np.array(seconds)[:, None]
    best, best_error = np.zeros(rows.shape[1]), np.inf
    for used in product((False, True), repeat=rows.shape[1]):  # few terms: all ways to leave some out
        columns = np.flatnonzero(used)
        scale = np.abs(rows[:, columns]).max(axis=0) if len(columns) else np.ones(0)
        factors = np.linalg.lstsq(rows[:, columns] / scale, np.ones(len(rows)), rcond=None)[0] / scale
        error = float(((rows[:, columns] @ factors - 1.0) ** 2).sum())
        if (factors >= 0).all() and error < best_error:
            best_error = error
            best = np.zeros(rows.shape[1])
            best[columns] = factors
    return [float(factor) for factor in best]


def _make(options: Trainer, num_ratings: int, dim: int) -> Epochs:
    random = np.random.default_rng(0)
    part = arrange(options, dim, _ratings(num_ratings), slice(0, USERS), slice(0, ITEMS), random)
    return make_trainer(options, _model(dim), part)


def _ratings(number: int) -> Part:
    random = np.random.default_rng(1)
    users, items = (random.integers(0, size, number).astype(np.int32) for size in (USERS, ITEMS))
    return Part(users=users, items=items, ratings=random.integers(1, 6, number).astype(np.float32))


def _model(dim: int) -> Parameters:
    model = Model(name="small", dim=dim, biases=True, init_std=0.01)
    return Parameters(USERS, ITEMS, dim, vector=initial_vector(model, USERS, ITEMS, 3.0, 0))


def _epoch(trainer: Epochs) -> Callable[[], object]:
    order = np.random.default_rng(2)
    return lambda: trainer.epoch(order)


def _evaluation(options: Trainer, num_ratings: int, dim: int) -> Callable[[], object]:
    model, part = _model(dim), _ratings(num_ratings)
    return lambda: evaluate(options, model, part, 1.0, 5.0)


def _alone_s(calls: Sequence[Callable[[], object]]) -> list[float]:
    """CPU seconds of each call, in the mean over at least LEAST_S; the median of REPEATS. All in turn, so that a moment in which
    the machine is slow is not that of one of them.

    (Of a thread that has a core these are the wall; where other programs run, too, they still are what it would be.)
    """
    for call in calls:
        call()
    spent = [[_mean_s(call) for call in calls] for _ in range(REPEATS)]
    return [statistics.median(seconds) for seconds in zip(*spent, strict=True)]


def _mean_s(call: Callable[[], object]) -> float:
    number, began = 0, time.thread_time()
    while time.thread_time() - began < LEAST_S:
        call()
        number += 1
    return (time.thread_time() - began) / number


def _beside_each_other_s(options: AutogradTrainer, dim: int, threads: int) -> float:
    """Wall of a batch when so many threads train, each its own model."""
    number = max(2, RATINGS // options.batch_size)
    trainers = [_make(options, number * options.batch_size, dim) for _ in range(threads)]
    walls = [0.0] * threads
    barrier = threading.Barrier(threads, timeout=TOGETHER_S)

    def train(thread: int) -> None:
        epoch, epochs = _epoch(trainers[thread]), 0
        epoch()
        barrier.wait()
        began = time.perf_counter()
        while epochs == 0 or time.perf_counter() - began < THREADS_S:
            epoch()
            epochs += 1
        walls[thread] = (time.perf_counter() - began) / (epochs * number)

    workers = [threading.Thread(target=train, args=(thread,)) for thread in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return statistics.mean(walls)
