"""TensorBoard: the parent process writes one event file per run.

It holds the curves of ddp/tracking/points.py, texts about the run, a picture of the last rounds,
and the run's settings as HParams.
"""

import sys
import time
from collections import deque
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from ddp.counting import round_of
from ddp.machine.printable import printable
from ddp.tracking import charts, hparams, texts
from ddp.tracking.messages import AggregateRound, Event, RatingsRead, Rewound, WorkerRound
from ddp.tracking.points import FAILURE_TAG, Point, Points
from ddp.tracking.tracker import RunFacts, Tracker

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary

    from ddp.tracking.event_file import EventFile

FLUSH_EVERY_S = 5.0  # at most so often, and between rounds, it writes the new points
PICTURED = 3  # rounds, the last ones


class TensorBoard(Tracker):
    """Writes one event file into the run directory.

    If it cannot write, it prints a warning, and the run goes on without TensorBoard: rounds.csv and
    result.json have the same figures.

    `detail`: few or all, see conf/tracker/tensorboard.yaml.
    """

    def __init__(self, run: RunFacts, detail: str = "few") -> None:
        self._run = run
        self._num_workers, full = int(run.settings["workers"]), detail == "all"
        self._points = Points(self._num_workers, full=full)
        self._charts = charts.layout(self._num_workers, full=full)
        self._results = texts.Results()
        self._data: Sequence[tuple[str, str]] = ()
        self._unwritten: list[tuple[Point, float]] = []  # with the wall time
        # slices of the last rounds by lane and round; the lane None is the aggregator's
        self._slices: dict[int | None, deque[tuple[int, bytes]]] = {}
        # from this step on TensorBoard must ignore the file: see `forget`
        self._purge_step: int | None = None
        self._step = 0  # of the last round
        self._flushed_s = time.monotonic()
        self._file: EventFile | None = None

    def on(self, event: Event) -> None:
        self._results.on(event)
        if isinstance(event, Rewound):
            self._rewind(event)
        now = time.time()
        self._unwritten += [(point, now) for point in self._points.of(event)]
        match event:
            case WorkerRound():
                self._keep_slices(event.worker, event.round_index, event.account.slices)
            case AggregateRound():
                self._step = round_of(event.round_index)
                self._keep_slices(None, event.round_index, event.account.slices)
                if time.monotonic() - self._flushed_s > FLUSH_EVERY_S:
                    self._flush()
            case RatingsRead():
                self._data = event.lines

    def close(self) -> None:
        from ddp.tracking.summaries import text

        summaries = [text(texts.RESULT, self._results.as_markdown())]
        if self._points.metrics:
            summaries += hparams.summaries(
                hparams.known_values(self._run.settings),
                self._run.varied,
                self._points.metrics,
                ended_well=self._results.ended_well,
            )
        if self._slices.get(None):
            from ddp.tracking.timeline import summary_of_rounds

            summaries.append(summary_of_rounds(self._slices))
        self._flush(summaries)

    def _keep_slices(self, lane: int | None, round_index: int, slices: bytes) -> None:
        if slices:
            lanes = self._slices.setdefault(lane, deque(maxlen=PICTURED))
            lanes.append((round_index, slices))

    def _rewind(self, event: Rewound) -> None:
        step, failures = round_of(event.next_round), FAILURE_TAG.format(who="")
        self._unwritten = [
            (point, at)
            for point, at in self._unwritten
            if point.step < step or point.tag.startswith(failures)
        ]
        for lane, rounds in self._slices.items():
            before = [each for each in rounds if each[0] < event.next_round]
            self._slices[lane] = deque(before, maxlen=PICTURED)
        self._purge_step = step

    def _beginning(self) -> list["Summary"]:
        """The summaries that are known from the beginning."""
        from ddp.tracking.summaries import custom_scalars, text

        return [
            custom_scalars(self._charts),
            text(texts.COMMAND, texts.command(self._run)),
            text(texts.CONFIGURATION, texts.configuration(self._run.settings)),
            text(texts.DATA, texts.data(self._data)),
        ]

    def _flush(self, summaries: Sequence["Summary"] = ()) -> None:
        """Writes the new points, then the summaries, which get the step of the last round."""
        # This import takes 0.2 s, which a run without TensorBoard must not pay.
        from tensorboard.compat.proto.summary_pb2 import Summary

        from ddp.tracking.event_file import EventFile, event, forget

        events = [] if self._purge_step is None else [forget(self._purge_step)]
        if self._file is None:
            self._file = EventFile(self._run.directory)
            events += [event(summary) for summary in self._beginning()]
        for number, points in groupby(self._unwritten, key=lambda written: written[0].step):
            new = list(points)
            values = [Summary.Value(tag=tag, simple_value=value) for (tag, value, _), _ in new]
            events.append(event(Summary(value=values), number, new[0][1]))
        events += [event(summary, self._step) for summary in summaries]
        self._purge_step = None
        self._unwritten.clear()
        self._flushed_s = time.monotonic()
        if self.trouble is None:
            try:
                self._file.append(events)
            except OSError as error:
                reason = f"{error.filename}: {error.strerror}"
                self.trouble = f"{reason}; the run goes on without TensorBoard"
                print(f"warning: {printable(self.trouble)}", file=sys.stderr)
