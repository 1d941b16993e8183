"""What workers and the aggregator say about themselves: small rows, never states.

Workers hand these over; only the parent process writes them anywhere.
"""

from dataclasses import dataclass, field

from ddp.errors import WorkerError
from ddp.machine.memory import Memory
from ddp.timing.spans import Account
from ddp.tracking.metrics import SquaredError


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A worker process is up, and asks for its job."""

    worker: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A worker is about to train. `startup_s`: from the moment the parent began to start it, with
    its account.
    """

    worker: int
    startup_s: float
    account: Account = field(default_factory=Account)


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochDone:
    """A worker is done with the epochs of a round up to this one. Of short ones only every so
    many-th is told, and the last.
    """

    worker: int
    round_index: int
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    worker: int
    round_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOn:
    """A worker is done with a group of items, whose turn `turn` may begin (split=stratified, where
    there are no gates).
    """

    worker: int
    group: int
    turn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRound:
    """A worker's round. `valid` and `test`: the best state's errors on the worker's own parts;
    `best_epoch`: which it was; `train_loss`: mean squared error of the last epoch;
    `aggregate_received`: False = it went on with its own model.
    """

    worker: int
    round_index: int
    train_loss: float
    valid: SquaredError
    test: SquaredError
    best_epoch: int
    aggregate_received: bool
    account: Account = field(default_factory=Account)


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregateRound:
    """The aggregate of a round: its errors on the global parts, and the weight of each worker
    (stratified: all equal), 0 for one that was dropped or late. `ready_s`: how long each had
    been ready when the last one was, None for the same.
    """

    round_index: int
    valid: SquaredError
    test: SquaredError
    weights: tuple[float, ...]
    elapsed_s: float
    ready_s: tuple[float | None, ...] = ()
    account: Account = field(default_factory=Account)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A worker has done its last round. `memory`: of the process that it ran in; `account`: of what
    came after the round; `at_s`: when that ends, on the clock of `time.perf_counter`, which all
    processes of a machine share.
    """

    worker: int
    memory: Memory
    account: Account = field(default_factory=Account)
    at_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    error: WorkerError

    @property
    def worker(self) -> int:
        """Whose message it is."""
        return self.error.worker


Message = Asking | Started | EpochDone | Published | HandedOn | WorkerRound | Finished | Failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What a worker did not survive, and what was done about it: "abort", "drop" or "restart"."""

    worker: int
    round_index: int | None
    phase: str | None
    reason: str
    exit_code: int | None
    action: str
    traceback: str

    @classmethod
    def of(cls, error: WorkerError, action: str) -> "Failure":
        """From the error."""
        return cls(
            worker=error.worker,
            round_index=error.round_index,
            phase=error.phase,
            reason=error.reason,
            exit_code=error.exit_code,
            action=action,
            traceback=error.remote_traceback,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """RMSEs of the one worker after the last round."""

    valid: float
    test: float
