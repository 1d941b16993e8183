"""The accounts of a run: each second of each worker and of the aggregator, in exactly one kind."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from ddp.config.backend import Backend
from ddp.machine.memory import Memory
from ddp.timing.account import Account, total_account
from ddp.timing.kinds import OTHER
from ddp.timing.paths import AGGREGATOR_PHASES, START
from ddp.tracking.history import History
from ddp.tracking.messages import AggregateRound
from ddp.tracking.who import AGGREGATOR, worker_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """The account of one lane; `who` is its name (ddp/tracking/tracker.py).

    | field       | holds                                                                        |
    |-------------|------------------------------------------------------------------------------|
    | `wall_s`    | seconds from the request to start it to its observed end, measured without   |
    |             | the spans; NaN if not known                                                  |
    | `closed`    | it ended in good order, and `seconds` add up to `wall_s`                     |
    | `seconds`   | by kind of time                                                              |
    | `waits_for` | seconds of waiting, by the lane that it waited for                           |
    | `bytes`     | `pickled` and `copied`                                                       |

    After a restart, or in a resumed run, only the last life of a worker counts.
    """

    who: str
    wall_s: float
    closed: bool
    seconds: dict[str, float]
    waits_for: dict[str, float] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    memory: Memory

    def as_json(self) -> dict[str, Any]:
        """The lane for result.json, with the fields of `memory` beside its own."""
        values = asdict(self)
        return {**values, **values.pop("memory")}


def worker_lane(history: History, worker: int, backend: Backend) -> Lane:
    """The lane of a worker, from its messages."""
    rows = history.this_life(worker)
    account = total_account(
        [
            history.started_with.get(worker, Account()),
            *(row.account for row in rows),
            *([history.finished_with[worker].account] if worker in history.finished_with else []),
        ]
    )
    began, ended = history.lives.get(worker, (float("nan"), float("nan")))
    seconds = account.by_kind()
    if worker in history.finished_with:
        seconds["exit"] = ended - history.finished_with[worker].at_s
    memory = (
        history.finished_with[worker].memory
        if worker in history.finished_with and backend.in_processes
        else NO_MEMORY
    )
    waits_for = _waits_of_worker(history, worker, account)
    if backend.name == "serial":  # it waited for its turn in the one thread, so for all others
        waits_for = {"others": sum(waits_for.values())}
    return Lane(
        who=worker_name(worker),
        wall_s=ended - began,
        closed=worker in history.finished_with and worker in history.lives,
        seconds=seconds,
        waits_for=waits_for,
        bytes=_bytes(account),
        memory=memory,
    )


def aggregator_lane(
    history: History, outside: Account, wall_s: float, memory: Memory, *, closed: bool
) -> Lane:
    """The lane of the aggregator.

    `outside`: the account of the main process before, between and after the rounds.
    """
    account = total_account([outside, *(row.account for row in history.aggregated_here)])
    waits_for: dict[str, float] = {}
    for row in history.aggregated_here:
        if (worker := _last_one(row)) is not None:
            _add(waits_for, worker_name(worker), row.account.kind_s("wait"))
    rest = account.kind_s("wait") - sum(waits_for.values())
    return Lane(
        who=AGGREGATOR,
        wall_s=wall_s,
        closed=closed,
        seconds=account.by_kind(),
        waits_for=waits_for | ({"workers": rest} if rest > 0 else {}),
        bytes=_bytes(account),
        memory=memory,
    )


NO_MEMORY = Memory(peak_rss_bytes=None, pss_bytes=None)


def _waits_of_worker(history: History, worker: int, account: Account) -> dict[str, float]:
    """Divides a worker's seconds of "wait" among the lanes that it waited for.

    They are the workers whose rows it needed. Where it needed no rows, they are the last worker of
    each round. The aggregator gets the rest.
    """
    waits_for = {worker_name(other): seconds for other, seconds in account.waited_for.items()}
    if not waits_for:
        waited = {
            row.round_index: row.account.seconds.get("wait", 0.0)
            for row in history.this_life(worker)
        }
        for row in history.aggregated_here:
            last = _last_one(row)
            ready_s = row.ready_s[worker] if row.ready_s else None
            if last is not None and ready_s:
                _add(waits_for, worker_name(last), min(ready_s, waited.get(row.round_index, 0.0)))
    rest = account.kind_s("wait") - sum(waits_for.values())
    return waits_for | ({AGGREGATOR: rest} if rest > 0 else {})


def _last_one(row: AggregateRound) -> int | None:
    """The worker whose update came last, so that all waited for it; None if not known."""
    return next((worker for worker, seconds in enumerate(row.ready_s) if seconds == 0), None)


def _add(table: dict[str, float], key: str, value: float) -> None:
    table[key] = table.get(key, 0.0) + value


def _bytes(account: Account) -> dict[str, int]:
    return {"pickled": sum(account.num_bytes.values()), "copied": sum(account.num_copied.values())}


def stage_seconds(account: Account) -> dict[str, float]:
    """The wall of a run by stage, read off the account of its main process.

    | stage       | seconds of the main process                                              |
    |-------------|--------------------------------------------------------------------------|
    | `data`      | reading and splitting the ratings, making the jobs                       |
    | `imports`   | importing and compiling for all workers                                  |
    | `start`     | starting the workers                                                     |
    | `train`     | the rounds                                                               |
    | `stop`      | stopping the workers                                                     |
    | `save`      | the model and the last checkpoint                                        |
    | `metrics`   | measuring the metrics of the kept aggregate, but for its RMSE            |
    | `total`     | all of these and what lies between them, without `imports`               |
    | `reference` | finding the errors of one worker; not in `total`                         |

    A stage that the run did not reach is missing.
    """
    seconds = {"total": 0.0}
    for path, value in account.seconds.items():
        stage = _stage_of(path)
        if stage in STAGES:
            _add(seconds, stage, value)
        if stage not in NOT_IN_TOTAL:
            _add(seconds, "total", value)
    return {stage: seconds[stage] for stage in STAGES if stage in seconds}


STAGES = ("data", "imports", "start", "train", "stop", "save", "metrics", "total", "reference")
NOT_IN_TOTAL = ("imports", "reference", "interpreter")


def _stage_of(path: str) -> str:
    """The stage that a span of the main process belongs to."""
    phase, _, inner = path.partition("/")
    if inner in ("interpreter", "log") and phase in (START, "save"):
        return inner  # these seconds belong to no stage
    return "train" if phase in AGGREGATOR_PHASES and phase != OTHER else phase


def total_seconds(lanes: Iterable[Lane]) -> dict[str, float]:
    """The sum of the lanes, kind by kind."""
    total: dict[str, float] = {}
    for lane in lanes:
        for kind, value in lane.seconds.items():
            _add(total, kind, value)
    return total
