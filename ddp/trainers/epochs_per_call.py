"""Chooses the number of epochs in one compiled call. It imports no numba."""

import math

TOGETHER_S = 0.01  # the Python code around a call takes 0.1 ms: 1 % of this


class EpochsPerCall:
    """Puts as many epochs into a call as take about TOGETHER_S, judged by the last call.

    So the Python code around a call, with its messages and its account, costs little even where an
    epoch takes 0.3 ms. An epoch that takes longer than TOGETHER_S gets a call of its own.
    """

    def __init__(self) -> None:
        self._epoch_s = math.inf

    def choose(self, left: int) -> int:
        """The number of epochs for the next call, at least 1. `left`: those that remain."""
        return max(1, min(left, int(TOGETHER_S / self._epoch_s)))

    def took(self, number: int, seconds: float) -> None:
        """Notes that the last call did `number` epochs in `seconds`."""
        self._epoch_s = seconds / number
