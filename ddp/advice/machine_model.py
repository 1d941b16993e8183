"""How fast work goes when several workers share cores, one GIL and the bandwidth of RAM.

Alone, work does one second of itself per second. Beside other work its rate falls in this order:

| shared thing | effect on the rate |
|---|---|
| cores | divided by works / cores, if there are more works than cores |
| GIL, hand-overs | divided by 1 + batches per second x `handoff` seconds |
| GIL, held | divided by the seconds per second that all works hold it, if they are more than 1 |
| bandwidth | divided by the bytes of all works / `bandwidth`, if that is more than 1 |

The last two slow down only work that holds the GIL, or that moves bytes through RAM.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Nature(NamedTuple):
    """The demands of some work, each per second that the work takes alone.

    | field | meaning |
    |---|---|
    | `batches` | batches that compete for the GIL |
    | `held_s` | seconds in which it holds the GIL |
    | `num_bytes` | bytes that it moves through RAM |

    Works of the same nature go at the same rate.
    """

    batches: float
    held_s: float
    num_bytes: float


class Rates(NamedTuple):
    """The seconds of itself that work does per second; 1 alone.

    | field | after the effect of |
    |---|---|
    | `on_core` | the cores |
    | `with_gil` | the cores and the GIL |
    | `in_all` | the cores, the GIL and the bandwidth |
    """

    on_core: float
    with_gil: float
    in_all: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The resources that workers share. `bandwidth`: of RAM, in bytes per second.

    A batch takes `handoff_s` longer when two threads compete for the GIL, because each torch kernel
    in it releases the GIL and takes it again. With n threads it takes
    `(n / 2) ** handoff_growth` x `handoff_s` longer. On one core a hand-over is free: no thread
    wakes up while another one runs.
    """

    cores: int
    bandwidth: float = float("inf")
    handoff_s: float = 0.0
    handoff_growth: float = 0.0

    def handoff(self, threads: int) -> float:
        """The seconds that a batch takes longer when so many threads train batches."""
        if threads <= 1 or self.cores <= 1:
            return 0.0
        growth: float = (threads / 2) ** self.handoff_growth
        return self.handoff_s * growth

    def rates(self, works: Sequence[tuple[int, Nature]]) -> list[Rates]:
        """The rates of works that go on at the same time. `works`: (how many, their nature)."""
        share = min(1.0, self.cores / max(sum(size for size, _ in works), 1))
        handoff_s = self.handoff(sum(size for size, nature in works if nature.batches > 0))
        with_gil = [share / (1.0 + handoff_s * nature.batches) for _, nature in works]
        held = sum(
            size * rate * nature.held_s
            for rate, (size, nature) in zip(with_gil, works, strict=True)
        )
        if held > 1.0:  # in a second, all threads together hold the GIL for a second at most
            with_gil = [
                rate / held if nature.held_s > 0 else rate
                for rate, (_, nature) in zip(with_gil, works, strict=True)
            ]
        traffic = sum(
            size * rate * nature.num_bytes
            for rate, (size, nature) in zip(with_gil, works, strict=True)
        )
        crowded = max(1.0, traffic / self.bandwidth)
        return [
            Rates(share, rate, rate / crowded if nature.num_bytes > 0 else rate)
            for rate, (_, nature) in zip(with_gil, works, strict=True)
        ]
