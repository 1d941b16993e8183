"""TensorBoard: the parent process writes one event file per run.

It holds RMSE, weights, times and bytes of every round, the seconds of each round by kind, a picture
of the last round, and the run's settings as HParams.
"""

import math
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddp.machine.printable import printable
from ddp.timing.account import Account
from ddp.timing.kinds import EXCHANGE_KINDS
from ddp.timing.paths import AGGREGATOR_PHASES, ROUND_PHASES, WORKER_PHASES
from ddp.tracking import hparams
from ddp.tracking.history import without_slices
from ddp.tracking.messages import (
    AggregateRound,
    Event,
    Failure,
    RatingsRead,
    Reference,
    Rewound,
    WorkerRound,
)
from ddp.tracking.metrics import SquaredError
from ddp.tracking.tracker import (
    AGGREGATED,
    AGGREGATOR,
    ONE_WORKER,
    PARTS,
    POOLED,
    Tracker,
    worker_name,
)

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary

    from ddp.tracking.event_file import EventFile


FLUSH_EVERY_S = 5.0  # at most so often, and between rounds, it writes the new scalars

# All tags. `part`: valid or test; `who`: see ddp/tracking/tracker.py; `kind`: a phase or a kind of
# ddp/timing/, or "pickle" (serialise + deserialise).
RMSE_TAG = "rmse/{part}/{who}"
GAP_TAG = "rmse_gap/{part}"  # the last aggregate's RMSE minus one worker's
LOSS_TAG = "loss/train/{who}"
TIME_TAG = "time_ms/{kind}/{who}"
ACCOUNT_TAG = "account_ms/{kind}/{who}"  # all kinds together are the round's wall
BYTES_TAG = "bytes/pickled/{who}"
FAILURE_TAG = "failure/{who}"  # only in rounds in which the worker failed
TIMEOUT_TAG = "timeout/{who}"  # only in rounds in which the aggregate did not come in time
WEIGHT_TAG = "weight/{who}"
DATA_TAG = "data"  # a text


class TensorBoard(Tracker):
    """Writes one event file into the run directory.

    If it cannot write, it prints a warning, and the run goes on without TensorBoard: rounds.csv and
    result.json have the same figures.

    `settings`: of the run (`ddp.config.schema.settings`). `varied`: those that its sweep varies.
    """

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, Any],
        varied: Sequence[str] | None = None,
    ) -> None:
        self._directory = directory
        self._hparams, self._varied = hparams.known_values(settings), varied
        self._num_workers = int(settings["workers"])
        # (tag, value, step, wall time) of each scalar that is not written yet
        self._scalars: list[tuple[str, float, int, float]] = []
        # The slices of the last round of each worker, and of the aggregator (None)
        self._slices: dict[int | None, bytes] = {}
        self._rounds: dict[int, list[WorkerRound]] = {}
        self._last: AggregateRound | None = None
        self._gap: float | None = None
        self._data: Sequence[tuple[str, str]] = ()
        # from this step on TensorBoard must ignore the file: see `forget`
        self._purge_step: int | None = None
        self._flushed_s = time.monotonic()
        self._file: EventFile | None = None

    def on(self, event: Event) -> None:
        match event:
            case WorkerRound():
                self._worker_round(event)
            case AggregateRound():
                self._aggregate_round(event)
            case Failure():
                self._failure(event)
            case Rewound():
                self._rewind(event.next_round, event.last)
            case Reference():
                self._reference(event)
            case RatingsRead():
                self._data = event.lines

    def close(self) -> None:
        from ddp.tracking.summaries import custom_scalars, text
        from ddp.tracking.timeline import summary_of_round

        summaries = [custom_scalars(_layout(self._num_workers))]
        if self._data:
            # four blanks: Markdown shows the lines as they are
            block = "\n".join(f"    {label:12}{told}" for label, told in self._data)
            summaries.append(text(DATA_TAG, block))
        if self._last is not None:
            self._add("time_s/training", self._last.elapsed_s, self._last.round_index)
            metrics = [RMSE_TAG.format(part=part, who=AGGREGATED) for part in ("test", "valid")]
            gap = [] if self._gap is None else [GAP_TAG.format(part="test")]
            summaries += hparams.summaries(
                self._hparams, self._varied, [*metrics, "time_s/training", *gap]
            )
            if self._slices.get(None):
                summaries.append(summary_of_round(self._slices, self._last.round_index))
        self._flush(summaries)

    def _worker_round(self, row: WorkerRound) -> None:
        who = worker_name(row.worker)
        self._add(LOSS_TAG.format(who=who), row.train_loss, row.round_index)
        self._add(RMSE_TAG.format(part="valid", who=who), row.valid.rmse, row.round_index)
        self._add(RMSE_TAG.format(part="test", who=who), row.test.rmse, row.round_index)
        if not row.aggregate_received:
            self._add(TIMEOUT_TAG.format(who=who), 1.0, row.round_index)
        self._add_account(who, row.account, WORKER_PHASES, row.round_index)
        self._slices[row.worker] = row.account.slices
        others = self._rounds.setdefault(row.round_index, [])
        # a round with a dropped worker keeps its rows to the end, so they have no slices
        others.append(without_slices(row))
        if len(others) == self._num_workers:
            self._add_pooled(self._rounds.pop(row.round_index))

    def _aggregate_round(self, row: AggregateRound) -> None:
        self._add(RMSE_TAG.format(part="valid", who=AGGREGATED), row.valid.rmse, row.round_index)
        self._add(RMSE_TAG.format(part="test", who=AGGREGATED), row.test.rmse, row.round_index)
        for worker, weight in enumerate(row.weights):
            self._add(WEIGHT_TAG.format(who=worker_name(worker)), weight, row.round_index)
        self._add_account(AGGREGATOR, row.account, AGGREGATOR_PHASES, row.round_index)
        self._slices[None] = row.account.slices
        self._last = row
        if time.monotonic() - self._flushed_s > FLUSH_EVERY_S:
            self._flush()

    def _failure(self, failure: Failure) -> None:
        tag = FAILURE_TAG.format(who=worker_name(failure.worker))
        self._add(tag, 1.0, failure.round_index or 0)

    def _rewind(self, next_round: int, last: AggregateRound | None) -> None:
        failures = FAILURE_TAG.format(who="")
        self._scalars = [
            scalar
            for scalar in self._scalars
            if scalar[2] < next_round or scalar[0].startswith(failures)
        ]
        self._rounds.clear()
        self._last = last
        self._purge_step = next_round

    def _reference(self, reference: Reference) -> None:
        assert self._last is not None
        for part, rmse, own in (
            ("valid", reference.valid, self._last.valid.rmse),
            ("test", reference.test, self._last.test.rmse),
        ):
            for step in {0, self._last.round_index}:  # two points: a line over the whole chart
                self._add(RMSE_TAG.format(part=part, who=ONE_WORKER), rmse, step)
            self._add(GAP_TAG.format(part=part), own - rmse, self._last.round_index)
        self._gap = self._last.test.rmse - reference.test

    def _add(self, tag: str, value: float, step: int) -> None:
        if not math.isnan(value):  # NaN: an error over no ratings
            self._scalars.append((tag, value, step, time.time()))

    def _add_account(self, who: str, account: Account, phases: Sequence[str], step: int) -> None:
        by_phase, by_innermost = account.by_phase(), account.by_innermost()
        for phase in phases:
            self._add(TIME_TAG.format(kind=phase, who=who), by_phase[phase] * 1e3, step)
        for kind in EXCHANGE_KINDS:
            self._add(TIME_TAG.format(kind=kind, who=who), by_innermost[kind] * 1e3, step)
        for kind, seconds in account.by_kind().items():
            self._add(ACCOUNT_TAG.format(kind=kind, who=who), seconds * 1e3, step)
        self._add(TIME_TAG.format(kind="pickle", who=who), account.pickle_s * 1e3, step)
        self._add(BYTES_TAG.format(who=who), sum(account.num_bytes.values()), step)

    def _add_pooled(self, rows: list[WorkerRound]) -> None:
        """Adds the RMSE of all workers together, each on its own parts.

        Their parts together are the ratings that the aggregate is evaluated on.
        """
        for part in PARTS:
            pooled: SquaredError = sum((getattr(row, part) for row in rows), SquaredError())
            self._add(RMSE_TAG.format(part=part, who=POOLED), pooled.rmse, rows[0].round_index)

    def _flush(self, summaries: Sequence["Summary"] = ()) -> None:
        # This import takes 0.2 s, which a run without TensorBoard must not pay.
        from tensorboard.compat.proto.summary_pb2 import Summary

        from ddp.tracking.event_file import EventFile, event, forget

        self._file = self._file or EventFile(self._directory)
        events = [] if self._purge_step is None else [forget(self._purge_step)]
        for step, scalars in groupby(self._scalars, key=lambda scalar: scalar[2]):
            new = list(scalars)
            values = [Summary.Value(tag=tag, simple_value=value) for tag, value, _, _ in new]
            events.append(event(Summary(value=values), step, new[0][3]))
        events += [event(summary) for summary in summaries]
        self._purge_step = None
        self._scalars.clear()
        self._flushed_s = time.monotonic()
        if self.trouble is None:
            try:
                self._file.append(events)
            except OSError as error:
                reason = f"{error.filename}: {error.strerror}"
                self.trouble = f"{reason}; the run goes on without TensorBoard"
                print(f"warning: {printable(self.trouble)}", file=sys.stderr)


def _layout(num_workers: int) -> dict[str, dict[str, list[str]]]:
    """The charts of the Custom Scalars tab: title of a group -> title of a chart -> its tags."""
    kinds = (*ROUND_PHASES, *EXCHANGE_KINDS, "pickle")
    whos = [*(worker_name(worker) for worker in range(num_workers)), AGGREGATOR]
    return {
        "RMSE": {part: [RMSE_TAG.format(part=part, who=".*")] for part in PARTS},
        "Where each one's time goes (ms per round)": {
            who: [ACCOUNT_TAG.format(kind=".*", who=f"{who}$")] for who in whos
        },
        "Time (ms per round)": {kind: [TIME_TAG.format(kind=kind, who=".*")] for kind in kinds},
    }
