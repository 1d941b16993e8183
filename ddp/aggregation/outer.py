"""The outer optimizer: the aggregator's step from its last aggregate towards a round's mean."""

from collections.abc import Callable

import numpy as np

from ddp.config.aggregation import Averaging
from ddp.model.parameters import Vector


class OuterOptimizer:
    """Takes one step per round along `delta`, the mean of the workers' states minus the aggregate.

    | name | state | step | source |
    |---|---|---|---|
    | momentum | v = beta1 v + delta | lr v | SlowMo; Wang et al., ICLR 2020 (lr: its alpha) |
    | nesterov | v = beta1 v + delta | lr (delta + beta1 v) | DiLoCo; Douillard et al., 2023 |
    | adam | m = beta1 m + (1 - beta1) delta, | lr m / (sqrt(u) + tau) | FedAdam; Reddi et al., |
    |      | u = beta2 u + (1 - beta2) delta^2, | | Adaptive federated optimization, |
    |      | at first u = tau^2 | | ICLR 2021, algorithm 2 |
    """

    def __init__(self, options: Averaging, length: int, state: tuple[Vector, ...] = ()) -> None:
        self.name, self.lr = options.outer, np.float32(options.outer_lr)
        self.beta1, self.beta2 = np.float32(options.outer_beta1), np.float32(options.outer_beta2)
        self.tau = np.float32(options.outer_tau)
        # `first` is v or m, `second` is u. Each step makes new arrays: a restart goes back to older
        # ones.
        self.first: Vector = np.zeros(length, np.float32)
        self.second: Vector = np.full(length if self.name == "adam" else 0, self.tau**2, np.float32)
        if state:
            self.first, self.second = state
        self._steps: dict[str, Callable[[Vector], Vector]] = {
            "momentum": self._momentum,
            "nesterov": self._nesterov,
            "adam": self._adam,
        }

    @property
    def state(self) -> tuple[Vector, ...]:
        """The moments that the next round continues from."""
        return self.first, self.second

    def step(self, delta: Vector) -> Vector:
        """The step to add to the aggregate, float32 (n,)."""
        return self._steps[self.name](delta)

    def _momentum(self, delta: Vector) -> Vector:
        self.first = self.beta1 * self.first + delta
        return self.lr * self.first

    def _nesterov(self, delta: Vector) -> Vector:
        self._momentum(delta)
        step: Vector = self.lr * (delta + self.beta1 * self.first)
        return step

    def _adam(self, delta: Vector) -> Vector:
        first: Vector = self.beta1 * self.first + np.float32(1 - self.beta1) * delta
        second: Vector = self.beta2 * self.second + np.float32(1 - self.beta2) * delta**2
        self.first, self.second = first, second
        root: Vector = np.sqrt(self.second)
        root += self.tau
        return self.lr * self.first / root
