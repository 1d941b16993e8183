"""The samples of a run whose aggregate is a mean of samples (trainer=gibbs)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ddp.model.parameters import Vector
from ddp.model.sweeping import Sweeping
from ddp.ratings.arrays import Doubles
from ddp.ratings.row_blocks import SIDES, padded
from ddp.tracking.metrics import SquaredError

MIN_SERIES = 4


@dataclass(frozen=True, slots=True)
class Sample:
    """A model of the chain: the state after a round, and the noise then.

    `vector` has its rows in the order of the data, and so have the `trusts` of users and of items.
    """

    round_index: int
    precision: float
    vector: Vector
    trusts: tuple[Vector, Vector]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """All that the next epoch of a Markov chain depends on, besides the last sample.

    The fields are those of `Sweeping`. Rows, features and blocks have the numbers of the workers.
    """

    precision: float
    trusts: tuple[Vector, Vector]
    weights: tuple[Vector, Vector]
    sums: Doubles
    strengths: tuple[float, float]
    spreads: tuple[float, float]

    def copy(self) -> "Chain":
        """The same, with arrays of its own."""
        users, items = self.trusts
        of_users, of_items = self.weights
        return replace(
            self,
            trusts=(users.copy(), items.copy()),
            weights=(of_users.copy(), of_items.copy()),
            sums=self.sums.copy(),
        )

    def take_over(self, told: Vector, sweeping: Sweeping, worker: int) -> None:
        """Writes the floats that a worker has told (`Sweeping.num_told`) to their places here."""
        start = 0
        for side in SIDES:
            first, stop = sweeping.blocks.blocks(side, worker)
            for array in (
                self.trusts[side][sweeping.blocks.rows(side, worker)],
                self.weights[side][sweeping.features(side, worker)],
                self.sums[side, first:stop].view(np.float32),
            ):
                array[...] = told[start : start + array.size].reshape(array.shape)
                start += array.size

    def with_facts(self, facts: Sequence[float]) -> "Chain":
        """The same with these strengths and spreads, which all workers have drawn alike."""
        users, items, spread_of_users, spread_of_items = facts
        return replace(self, strengths=(users, items), spreads=(spread_of_users, spread_of_items))


@dataclass(frozen=True, slots=True, kw_only=True)
class Posterior:
    """The samples so far.

    | field         | meaning                                                                    |
    |---------------|----------------------------------------------------------------------------|
    | `chain`       | the state that the next epoch begins with                                  |
    | `precisions`  | that of each sample: there is one for each epoch after the burn-in         |
    | `predictions` | the sums of the samples' predictions for the validation and the test part, |
    |               | float64, those of the validation part first                                |
    | `samples`     | those that the saved model will hold                                       |
    | `stride`      | rounds from one of these to the next                                       |
    """

    chain: Chain
    precisions: tuple[float, ...]
    predictions: Doubles
    samples: tuple[Sample, ...] = ()
    stride: int = 1

    @property
    def precision(self) -> float:
        """Of the noise after the last epoch."""
        return self.chain.precision

    @property
    def count(self) -> int:
        """The number of samples."""
        return len(self.precisions)

    @property
    def effective(self) -> float:
        """The number of independent samples that are worth as much, by the precisions."""
        return effective_size(self.precisions)

    @property
    def drift(self) -> float | None:
        """How far the chain is from one that has settled, by the precisions: see `drift_of`."""
        return drift_of(self.precisions)

    def errors(self, valid: Vector, test: Vector) -> tuple[SquaredError, SquaredError]:
        """The errors of the mean predictions against the ratings of both parts."""
        mean = self.predictions / self.count
        differences = mean[: len(valid)] - valid, mean[len(valid) :] - test
        found, of_test = (
            SquaredError(float(np.square(each).sum()), len(each)) for each in differences
        )
        return found, of_test

    def with_sample(self, sample: Sample, most: int) -> "Posterior":
        """Keeps the sample if its round is due, so that at most `most` are kept.

        If they become more, every second one goes, and the stride doubles.
        """
        samples, stride = self.samples, self.stride
        if sample.round_index % stride == 0:
            samples = (*samples, sample)
        if len(samples) > most:
            stride *= 2
            samples = tuple(kept for kept in samples if kept.round_index % stride == 0)
        return replace(self, samples=samples, stride=stride)


def effective_size(series: Sequence[float]) -> float:
    """The effective sample size of a series of numbers of a Markov chain.

        n / (1 + 2 sum_k rho_k),   rho_k: the autocorrelation at lag k

    The sum ends before the first pair of lags whose sum is not positive (Geyer, Practical Markov
    chain Monte Carlo, 1992). A series of fewer than 4 numbers has its length.
    """
    values = np.asarray(series, np.float64)
    values = values - values.mean() if len(values) else values
    variance = float(np.square(values).mean()) if len(values) else 0.0
    if len(values) < MIN_SERIES or variance == 0.0:
        return float(len(values))
    total = 1.0
    for lag in range(1, len(values) - 1, 2):
        pair = sum(
            float((values[k:] * values[:-k]).sum()) / len(values) / variance for k in (lag, lag + 1)
        )
        if pair <= 0:
            break
        total += 2 * pair
    return min(len(values) / total, float(len(values)))


def drift_of(series: Sequence[float]) -> float | None:
    """The mean of the second half of a series less that of the first, in standard errors.

        (mean of b - mean of a) / sqrt(variance of a / n_a + variance of b / n_b)

    n_a, n_b: the effective sample sizes of the halves. Geweke compares parts of a chain likewise
    (Evaluating the accuracy of sampling-based approaches, 1992). A straight line has 4.15, or
    -4.15, whatever its length; a series that only begins elsewhere has less. None for fewer than 8
    numbers, and for halves of equal numbers.
    """
    values = np.asarray(series, np.float64)
    half = len(values) // 2
    halves = values[:half], values[len(values) - half :]
    if half < MIN_SERIES or not any(float(np.ptp(each)) for each in halves):
        return None
    squares = sum(float(each.var()) / effective_size(each.tolist()) for each in halves)
    return float(halves[1].mean() - halves[0].mean()) / math.sqrt(squares)


def no_samples(num_held_out: int, sweeping: Sweeping, dim: int) -> Posterior:
    """The beginning of a chain."""
    users, items = (np.ones(number, np.float32) for number in sweeping.num_rows)
    of_users, of_items = (
        np.zeros((0 if known is None else known.num_features, padded(dim)), np.float32)
        for known in sweeping.known
    )
    sides, _, blocks, length = sweeping.sums_shape(dim)
    chain = Chain(
        precision=0.0,
        trusts=(users, items),
        weights=(of_users, of_items),
        sums=np.zeros((sides, blocks, length)),
        strengths=sweeping.strengths,
        spreads=sweeping.spreads,
    )
    return Posterior(chain=chain, precisions=(), predictions=np.zeros(num_held_out))
