"""One run, told in order: ratings, shards, workers and aggregator, results."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from ddp.aggregation.aggregator import Aggregator
from ddp.aggregation.combine import make_combine
from ddp.backends.make import make_backend
from ddp.config.options import SerialBackend, ThreadBackend
from ddp.config.schema import Config
from ddp.errors import WorkerError
from ddp.machine.files import describe
from ddp.machine.signals import interrupts_held_back
from ddp.model.parameters import Vector
from ddp.ratings.arrays import Ratings
from ddp.ratings.load import load_ratings
from ddp.ratings.splits import shard_summary
from ddp.results.checkpoint import Checkpoints
from ddp.results.record import write_result
from ddp.results.reference import find_reference
from ddp.results.rescue import save
from ddp.results.run_directory import run_directory, write_config
from ddp.results.run_result import RunResult
from ddp.results.saved_model import save_model
from ddp.timing.meter import Meter
from ddp.timing.spans import MeteredSpans, Spans
from ddp.tracking.messages import Ended, Reference, Rewound
from ddp.tracking.metrics import SquaredError
from ddp.tracking.trace import Trace
from ddp.tracking.tracker import Everyone, Tracker
from ddp.workers.failures import Failures
from ddp.workers.prepare import Prepared, prepare
from ddp.workers.state import RunState


def run(
    config: Config,
    output_dir: Path,
    trackers: list[Tracker],
    *,
    resume: bool = False,
    began: float | None = None,
) -> RunResult:
    """One run from its config to its files in `output_dir`, which must not hold a run yet.

    With `resume` it must, and the run goes on from its last checkpoint, to the same bits as if it
    had not been interrupted. The account begins at `began`, when this process did so for the run
    alone (a reading of `time.perf_counter`; None: now). Whatever happens, result.json says how it
    ended, and what was finished is kept: the last aggregate, and a checkpoint. Raises UserError for
    bad input, WorkerError and AggregationError for what goes wrong under way.
    """
    with run_directory(config, output_dir, resume=resume):
        result = RunResult(config=config, output_dir=output_dir)
        result.resumed = resume
        result.trace = Trace() if config.account else None
        checkpoints = Checkpoints(config, result.history)
        rounds = [checkpoints.rounds] if config.checkpoint_every > 0 else []
        trace = [] if result.trace is None else [result.trace]
        tracker = Everyone([result.history, *rounds, *trace, *trackers])
        if resume:  # a refusal leaves the directory as it was
            ratings = load_ratings(config.data, config.seed)
            result.state = result.kept = checkpoints.load(output_dir, ratings)
            write_config(config, output_dir)
        result.spans = make_spans(config, result.began if began is None else began)
        if began is not None:
            result.spans.book("start/interpreter", result.began)
            result.began = began
        with _recorded(result, tracker), _noted(result):
            result.spans.book("data")  # what a run goes on from
            tracker.open()
            with _stage(result, "total"):
                with _stage(result, "data"), result.spans("data"):
                    if resume:
                        tracker.on(Rewound(next_round=result.state.next_round, last=result.last))
                    else:
                        ratings = load_ratings(config.data, config.seed)
                    prepared = prepare(config, ratings, result.state)
                result.shards = shard_summary(ratings, prepared.deal)
                result.noise_floor = ratings.noise_floor
                try:
                    with _noted(result):
                        train(
                            prepared,
                            tracker,
                            result,
                            partial(_keep_state, result, checkpoints.save_if_due, ratings),
                        )
                finally:
                    result.spans.unwind()
                    with _stage(result, "save"), result.spans("save"), result.spans("checkpoint"):
                        _keep(result, prepared.aggregate_dim, checkpoints, ratings)
            result.status = "ok"
            if config.reference != "false":
                with (
                    _stage(result, "reference"),
                    result.spans("reference"),
                ):  # not in the total: only the first of many runs trains it
                    alone = partial(train_reference, ratings)
                    result.reference = find_reference(config, ratings, prepared.deal, alone)
                if result.reference is not None:
                    tracker.on(result.reference)
    return result


@contextmanager
def _noted(result: RunResult) -> Iterator[None]:
    """Notes how the block ends, if it does not end well."""
    try:
        yield
    except KeyboardInterrupt:
        result.status = "interrupted"
        raise
    except BaseException as error:
        result.status, result.error = "failed", f"{type(error).__name__}: {error}"
        raise


@contextmanager
def _recorded(result: RunResult, tracker: Everyone) -> Iterator[None]:
    """Writes down what became of the block, however it ends."""
    try:
        yield
    finally:
        result.spans.unwind()
        if "imports" in result.seconds:
            result.seconds["total"] -= result.seconds["imports"]
        try:
            with result.spans("save"), result.spans("log"):
                tracker.close()
        finally:
            result.warnings += [each.trouble for each in tracker.trackers if each.trouble]
            result.end_account()
            save(result, partial(write_result, result))


def _keep_state(
    result: RunResult,
    write: Callable[[Path, RunState, Ratings], None],
    ratings: Ratings,
    state: RunState,
) -> None:
    """A checkpoint. A run that cannot write it goes on: it still has its result to win."""
    try:
        write(result.output_dir, state, ratings)
    except OSError as error:
        if not any(str(error.filename) in warning for warning in result.warnings):
            result.warnings.append(f"{describe(error)}; the run goes on without this checkpoint")
            print(f"warning: {result.warnings[-1]}", file=sys.stderr)


def _keep(result: RunResult, dim: int, checkpoints: Checkpoints, ratings: Ratings) -> None:
    """Saves the last aggregate, whether the run has come to its end or not, and a checkpoint if
    there is none of it yet.
    """
    vector, model = result.state.vector, replace(result.config.model, dim=dim)
    if vector is not None:
        save(result, lambda directory: save_model(directory, model, vector, ratings))
        _keep_state(result, checkpoints.save_last, ratings, result.kept)


def train(
    prepared: Prepared,
    tracker: Tracker,
    result: RunResult,
    keep: Callable[[RunState], None] = lambda state: None,
) -> None:
    """Runs workers and aggregator to the end, from and to `result.state`.

    `keep` is called with each state that a run can go on from. Stages of the wall go into
    `result.seconds`.
    """
    config = prepared.config
    failures = Failures(config, tracker.on)
    failures.dropped += result.state.dropped
    with _torch_threads(config.torch_threads):
        result.torch_threads = torch.get_num_threads()
        while True:
            try:
                _train_rounds(prepared, tracker, result, failures, keep)
                return
            except WorkerError as error:
                result.state = failures.go_back(error, result.state)
                result.accounts += result.history.accounts_from(result.state.next_round)
                result.history.on(Rewound(next_round=result.state.next_round, last=None))
                tracker.on(Rewound(next_round=result.state.next_round, last=result.last))
                prepared = prepare(config, prepared.ratings, result.state)


def _train_rounds(
    prepared: Prepared,
    tracker: Tracker,
    result: RunResult,
    failures: Failures,
    keep: Callable[[RunState], None],
) -> None:
    """From the state in `result` to the end, or to a failure that the workers there are do not
    survive.
    """
    config, spans = prepared.config, result.spans
    if prepared.first_round >= config.rounds:
        return
    aggregated = prepared.make_aggregate()

    def evaluate(vector: Vector) -> tuple[SquaredError, SquaredError]:
        aggregated.vector[:] = vector
        valid = prepared.evaluate(aggregated, prepared.valid)
        return valid, prepared.evaluate(aggregated, prepared.test)

    combine = make_combine(prepared, result.state.outer_state)
    with _stage(result, "data"), spans("data"):
        backend = make_backend(prepared, prepared.make_jobs(), tracker.on)
    try:
        with _stage(result, "imports"), spans("imports"):
            backend.load()
        with _stage(result, "start"), spans("start"):
            backend.start()
        result.keep_account()
        aggregator = Aggregator(
            backend,
            combine,
            prepared.vector,
            evaluate,
            failures.survive,
            result.state.elapsed_s,
            spans,
        )
        with _stage(result, "train"):
            for done in aggregator.rounds():
                state = RunState(
                    next_round=done.row.round_index + 1,
                    vector=prepared.in_data_order(done.vector),
                    trainer_states=done.trainer_states,
                    outer_state=combine.outer_state,
                    dropped=tuple(failures.dropped),
                    restarts=result.state.restarts,
                    elapsed_s=done.row.elapsed_s,
                )
                # what is told, what is saved and what is counted are the same rounds
                with interrupts_held_back():
                    result.state = state
                    with spans("log"):
                        tracker.on(done.row)
                    if not backend.has_trainer_state or prepared.sends_state(done.row.round_index):
                        with spans("checkpoint"):
                            result.kept = state
                            keep(state)
        if config.account:
            with spans("save"), spans("log"):
                result.note_memory(backend.servers(), backend.shared_bytes)
    finally:
        spans.unwind()
        with _stage(result, "stop"), spans("stop"):
            backend.stop()
        # a thread that was left behind may still end
        for worker, ended in list(backend.ended.items()):
            tracker.on(Ended(worker=worker, began_s=backend.began[worker], ended_s=ended))


def train_reference(ratings: Ratings, config: Config) -> Reference:
    """Trains the one worker that a run is compared with."""
    result = RunResult(config=config, output_dir=Path())
    train(prepare(config, ratings), result.history, result)
    assert result.last is not None
    return Reference(valid=result.last.valid.rmse, test=result.last.test.rmse)


def make_spans(config: Config, began: float) -> Spans:
    """The main process's stopwatch, for the thread that calls this."""
    if not config.account:
        return Spans(began=began)
    in_threads, in_turn = (
        isinstance(config.backend, ThreadBackend),
        isinstance(config.backend, SerialBackend),
    )
    meter = Meter(shares_gil=in_threads, shares_thread=in_turn)
    return MeteredSpans(meter, began=began)


@contextmanager
def _stage(result: RunResult, name: str) -> Iterator[None]:
    """Adds the wall of the block to that of its name, also when it fails."""
    began = time.perf_counter()
    try:
        yield
    finally:
        result.seconds[name] = result.seconds.get(name, 0.0) + time.perf_counter() - began


@contextmanager
def _torch_threads(number: int) -> Iterator[None]:
    """Intra-op threads for this process, put back afterwards: a sweep runs its jobs in one
    process.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
