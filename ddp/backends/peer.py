"""The aggregator's record of each worker, and the deadline of a wait for workers."""

import math
import time
from dataclasses import dataclass, field

from ddp.timing.paths import START
from ddp.tracking.messages import EpochDone, Message, Published, Started, WorkerRound


@dataclass(slots=True)
class LastSeen:
    """The last round and phase that a worker reported: for errors about one that died or hangs.

    `round_index`: None before its first round. `phase`: the span that it was about to open.
    """

    first_round: int
    local_epochs: int
    round_index: int | None = None
    phase: str = START

    def note(self, message: Message) -> None:
        """The worker has sent this."""
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
    """Everything that the aggregator's side knows of one worker. Times: `time.perf_counter`."""

    last_seen: LastSeen
    published: int  # the last round that it announced ...
    taken: int  # ... and the last of which its update was gathered
    ready_at: float = 0.0  # when it announced `published`
    late: bool = False  # it was missing when updates were gathered last
    left: int | None = None  # it was dropped, and nobody has taken its update of this round out yet
    finished: bool = False
    began: float = 0.0  # when its start began
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
