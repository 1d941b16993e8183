"""How fast work goes when several workers share cores, one GIL and the bandwidth of RAM."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Nature(NamedTuple):
    """The demands of some work, each per second that the work takes alone.

    | field | meaning |
    |---|---|
    | `steps` | how often it asks for the GIL |
    | `held_s` | seconds in which it holds the GIL |
    | `num_bytes` | bytes that it moves through RAM |

    Work of the same nature goes at the same rate.
    """

    steps: float
    held_s: float
    num_bytes: float


class Rates(NamedTuple):
    """The seconds of work that get done in a second, as each shared thing slows the work down.

    | field | slowed down by |
    |---|---|
    | `on_core` | the cores: the share of a core that the work gets |
    | `with_gil` | the cores and the GIL |
    | `in_all` | the cores, the GIL and the bandwidth |
    """

    on_core: float
    with_gil: float
    in_all: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The resources that workers share. `bandwidth`: of RAM, in bytes per second.

    A step (a batch) costs `handoff_s` more when two threads compete for the GIL, because each torch
    kernel releases it and takes it again. With n threads a step costs `(n / 2) ** handoff_growth`
    times that. On one core a hand-over is free: no thread wakes up while another one runs.
    """

    cores: int
    bandwidth: float = float("inf")
    handoff_s: float = 0.0
    handoff_growth: float = 0.0

    def handoff(self, threads: int) -> float:
        """The seconds that a step takes longer when so many threads take steps."""
        if threads <= 1 or self.cores <= 1:
            return 0.0
        growth: float = (threads / 2) ** self.handoff_growth
        return self.handoff_s * growth

    def rates(self, works: Sequence[tuple[int, Nature]]) -> list[Rates]:
        """The rates of works that go on at the same time, given as (how many, nature)."""
        share = min(1.0, self.cores / max(sum(size for size, _ in works), 1))
        handoff_s = self.handoff(sum(size for size, nature in works if nature.steps > 0))
        with_gil = [share / (1.0 + handoff_s * nature.steps) for _, nature in works]
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
