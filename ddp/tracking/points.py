"""The curves of a run: events become points. TensorBoard, MLflow and W&B have the same tags.

The families of tags begin with rmse, because TensorBoard sorts them. `who`: see
ddp/tracking/tracker.py; `part`: valid or test; `kind`: a phase or a kind of ddp/timing/, or
"pickle" (serialise + deserialise).
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ddp.counting import round_of
from ddp.timing.account import Account
from ddp.timing.kinds import EXCHANGE_KINDS
from ddp.timing.paths import AGGREGATOR_PHASES, WORKER_PHASES
from ddp.tracking.history import without_slices
from ddp.tracking.messages import (
    AggregateRound,
    Event,
    Failure,
    Measured,
    Reference,
    Rewound,
    RunEnds,
    WorkerRound,
)
from ddp.tracking.metrics import SquaredError
from ddp.tracking.sampled import Sampled
from ddp.tracking.who import (
    AGGREGATED,
    AGGREGATOR,
    KEPT,
    LAST_SAMPLE,
    ONE_WORKER,
    PARTS,
    POOLED,
    worker_name,
)

RMSE_TAG = "rmse/{part}/{who}"
GAP_TAG = "rmse/{part}/one_worker_gap"  # the kept aggregate's RMSE minus one worker's
METRIC_TAG = "test/{name}/" + KEPT  # without @, which MLflow refuses
TIME_TAG = "time/{kind}_ms/{who}"
ACCOUNT_TAG = "time/account/{kind}_ms/{who}"  # all kinds together are the round's wall
TRAINING_TAG = "time/training_s"  # of the whole run, at its last round
BYTES_TAG = "traffic/pickled_bytes/{who}"
LOSS_TAG = "train/loss/{who}"
MEAN = "mean_of_workers"
LR_TAG = "train/lr"  # of the round's first epoch
SAMPLES_TAG = "samples/{name}"  # of a trainer that samples: see `Sampled`
WEIGHT_TAG = "train/weight/{who}"
FAILURE_TAG = "train/failure/{who}"  # only in rounds in which the worker failed
TIMEOUT_TAG = "train/timeout/{who}"  # only in rounds in which the aggregate did not come in time

FEW_KINDS = ("compute", "lock_wait", "pickle")  # of each worker, with detail=few
ALL_KINDS = (*WORKER_PHASES, *EXCHANGE_KINDS, "pickle")


class Point(NamedTuple):
    """A value of the curve `tag`. `step`: the round, counted from 1."""

    tag: str
    value: float
    step: int


class Points:
    """Gives the points of each event. `full`: of every kind of time and of every worker's loss."""

    def __init__(self, num_workers: int, *, full: bool = False) -> None:
        self.full = full
        self.metrics: list[str] = []  # the tags that compare runs; none before the run ends
        self._last: AggregateRound | None = None
        self._reference: Reference | None = None
        self._measured = Measured(values={})
        self._num_workers = num_workers
        self._rounds: dict[int, list[WorkerRound]] = {}  # those that wait for their other rows

    def of(self, event: Event) -> list[Point]:
        """The points of an event, without those whose value is not known."""
        return [point for point in self._of(event) if not math.isnan(point.value)]

    def _of(self, event: Event) -> Iterator[Point]:
        match event:
            case WorkerRound():
                yield from self._worker_round(event)
            case AggregateRound():
                yield from self._aggregate_round(event)
            case Failure():
                tag = FAILURE_TAG.format(who=worker_name(event.worker))
                yield Point(tag, 1.0, round_of(event.round_index or 0))
            case Rewound():
                self._rounds.clear()
                self._last = event.last
            case Reference():
                yield from self._one_worker(event)
            case Measured():
                self._measured = event
            case RunEnds():
                yield from self._end(event)

    def _worker_round(self, row: WorkerRound) -> Iterator[Point]:
        who, step = worker_name(row.worker), round_of(row.round_index)
        for part in PARTS:
            yield Point(RMSE_TAG.format(part=part, who=who), getattr(row, part).rmse, step)
        if not row.aggregate_received:
            yield Point(TIMEOUT_TAG.format(who=who), 1.0, step)
        if self.full:
            yield Point(LOSS_TAG.format(who=who), row.train_loss, step)
        yield from self._account(who, row.account, WORKER_PHASES, step)
        others = self._rounds.setdefault(row.round_index, [])
        # a round with a dropped worker keeps its rows to the end, so they have no slices
        others.append(without_slices(row))
        if len(others) == self._num_workers:
            yield from _together(self._rounds.pop(row.round_index))

    def _aggregate_round(self, row: AggregateRound) -> Iterator[Point]:
        step = round_of(row.round_index)
        for part in PARTS:
            yield Point(RMSE_TAG.format(part=part, who=AGGREGATED), getattr(row, part).rmse, step)
        yield Point(LR_TAG, row.lr, step)
        if row.sampled is not None:
            yield from _of_samples(row.sampled, step)
        if self.full:
            for worker, weight in enumerate(row.weights):
                yield Point(WEIGHT_TAG.format(who=worker_name(worker)), weight, step)
            yield from self._account(AGGREGATOR, row.account, AGGREGATOR_PHASES, step)
        self._last = row

    def _one_worker(self, reference: Reference) -> Iterator[Point]:
        assert self._last is not None
        self._reference = reference
        step = round_of(self._last.round_index)
        for part in PARTS:
            for end in sorted({round_of(0), step}):  # two points: a line over the whole chart
                value = getattr(reference, part)
                yield Point(RMSE_TAG.format(part=part, who=ONE_WORKER), value, end)

    def _end(self, event: RunEnds) -> Iterator[Point]:
        if event.kept is None or self._last is None:
            return
        step = round_of(event.kept.round_index)
        points = [
            Point(RMSE_TAG.format(part=part, who=KEPT), getattr(event.kept, part).rmse, step)
            for part in reversed(PARTS)
        ]
        # behind RMSE in the table of HParams, which shows the first five
        points.append(Point(TRAINING_TAG, self._last.elapsed_s, round_of(self._last.round_index)))
        points += [
            Point(METRIC_TAG.format(name=name.replace("@", "_at_")), value, step)
            for name, value in self._measured.values.items()
            if not math.isnan(value)
        ]
        if self._reference is not None:
            gap = event.kept.test.rmse - self._reference.test
            points.append(Point(GAP_TAG.format(part="test"), gap, step))
        self.metrics = [point.tag for point in points]
        yield from points

    def _account(
        self, who: str, account: Account, phases: Sequence[str], step: int
    ) -> Iterator[Point]:
        by_phase, by_innermost = account.by_phase(), account.by_innermost()
        known = {phase: by_phase[phase] for phase in phases}
        known |= {kind: by_innermost[kind] for kind in EXCHANGE_KINDS}
        known["pickle"] = account.pickle_s
        for kind, seconds in known.items():
            if self.full or kind in FEW_KINDS:
                yield Point(TIME_TAG.format(kind=kind, who=who), seconds * 1e3, step)
        if self.full:
            for kind, seconds in account.by_kind().items():
                yield Point(ACCOUNT_TAG.format(kind=kind, who=who), seconds * 1e3, step)
            yield Point(BYTES_TAG.format(who=who), sum(account.num_bytes.values()), step)


def _of_samples(sampled: Sampled, step: int) -> Iterator[Point]:
    for part in PARTS:
        yield Point(RMSE_TAG.format(part=part, who=LAST_SAMPLE), getattr(sampled, part).rmse, step)
    for name in ("precision", "count", "effective"):
        yield Point(SAMPLES_TAG.format(name=name), getattr(sampled, name), step)


def _together(rows: list[WorkerRound]) -> Iterator[Point]:
    """The mean of the workers' losses, and the RMSE of all workers, each on its own parts.

    Their parts together are the ratings that the aggregate is evaluated on.
    """
    step = round_of(rows[0].round_index)
    loss = sum(row.train_loss for row in rows) / len(rows)
    yield Point(LOSS_TAG.format(who=MEAN), loss, step)
    for part in PARTS:
        pooled: SquaredError = sum((getattr(row, part) for row in rows), SquaredError())
        yield Point(RMSE_TAG.format(part=part, who=POOLED), pooled.rmse, step)
