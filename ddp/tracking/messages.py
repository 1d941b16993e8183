"""Events of a run: rows about workers and the aggregate, never their states.

A worker sends the messages. The parent process adds the other events, and tells every tracker.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ddp.errors import WorkerError
from ddp.machine.memory import Memory
from ddp.timing.account import Account
from ddp.tracking.metrics import Ranked, SquaredError
from ddp.tracking.sampled import Sampled


class Event:
    """Base of all events that a tracker gets."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Message(Event):
    """Base of the events that a worker sends to the parent process."""

    worker: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking(Message):
    """A worker process is up, and asks for its job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Message):
    """A worker is about to train.

    `startup_s`: seconds since the parent began to start it. `account`: where they went.
    """

    startup_s: float
    account: Account = field(default_factory=Account)


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochDone(Message):
    """A worker has done the epochs of a round up to this one.

    It reports the last epoch of a round. Of the epochs before it, short ones are reported several
    at a time.
    """

    round_index: int
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Published(Message):
    """A worker has published its update of a round."""

    round_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOn(Message):
    """A worker has passed rows on: the counter `group` (ddp/backends/progress.py) is at `turn`."""

    group: int
    turn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRound(Message):
    """A worker has done a round.

    | field                | meaning                                                              |
    |----------------------|----------------------------------------------------------------------|
    | `train_loss`         | mean squared error of the last epoch                                 |
    | `valid`, `test`      | errors of the best state on the worker's own parts                   |
    | `best_epoch`         | the epoch after which that state was the worker's                    |
    | `aggregate_received` | False: no aggregate came in time, the worker kept its own model      |
    | `account`            | where the seconds of the round went                                  |
    """

    round_index: int
    train_loss: float
    valid: SquaredError
    test: SquaredError
    best_epoch: int
    aggregate_received: bool
    account: Account = field(default_factory=Account)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished(Message):
    """A worker has done its last round.

    `memory`: the RAM of its process. `account`: the seconds after the round. `at_s`: the end of
    that account, a reading of `time.perf_counter`, a clock that all processes of a machine share.
    """

    memory: Memory
    account: Account = field(default_factory=Account)
    at_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Message):
    """A worker has failed. The event `Failure` follows, with the run's reaction."""

    error: WorkerError


@dataclass(frozen=True, slots=True)
class Preparing(Event):
    """The ratings are not there yet. The fields are those of `Tell` in ddp/ratings/telling.py."""

    doing: str
    done: int = 0
    total: int | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingsRead(Event):
    """The ratings are there. `lines`: a label and a text each, see ddp/ratings/description.py."""

    lines: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingBegan(Event):
    """The parent begins to start workers.

    `torch_threads`: intra-op threads of its process; None: the trainer does not use torch.
    `num_ratings`: worker -> the number that it visits in a local epoch.
    """

    torch_threads: int | None
    num_ratings: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideRounds(Event):
    """The seconds of the parent process before, between and after rounds."""

    account: Account


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregateRound(Event):
    """The parent has evaluated the aggregate of a round.

    | field           | meaning                                                                   |
    |-----------------|---------------------------------------------------------------------------|
    | `valid`, `test` | its errors on the global parts                                            |
    | `weights`       | of each worker (stratified: all equal); 0 for a dropped or a late one     |
    | `elapsed_s`     | seconds of training up to here, those of resumed runs included            |
    | `lr`            | the learning rate of the round's first epoch; NaN: unknown                |
    | `ready_s`       | how long each worker had been ready when the last one was; None: unknown  |
    | `sampled`       | the Markov chain; None for a trainer that does not sample                 |
    | `account`       | where the seconds of the aggregator's round went                          |
    """

    round_index: int
    valid: SquaredError
    test: SquaredError
    weights: tuple[float, ...]
    elapsed_s: float
    lr: float = math.nan
    ready_s: tuple[float | None, ...] = ()
    sampled: Sampled | None = None
    account: Account = field(default_factory=Account)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure(Event):
    """A worker has failed. `action`: "abort", "drop" or "restart", the run's reaction."""

    worker: int
    round_index: int | None
    phase: str | None
    reason: str
    exit_code: int | None
    action: str
    traceback: str

    @classmethod
    def of(cls, error: WorkerError, action: str) -> "Failure":
        """The event of an error and the run's reaction to it."""
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
class Rewound(Event):
    """The run continues after `next_round` rounds: rows of later rounds no longer count.

    `last`: the row of the aggregate before it, None if there was none.
    """

    next_round: int
    last: AggregateRound | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Event):
    """The parent began to start a worker, and saw its end: two readings of `time.perf_counter`."""

    worker: int
    began_s: float
    ended_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUsed(Event):
    """The RAM of the run while its workers live.

    `processes`: "main", the parent, and those that serve the workers, by name. `shared_bytes`:
    of the memory that several processes share on purpose.
    """

    processes: Mapping[str, Memory]
    shared_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnds(Event):
    """The run ends: no event follows. `status`, `error`: as in result.json.

    `kept`: the row of the round whose aggregate it keeps; None: no round.
    """

    status: str
    error: str | None = None
    kept: AggregateRound | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference(Event):
    """The RMSEs of one worker after its last round. It comes after the last round, if at all."""

    valid: float
    test: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured(Event):
    """The metrics of the kept aggregate but its RMSE.

    `ranked`: None without ranking metrics. `coverage`: how large a share of the test ratings lies
    in the central interval with this probability, of a model that holds samples.
    """

    values: Mapping[str, float]
    ranked: Ranked | None = None
    coverage: Mapping[float, float] = field(default_factory=dict)
