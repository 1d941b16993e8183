"""The outer optimizer: what the aggregator does with the change that a round's mean makes to the
state.
"""

from collections.abc import Callable

import numpy as np

from ddp.config.options import Aggregation
from ddp.model.parameters import Vector


class OuterOptimizer:
    """A step per round, from `delta`, the mean of the workers' states minus the state that they
    started from.

    momentum: v = beta1 v + delta, step = lr v (SlowMo; Wang et al., ICLR 2020, with its alpha as
    lr). nesterov: v = beta1 v + delta, step = lr (delta + beta1 v) (DiLoCo; Douillard et al.,
    2023). adam: m = beta1 m + (1 - beta1) delta, u = beta2 u + (1 - beta2) delta^2, step = lr m /
    (sqrt(u) + tau), u = tau^2 at first (FedAdam; Reddi et al., Adaptive federated optimization,
    ICLR 2021, algorithm 2).
    """

    def __init__(self, options: Aggregation, length: int, state: tuple[Vector, ...] = ()) -> None:
        self.name, self.lr = options.outer, np.float32(options.outer_lr)
        self.beta1, self.beta2 = np.float32(options.outer_beta1), np.float32(options.outer_beta2)
        self.tau = np.float32(options.outer_tau)
        # v or m, and u. New arrays after each step: whoever goes back to a round still has those of
        # then.
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
        """The moments that it keeps from round to round."""
        return self.first, self.second

    def step(self, delta: Vector) -> Vector:
        """What is to be added to the state, float32 (n,)."""
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
