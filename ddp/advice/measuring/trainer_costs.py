"""Measures the fields of `Training` about batches and evaluations, with the trainer alone.

| constants | measured as |
|---|---|
| `batch_s`, `parameter_s`, `rating_s`, `element_s` | `fit` to BATCHES (compiled: EPOCHS) |
| `spilled_element_s` | `fit` to BATCHES, of which some are large |
| `evaluation_s`, `evaluated_rating_s`, `evaluated_element_s` | `fit` to PARTS |
| `handoff_s`, `handoff_growth` | batches in 2 and in 4 threads, minus the same batch alone |
| `bandwidth` | large batches in 2 threads |
"""

import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np

from ddp.advice.constants import SPILLING, spilled_bytes
from ddp.advice.measuring.pilot import ITEMS, USERS
from ddp.config.model import Model
from ddp.config.trainer import AutogradTrainer, TrainerOptions
from ddp.model.parameters import Parameters, initial_vector
from ddp.ratings.arrays import Part
from ddp.timing.gil import has_gil
from ddp.timing.spans import Spans
from ddp.trainers.trainer import Best, Trainer, stepping_trainer, trainer_for

RATINGS = 2048  # in an epoch of batches; more if two batches have more
LEAST_S = 0.01  # the least duration of one measurement
# The quantile of the samples that counts (of four the least): the cost when the machine is not slow
QUARTILE = 0.25
BARRIER_TIMEOUT_S = 60.0  # the longest wait until all threads have begun
THREADS_S = 0.05  # the least duration of a measurement with several threads
# (size of the batch, embedding size)
BATCHES = ((128, 8), (128, 256), (1024, 64), (8192, 8), (8192, 64), (2048, 256), (8192, 256))
SPILLED = (8192, 256)
CONTENDED = ((128, 8), (1024, 64))
EPOCHS = ((2_000, 8), (40_000, 8), (40_000, 64), (40_000, 256))  # (ratings, embedding size)
IN_A_LOOP = 10  # compiled epochs in one measurement
PARTS = ((500, 8), (20_000, 8), (20_000, 64), (20_000, 256))


class TrainerCosts:
    """Takes samples of the seconds of one trainer, and computes its constants from them."""

    def __init__(self, options: TrainerOptions, cores: int) -> None:
        self.options, self.cores = options, cores
        trainer_for(options).set_threads(1)
        self.alone: dict[str, Callable[[], object]] = {
            **{f"evaluation {size} {dim}": _evaluation(options, size, dim) for size, dim in PARTS}
        }
        self.beside: dict[str, Callable[[], float]] = {}
        if not isinstance(options, AutogradTrainer):
            self.alone |= {
                f"epochs {size} {dim}": _epochs(options, size, dim) for size, dim in EPOCHS
            }
        else:
            for size, dim in BATCHES:
                self.alone[f"batches {size} {dim}"] = _batches(
                    replace(options, batch_size=size), dim
                )
            for threads in (2, 4) if cores > 1 else ():
                for size, dim in (*CONTENDED, SPILLED) if threads == 2 else CONTENDED:
                    epochs = [
                        _batches(replace(options, batch_size=size), dim) for _ in range(threads)
                    ]
                    for epoch in epochs:
                        epoch()
                    self.beside[f"{threads} threads {size} {dim}"] = partial(
                        _beside_each_other_s, epochs
                    )
        for call in self.alone.values():
            call()
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)

    def sample(self) -> None:
        """Measures everything once."""
        for name, call in self.alone.items():
            self.seconds[name].append(_mean_s(call))
        for name, together_s in self.beside.items():
            self.seconds[name].append(together_s())

    def constants(self) -> dict[str, float]:
        """The fields of `Training` about batches and evaluations."""
        parts = [self._s(f"evaluation {size} {dim}") for size, dim in PARTS]
        factors = fit([(1.0, size, size * dim) for size, dim in PARTS], parts)
        names = ("evaluation_s", "evaluated_rating_s", "evaluated_element_s")
        measured = dict(zip(names, factors, strict=True))
        if isinstance(self.options, AutogradTrainer):
            return measured | self._in_batches()
        epochs = [self._s(f"epochs {size} {dim}") / IN_A_LOOP for size, dim in EPOCHS]
        batch, rating, element = fit([(1.0, size, size * dim) for size, dim in EPOCHS], epochs)
        measured |= {"batch_s": batch, "parameter_s": 0.0, "rating_s": rating, "element_s": element}
        # compiled epochs do not hold the GIL, so no thread hands it over
        nothing = ("spilled_element_s", "bandwidth", "gil_share", "handoff_s", "handoff_growth")
        return measured | dict.fromkeys(nothing, 0.0)

    def _in_batches(self) -> dict[str, float]:
        """The constants about batches, for a trainer that takes them."""
        seconds = {
            (size, dim): self._s(f"batches {size} {dim}") / _num_batches(size)
            for size, dim in BATCHES
        }
        terms = [
            (1.0, (USERS + ITEMS) * (dim + 1), size, size * dim, max(0, size * dim - SPILLING))
            for size, dim in BATCHES
        ]
        batch, parameter, rating, element, spilled = fit(terms, list(seconds.values()))
        return {
            "batch_s": batch,
            "parameter_s": parameter,
            "rating_s": rating,
            "element_s": element,
            "spilled_element_s": spilled,
            "gil_share": float(has_gil()),
            **self._contention(seconds),
        }

    def _contention(self, alone_s: dict[tuple[int, int], float]) -> dict[str, float]:
        """The constants of threads that train beside each other. `alone_s`: seconds of a batch."""
        if self.cores == 1:
            return {"bandwidth": 0.0, "handoff_s": 0.0, "handoff_growth": 0.0}
        handoffs = {threads: self._handoff_s(threads, alone_s) for threads in (2, 4)}
        size, dim = SPILLED
        crowded_s = self._s(f"2 threads {size} {dim}") / _num_batches(size) - handoffs[2]
        bandwidth = 0.0
        if crowded_s > alone_s[SPILLED]:
            # Together they moved two batches in this time, and no less than one thread does alone.
            bandwidth = spilled_bytes(size * dim) * max(2 / crowded_s, 1 / alone_s[SPILLED])
        grows = min(handoffs.values()) > 0
        return {
            "bandwidth": bandwidth,
            "handoff_s": handoffs[2],
            "handoff_growth": max(0.0, float(np.log2(handoffs[4] / handoffs[2]))) if grows else 0.0,
        }

    def _handoff_s(self, threads: int, alone_s: dict[tuple[int, int], float]) -> float:
        """Mean seconds by which a batch takes longer beside other threads, each on its own core."""
        if not has_gil():
            return 0.0
        more = []
        for size, dim in CONTENDED:
            batch_s = self._s(f"{threads} threads {size} {dim}") / _num_batches(size)
            on_own_core_s = batch_s * min(threads, self.cores) / threads
            more.append(max(0.0, on_own_core_s - alone_s[size, dim]))
        return statistics.mean(more)

    def _s(self, name: str) -> float:
        return float(np.quantile(self.seconds[name], QUARTILE, method="lower"))


def fit(terms: Sequence[tuple[float, ...]], seconds: Sequence[float]) -> list[float]:
    """The factors that fit the sums of factor x term to `seconds` best, none below 0.

    `terms`: a tuple for each of `seconds`; the result has a factor for each place of a tuple. The
    best fit has the least sum of squared relative errors.
    """
    rows = np.array(terms) / np.array(seconds)[:, None]
    best, best_error = np.zeros(rows.shape[1]), np.inf
    # There are few terms, so it tries every selection of them.
    for used in product((False, True), repeat=rows.shape[1]):
        columns = np.flatnonzero(used)
        scale = np.abs(rows[:, columns]).max(axis=0) if len(columns) else np.ones(0)
        factors = (
            np.linalg.lstsq(rows[:, columns] / scale, np.ones(len(rows)), rcond=None)[0] / scale
        )
        error = float(((rows[:, columns] @ factors - 1.0) ** 2).sum())
        if (factors >= 0).all() and error < best_error:
            best_error = error
            best = np.zeros(rows.shape[1])
            best[columns] = factors
    return [float(factor) for factor in best]


def _make(options: TrainerOptions, num_ratings: int, dim: int) -> Trainer:
    random, model = np.random.default_rng(0), _model(dim)
    part, trainer = _ratings(num_ratings), stepping_trainer(options)
    order = trainer.arrange(part.users, part.items, USERS, ITEMS, dim, random)
    part = part if order is None else part.take(order)
    return trainer(options, model, part, held_out=(_ratings(0),))


def _ratings(number: int) -> Part:
    random = np.random.default_rng(1)
    users, items = (random.integers(0, size, number).astype(np.int32) for size in (USERS, ITEMS))
    return Part(users=users, items=items, ratings=random.integers(1, 6, number).astype(np.float32))


def _model(dim: int) -> Parameters:
    model = Model(name="small", dim=dim, biases=True, init_std=0.01)
    return Parameters(USERS, ITEMS, dim, vector=initial_vector(model, USERS, ITEMS, 3.0, 0))


def _num_batches(size: int) -> int:
    """The batches in an epoch of batches of this size."""
    return max(2, RATINGS // size)


def _batches(options: AutogradTrainer, dim: int) -> Callable[[], object]:
    """A call that does an epoch of batches."""
    trainer = _make(options, _num_batches(options.batch_size) * options.batch_size, dim)
    return partial(trainer.epoch, np.random.default_rng(2))


def _epochs(options: TrainerOptions, num_ratings: int, dim: int) -> Callable[[], object]:
    """A call that does IN_A_LOOP compiled epochs."""
    trainer = _make(options, num_ratings, dim)
    order, best, spans = np.random.default_rng(2), Best(trainer.parameters.like()), Spans()

    def train() -> None:
        done = 0
        while done < IN_A_LOOP:
            done += len(trainer.epochs(range(done, IN_A_LOOP), order, best, spans))

    return train


def _evaluation(options: TrainerOptions, num_ratings: int, dim: int) -> Callable[[], object]:
    """A call that evaluates a part."""
    model, part = _model(dim), _ratings(num_ratings)
    return lambda: trainer_for(options).evaluate(model, part, (1.0, 5.0))


def _mean_s(call: Callable[[], object]) -> float:
    """Mean CPU seconds of a call, over at least LEAST_S.

    They equal the wall of a thread that has a core to itself, even if other programs run.
    """
    number, began = 0, time.thread_time()
    while time.thread_time() - began < LEAST_S:
        call()
        number += 1
    return (time.thread_time() - began) / number


def _beside_each_other_s(epochs: Sequence[Callable[[], object]]) -> float:
    """The mean wall of an epoch while all these epochs run at once, each in its own thread."""
    walls = [0.0] * len(epochs)
    barrier = threading.Barrier(len(epochs), timeout=BARRIER_TIMEOUT_S)

    def train(thread: int) -> None:
        number = 0
        barrier.wait()
        began = time.perf_counter()
        while number == 0 or time.perf_counter() - began < THREADS_S:
            epochs[thread]()
            number += 1
        walls[thread] = (time.perf_counter() - began) / number

    threads = [threading.Thread(target=train, args=(thread,)) for thread in range(len(epochs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statistics.mean(walls)
