"""How many epochs a compiled loop is given at once."""

import math

TOGETHER_S = 0.01  # what Python does around a loop takes a tenth of a millisecond


class Pace:
    """As many epochs as take about a hundredth of a second, by those before: so that Python, with
    its messages and its account, costs little also where an epoch takes 0.3 ms. A longer epoch
    comes alone.
    """

    def __init__(self) -> None:
        self._epoch_s = math.inf

    def epochs(self, left: int) -> int:
        """How many of those that are left."""
        return max(1, min(left, int(TOGETHER_S / self._epoch_s)))

    def took(self, number: int, seconds: float) -> None:
        """So many epochs took so long."""
        self._epoch_s = seconds / number
