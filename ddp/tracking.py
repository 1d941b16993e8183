"""Who is told what happens: nobody, the history, TensorBoard. The loop never asks which."""

import math
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddp.messages import AggregateRound, EpochDone, Failure, Finished, Message, Started, WorkerRound
from ddp.reference import Reference
from ddp.timing import AGGREGATOR_PHASES, KINDS, WORKER_PHASES, Account

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary

    from ddp.event_file import EventFile

FLUSH_EVERY_S = 5.0  # a scalar costs about 35 us to write: they are kept, and written in one go between rounds

# The one table of tags. `part`: valid or test; `kind`: a phase or kind of timing.py, or "pickle" (serialise + deserialise).
RMSE_TAG = "rmse/{part}/{who}"
GAP_TAG = "rmse_gap/{part}"  # the aggregate's minus one worker's, after the last round
LOSS_TAG = "loss/train/{who}"
TIME_TAG = "time_ms/{kind}/{who}"
BYTES_TAG = "bytes/pickled/{who}"
FAILURE_TAG = "failure/{who}"  # only in rounds in which the worker failed
TIMEOUT_TAG = "timeout/{who}"  # only in rounds in which the aggregate did not come in time
WEIGHT_TAG = "weight/{who}"
AGGREGATED, AGGREGATOR, POOLED, ONE_WORKER = "aggregated", "aggregator", "workers_pooled", "one_worker"
PARTS = ("valid", "test")


def worker_name(worker: int) -> str:
    """How a worker is called in tags and tables."""
    return f"worker_{worker}"


def pickle_s(account: Account) -> float:
    """Seconds spent serialising and deserialising."""
    return account.kind_s("serialise") + account.kind_s("deserialise")


class Tracker:
    """Is told everything, and does nothing with it. `trouble`: why it could not write down what it was told."""

    trouble: str | None = None

    def open(self) -> None:
        """The run has its directory: something will come."""

    def started(self, message: Started) -> None:
        """A worker is about to train."""

    def epoch(self, message: EpochDone) -> None:
        """A worker has finished a local epoch."""

    def worker_round(self, row: WorkerRound) -> None:
        """A worker has finished a round."""

    def finished(self, message: Finished) -> None:
        """A worker has finished its last round."""

    def aggregate_round(self, row: AggregateRound) -> None:
        """The aggregate of a round has been evaluated."""

    def failure(self, failure: Failure) -> None:
        """A worker has failed, and what is done about it is decided."""

    def rewind(self, next_round: int, last: AggregateRound | None) -> None:
        """The run goes on with this round: what was told of it and of later ones does not count. `last`: the aggregate before."""

    def reference(self, reference: Reference) -> None:
        """What one worker reaches is known. Comes after the last round."""

    def close(self) -> None:
        """Nothing more will come."""

    def listen(self, message: Message) -> None:
        """Passes a worker's message to the method for it."""
        match message:
            case Started():
                self.started(message)
            case EpochDone():
                self.epoch(message)
            case WorkerRound():
                self.worker_round(message)
            case Finished():
                self.finished(message)


class Everyone(Tracker):
    """Tells several trackers, in order."""

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self.trackers = trackers

    def open(self) -> None:
        for tracker in self.trackers:
            tracker.open()

    def listen(self, message: Message) -> None:
        for tracker in self.trackers:
            tracker.listen(message)

    def aggregate_round(self, row: AggregateRound) -> None:
        for tracker in self.trackers:
            tracker.aggregate_round(row)

    def failure(self, failure: Failure) -> None:
        for tracker in self.trackers:
            tracker.failure(failure)

    def rewind(self, next_round: int, last: AggregateRound | None) -> None:
        for tracker in self.trackers:
            tracker.rewind(next_round, last)

    def reference(self, reference: Reference) -> None:
        for tracker in self.trackers:
            tracker.reference(reference)

    def close(self) -> None:
        with ExitStack() as stack:  # closes the others also when one cannot be closed
            for tracker in reversed(self.trackers):
                stack.callback(tracker.close)


class History(Tracker):
    """Keeps every row: what results are made of."""

    def __init__(self) -> None:
        self.startup_s: dict[int, float] = {}
        self.peak_rss_bytes: dict[int, int | None] = {}
        self.worker_rounds: list[WorkerRound] = []
        self.aggregate_rounds: list[AggregateRound] = []
        self.failures: list[Failure] = []

    def started(self, message: Started) -> None:
        self.startup_s[message.worker] = message.startup_s

    def finished(self, message: Finished) -> None:
        self.peak_rss_bytes[message.worker] = message.peak_rss_bytes

    def worker_round(self, row: WorkerRound) -> None:
        self.worker_rounds.append(row)

    def aggregate_round(self, row: AggregateRound) -> None:
        self.aggregate_rounds.append(row)

    def failure(self, failure: Failure) -> None:
        self.failures.append(failure)

    def rewind(self, next_round: int, last: AggregateRound | None) -> None:
        self.worker_rounds = [row for row in self.worker_rounds if row.round_index < next_round]
        self.aggregate_rounds = [row for row in self.aggregate_rounds if row.round_index < next_round]

    def worker(self, worker: int) -> list[WorkerRound]:
        """One worker's rounds, in order."""
        return [row for row in self.worker_rounds if row.worker == worker]


class TensorBoard(Tracker):
    """One event file in the run directory, written by the parent only.

    Where it cannot be written, a warning says so, and the run goes on without: its own files have all the figures.
    """

    def __init__(self, directory: Path, hparams: Mapping[str, Any]) -> None:
        self._directory = directory
        self._hparams = {
            key: value if isinstance(value, bool | int | float | str) else str(value) for key, value in hparams.items()
        }
        self._scalars: list[tuple[str, float, int, float]] = []
        self._rounds: dict[int, list[WorkerRound]] = {}
        self._last: AggregateRound | None = None
        self._gap: float | None = None
        self._purge_step: int | None = None  # TensorBoard is to forget what it was told of this and later steps before
        self._flushed_s = time.monotonic()
        self._file: EventFile | None = None

    def worker_round(self, row: WorkerRound) -> None:
        who = worker_name(row.worker)
        self._add(LOSS_TAG.format(who=who), row.train_loss, row.round_index)
        self._add(RMSE_TAG.format(part="valid", who=who), row.valid.rmse, row.round_index)
        self._add(RMSE_TAG.format(part="test", who=who), row.test.rmse, row.round_index)
        if not row.aggregate_received:
            self._add(TIMEOUT_TAG.format(who=who), 1.0, row.round_index)
        self._add_account(who, row.account, WORKER_PHASES, row.round_index)
        others = self._rounds.setdefault(row.round_index, [])
        others.append(row)
        if len(others) == self._hparams["workers"]:
            self._add_pooled(self._rounds.pop(row.round_index))

    def aggregate_round(self, row: AggregateRound) -> None:
        self._add(RMSE_TAG.format(part="valid", who=AGGREGATED), row.valid.rmse, row.round_index)
        self._add(RMSE_TAG.format(part="test", who=AGGREGATED), row.test.rmse, row.round_index)
        for worker, weight in enumerate(row.weights):
            self._add(WEIGHT_TAG.format(who=worker_name(worker)), weight, row.round_index)
        self._add_account(AGGREGATOR, row.account, AGGREGATOR_PHASES, row.round_index)
        self._last = row
        if time.monotonic() - self._flushed_s > FLUSH_EVERY_S:
            self._flush()

    def failure(self, failure: Failure) -> None:
        self._add(FAILURE_TAG.format(who=worker_name(failure.worker)), 1.0, failure.round_index or 0)

    def rewind(self, next_round: int, last: AggregateRound | None) -> None:
        failures = FAILURE_TAG.format(who="")
        self._scalars = [scalar for scalar in self._scalars if scalar[2] < next_round or scalar[0].startswith(failures)]
        self._rounds.clear()
        self._last = last
        self._purge_step = next_round

    def reference(self, reference: Reference) -> None:
        assert self._last is not None
        for part, rmse, own in (
            ("valid", reference.valid, self._last.valid.rmse),
            ("test", reference.test, self._last.test.rmse),
        ):
            for step in {0, self._last.round_index}:  # a line to compare with
                self._add(RMSE_TAG.format(part=part, who=ONE_WORKER), rmse, step)
            self._add(GAP_TAG.format(part=part), own - rmse, self._last.round_index)
        self._gap = self._last.test.rmse - reference.test

    def close(self) -> None:
        from torch.utils.tensorboard.summary import custom_scalars

        summaries = [custom_scalars(_layout())]  # type: ignore[no-untyped-call]
        if self._last is not None:
            self._add("time_s/training", self._last.elapsed_s, self._last.round_index)
            summaries += self._hparams_summaries(self._last)
        self._flush(summaries)

    def _add(self, tag: str, value: float, step: int) -> None:
        if not math.isnan(value):  # an error over no ratings
            self._scalars.append((tag, value, step, time.time()))

    def _add_account(self, who: str, account: Account, phases: Sequence[str], step: int) -> None:
        for phase in phases:
            self._add(TIME_TAG.format(kind=phase, who=who), account.phase_s(phase) * 1e3, step)
        for kind in KINDS:
            self._add(TIME_TAG.format(kind=kind, who=who), account.kind_s(kind) * 1e3, step)
        self._add(TIME_TAG.format(kind="pickle", who=who), pickle_s(account) * 1e3, step)
        self._add(BYTES_TAG.format(who=who), sum(account.num_bytes.values()), step)

    def _add_pooled(self, rows: list[WorkerRound]) -> None:
        """All workers' errors on their own parts together: the same rows that the aggregate is judged on."""
        for part, errors in (("valid", [row.valid for row in rows]), ("test", [row.test for row in rows])):
            pooled = sum(errors[1:], errors[0])
            self._add(RMSE_TAG.format(part=part, who=POOLED), pooled.rmse, rows[0].round_index)

    def _flush(self, summaries: Sequence["Summary"] = ()) -> None:
        from torch.utils.tensorboard.summary import scalar  # 0.2 s: only where TensorBoard is on

        from ddp.event_file import EventFile, event, forget

        self._file = self._file or EventFile(self._directory)
        events = [] if self._purge_step is None else [forget(self._purge_step)]
        events += [
            event(scalar(tag, value), step, walltime)  # type: ignore[no-untyped-call]
            for tag, value, step, walltime in self._scalars
        ]
        events += [event(summary) for summary in summaries]
        self._purge_step = None
        self._scalars.clear()
        self._flushed_s = time.monotonic()
        if self.trouble is None:
            try:
                self._file.append(events)
            except OSError as error:
                self.trouble = f"{error.filename}: {error.strerror}; the run goes on without TensorBoard"
                print(f"warning: {self.trouble}", file=sys.stderr)

    def _hparams_summaries(self, last: AggregateRound) -> tuple["Summary", ...]:
        """The three of `add_hparams`, for the run's own file: `add_hparams` itself would open a second directory."""
        from torch.utils.tensorboard.summary import hparams

        metrics = {
            RMSE_TAG.format(part="test", who=AGGREGATED): last.test.rmse,
            RMSE_TAG.format(part="valid", who=AGGREGATED): last.valid.rmse,
            "time_s/training": last.elapsed_s,
        }
        if self._gap is not None:
            metrics[GAP_TAG.format(part="test")] = self._gap
        return hparams(self._hparams, metrics)  # type: ignore[no-untyped-call, no-any-return]


def _layout() -> dict[str, dict[str, list[Any]]]:
    """Custom scalars: workers and the aggregate on one chart, and each kind of time on one."""

    def chart(pattern: str) -> list[Any]:
        return ["Multiline", [pattern]]

    kinds = dict.fromkeys([*WORKER_PHASES, *AGGREGATOR_PHASES, *KINDS, "pickle"])
    return {
        "RMSE": {part: chart(RMSE_TAG.format(part=part, who=".*")) for part in PARTS},
        "Time (ms per round)": {kind: chart(TIME_TAG.format(kind=kind, who=".*")) for kind in kinds},
    }
