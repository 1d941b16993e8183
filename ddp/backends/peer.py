"""The aggregator's record of each worker, and the deadline of a wait for workers."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ddp.timing.paths import START
from ddp.tracking.messages import EpochDone, Message, Published, Started, WorkerRound
from ddp.workers.exchange import Update


@dataclass(slots=True)
class LastSeen:
    """The last round and phase that a worker reported, for the error if it dies or hangs.

    `round_index`: None before its first round. `phase`: the span that it was about to open.
    """

    first_round: int
    local_epochs: int
    round_index: int | None = None
    phase: str = START

    def note(self, message: Message) -> None:
        """Takes over the round and the phase from a message of the worker."""
        match message:
            case Started():
                self.round_index, self.phase = self.first_round, "compute"
            case EpochDone(round_index=round_index, epoch=epoch):
                is_last = epoch == self.local_epochs - 1
                self.round_index, self.phase = round_index, "publish" if is_last else "compute"
            case Published(round_index=round_index):
                self.round_index, self.phase = round_index, "wait"
            case WorkerRound(round_index=round_index):
                self.round_index, self.phase = round_index + 1, "compute"


@dataclass(slots=True, kw_only=True)
class Peer:
    """The record of one worker.

    | field       | meaning                                                                        |
    |-------------|--------------------------------------------------------------------------------|
    | `published` | the round of the last update that it announced                                 |
    | `taken`     | the round of the last update of it that was gathered                           |
    | `ready_at`  | the moment at which it announced `published`                                   |
    | `late`      | True: the last gathering went on without it                                    |
    | `left`      | the round of the update of a dropped worker, until an aggregate has the update |
    | `finished`  | True: it has sent its last message                                             |
    | `began`     | the moment at which its start began                                            |
    | `ended`     | the moment at which it had ended; None before                                  |

    Moments are readings of `time.perf_counter`.
    """

    last_seen: LastSeen
    published: int
    taken: int
    ready_at: float = 0.0
    late: bool = False
    left: int | None = None
    finished: bool = False
    began: float = 0.0
    ended: float | None = None


@dataclass(slots=True)
class Deadline:
    """The end of a wait: `timeout_s` from now, or `patience_s` after enough workers have come."""

    timeout_s: float
    patience_s: float | None = None
    _at: float = field(init=False)
    _patient_until: float = math.inf

    def __post_init__(self) -> None:
        self._at = time.monotonic() + self.timeout_s

    def remaining_s(self, *, enough: bool) -> float:
        """Seconds that are left; 0 if the wait is over. `enough`: enough workers are there."""
        now = time.monotonic()
        if enough and self.patience_s is not None:
            self._patient_until = min(self._patient_until, now + self.patience_s)
        return max(0.0, min(self._at, self._patient_until) - now)

    @property
    def is_past(self) -> bool:
        """True once `timeout_s` has passed."""
        return time.monotonic() >= self._at


def ready_s(
    peers: Mapping[int, Peer], updates: Sequence[Update], num_workers: int
) -> tuple[float | None, ...]:
    """How many seconds each worker's update was ready before the last one; None: it has none."""
    now, ready = time.perf_counter(), {}
    for update in updates:
        peer = peers[update.worker]
        # Polling finds an update before its message comes.
        ready[update.worker] = peer.ready_at if peer.published >= update.round_index else now
    last = max(ready.values(), default=0.0)
    return tuple(last - ready[worker] if worker in ready else None for worker in range(num_workers))
