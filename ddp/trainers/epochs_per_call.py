"""How many epochs one compiled call is given. Needs no numba."""

import math

TOGETHER_S = 0.01  # Python's part around a call takes a tenth of a millisecond


class EpochsPerCall:
    """As many epochs as take about TOGETHER_S, judged by the last call. So Python, with its messages
    and its account, costs little also where an epoch takes 0.3 ms. A longer epoch comes alone.
    """

    def __init__(self) -> None:
        self._epoch_s = math.inf

    def choose(self, left: int) -> int:
        """The number of epochs for the next call, of those that are left; at least 1."""
        return max(1, min(left, int(TOGETHER_S / self._epoch_s)))

    def took(self, number: int, seconds: float) -> None:
        """The last call did so many epochs in so many seconds."""
        self._epoch_s = seconds / number
