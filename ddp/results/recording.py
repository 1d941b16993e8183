"""A run while it goes on: its stopwatch, trackers and state, and the files that it leaves."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ddp.config.averaging import in_words
from ddp.config.backend import SerialBackend, ThreadBackend
from ddp.config.schema import Config
from ddp.machine.files import describe
from ddp.machine.printable import printable
from ddp.machine.signals import interrupts_held_back
from ddp.ratings.arrays import Ratings
from ddp.ratings.baselines import baselines
from ddp.ratings.description import description_of, in_lines
from ddp.ratings.shard_summary import shard_summary
from ddp.results.accounts import stage_seconds
from ddp.results.checkpoint import Checkpoints
from ddp.results.kept import kept_model
from ddp.results.record import write_result
from ddp.results.rescue import Rescue
from ddp.results.run_directory import write_config
from ddp.results.run_result import RunResult
from ddp.results.saved_model import save_model
from ddp.timing.meter import Meter
from ddp.timing.metered_spans import MeteredSpans
from ddp.timing.spans import Spans
from ddp.tracking.history import History, kept_row
from ddp.tracking.messages import (
    AggregateRound,
    Event,
    OutsideRounds,
    RatingsRead,
    Rewound,
    RunEnds,
)
from ddp.tracking.trace import Trace
from ddp.tracking.tracker import Everyone, Tracker
from ddp.workers.prepare import Prepared
from ddp.workers.state import RoundDone, RunState


class Recording:
    """Records one run, in a `with` block around it, and writes its files however the block ends.

    | attribute | meaning                                                        |
    |-----------|----------------------------------------------------------------|
    | `spans`   | the stopwatch of the main process                              |
    | `tracker` | passes events on to all trackers, also to those of the run     |
    |           | directory                                                      |
    | `result`  | the result of the run, once the block has ended                |
    """

    result: RunResult

    def __init__(
        self,
        config: Config,
        output_dir: Path,
        trackers: list[Tracker],
        *,
        resumed: bool = False,
        began: float | None = None,
    ) -> None:
        now = time.perf_counter()
        self.config, self.output_dir = config, output_dir
        self.spans = _make_spans(config, now if began is None else began)
        if began is not None:
            self.spans.book("start/interpreter", now)
        self._began = now if began is None else began
        self._history = History()
        self._trace = Trace() if config.account else None
        self._checkpoints = Checkpoints(config, self._history)
        self._own: list[Tracker] = [self._history]
        if config.checkpoint_every > 0:
            self._own.append(self._checkpoints.rounds)
        if self._trace is not None:
            self._own.append(self._trace)
        self.tracker = Everyone([*self._own, *trackers])
        self._resumed = resumed
        self._is_open = False  # until then the directory stays as it is
        self._state = self._resumable = RunState()
        self._known: dict[str, Any] = {}  # fields of the result: ratings, shards, reference
        self._warnings: list[str] = []
        self._rescue = Rescue(output_dir)

    def __enter__(self) -> Self:
        if not self._resumed:
            self._open()
        return self

    def _open(self) -> None:
        self._is_open = True
        self.tracker.open()

    def resume(self, ratings: Ratings) -> RunState:
        """Continues from the last checkpoint, and returns its state.

        Raises CheckpointError, and then leaves the directory as it was.
        """
        state = self._checkpoints.load(self.output_dir, ratings)
        write_config(self.config, self.output_dir)
        self._state = self._resumable = state
        self._open()
        self.tracker.on(Rewound(next_round=state.next_round, last=self._history.last))
        return state

    def describe(self, prepared: Prepared) -> None:
        """Keeps the facts about ratings and shards for the result, and tells the trackers."""
        with self.spans("data"):
            data = description_of(prepared.ratings)
            with self.spans("log"):
                split = in_words(self.config.split, self.config.aggregation)
                self.tracker.on(RatingsRead(lines=[*in_lines(data), ("split", split)]))
        self._known["data"] = data
        self._known["shards"] = shard_summary(prepared.ratings, prepared.deal)
        self._known["noise_floor"] = prepared.ratings.noise_floor
        with self.spans("data"):
            self._known["baselines"] = baselines(prepared.ratings, prepared.deal)

    @contextmanager
    def keeping(self, prepared: Prepared) -> Iterator[None]:
        """Saves the kept aggregate and a checkpoint when the block ends, however it does."""
        self._ratings = prepared.ratings
        cause: BaseException | None = None
        try:
            yield
        except BaseException as error:
            cause = error
            raise
        finally:
            self.spans.unwind()
            with self.spans("save"), self.spans("checkpoint"):
                self._save_last(prepared, cause)

    def _save_last(self, prepared: Prepared, cause: BaseException | None) -> None:
        if (kept := kept_model(self._state, prepared)) is None:
            return

        def write(directory: Path) -> None:
            vector = kept.parameters.vector
            save_model(directory, kept.options, vector, self._ratings, kept.noise)

        self._rescue.save(write, self._outcome, cause)
        self._checkpoint(self._checkpoints.save_last)

    def round(self, done: RoundDone) -> None:
        """Gives the row of a round to the trackers, and saves a checkpoint if one is due.

        An interrupt comes before or after that, so trackers, checkpoint and result know the same
        rounds.
        """
        with interrupts_held_back():
            self._state = done.state
            with self.spans("log"):
                self.tracker.on(done.row)
            if done.resumable:
                with self.spans("checkpoint"):
                    self._resumable = done.state
                    self._checkpoint(self._checkpoints.save_if_due)

    def _checkpoint(self, write: Callable[[Path, RunState, Ratings], None]) -> None:
        """Writes a checkpoint. If it cannot, it warns, and the run goes on."""
        try:
            write(self.output_dir, self._resumable, self._ratings)
        except OSError as error:
            if not any(str(error.filename) in warning for warning in self._warnings):
                self._warnings.append(f"{describe(error)}; the run goes on without this checkpoint")
                print(f"warning: {printable(self._warnings[-1])}", file=sys.stderr)

    def know(self, **facts: Event | None) -> None:
        """Keeps facts for the result, and tells the trackers those that are known."""
        self._known |= facts
        for fact in filter(None, facts.values()):
            self.tracker.on(fact)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.spans.unwind()
        if not self._is_open:
            self.spans.close()
            return
        self._take_account()
        seconds = stage_seconds(self._history.main_account())
        try:
            with self.spans("save"), self.spans("log"):
                status, reason = _status_of(error)
                self.tracker.on(RunEnds(status=status, error=reason, kept=self._kept))
                self.tracker.close()
        finally:
            self._take_account()
            self.spans.close()
            self.result = self._make_result(error, seconds)
            self._rescue.save(self._write_result, self._outcome, error)

    def _take_account(self) -> None:
        """Gives the run's own trackers the seconds since the last round.

        It does so even after they are closed, because closing takes time.
        """
        event = OutsideRounds(account=self.spans.take())
        for tracker in self._own:
            tracker.on(event)

    def _make_result(self, error: BaseException | None, seconds: dict[str, float]) -> RunResult:
        status, reason = _status_of(error)
        troubles = [each.trouble for each in self.tracker.trackers if each.trouble]
        return RunResult(
            config=self.config,
            output_dir=self.output_dir,
            status=status,
            error=reason,
            resumed=self._resumed,
            warnings=(*self._warnings, *troubles),
            **self._known,
            state=self._state,
            history=self._history,
            trace=self._trace,
            seconds=seconds,
            wall_s=time.perf_counter() - self._began,
        )

    def _write_result(self, directory: Path) -> None:
        try:
            write_result(self.result, directory)
        except OSError as error:
            self.result = self.result.failed_by(error)  # so that a result.json elsewhere says so
            raise

    @property
    def _kept(self) -> AggregateRound | None:
        return kept_row(self._history.aggregate_rounds, self._state.kept_round_index(self.config))

    @property
    def _outcome(self) -> str:
        kept = self._kept
        return f"test RMSE {kept.test.rmse:.4f}" if kept else "no round was finished"


def _status_of(error: BaseException | None) -> tuple[str, str | None]:
    """The status of a run that ends with `error`, and the reason."""
    if error is None:
        return "ok", None
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", None
    return "failed", f"{type(error).__name__}: {error}"


def _make_spans(config: Config, began: float) -> Spans:
    """The main process's stopwatch, for the thread that calls this."""
    if not config.account:
        return Spans(began=began)
    in_threads = isinstance(config.backend, ThreadBackend)
    in_turn = isinstance(config.backend, SerialBackend)
    return MeteredSpans(Meter(shares_gil=in_threads, shares_thread=in_turn), began=began)
