"""One run, told in order: ratings, shards, workers and aggregator, results."""

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from ddp.aggregation.aggregator import Aggregated, Aggregator, Errors, Evaluate
from ddp.aggregation.combine import Combine
from ddp.aggregation.make import make_combine
from ddp.backends.make import make_backend
from ddp.config.metrics import RMSE
from ddp.config.schema import Config
from ddp.config.trainer import GibbsTrainer
from ddp.errors import WorkerError
from ddp.machine.memory import memory_of
from ddp.model.parameters import Vector
from ddp.ratings.arrays import Ratings
from ddp.ratings.load import load_ratings
from ddp.ratings.telling import nobody
from ddp.results.kept import kept_model
from ddp.results.measuring import measure
from ddp.results.recording import Recording
from ddp.results.reference import find_reference
from ddp.results.run_directory import run_directory
from ddp.results.run_result import RunResult
from ddp.timing.spans import Spans
from ddp.tracking.messages import (
    AggregateRound,
    Ended,
    MemoryUsed,
    OutsideRounds,
    Preparing,
    Reference,
    Rewound,
    TrainingBegan,
)
from ddp.tracking.sampled import Sampled
from ddp.tracking.tracker import Tracker
from ddp.trainers.trainer import AnyTrainer, trainer_for
from ddp.workers.backend import Backend
from ddp.workers.failures import Failures
from ddp.workers.posterior import Sample
from ddp.workers.prepare import Prepared, prepare
from ddp.workers.state import BestRound, RoundDone, RunState


def run(
    config: Config,
    output_dir: Path,
    trackers: list[Tracker],
    *,
    resume: bool = False,
    began: float | None = None,
) -> RunResult:
    """Runs `config` and writes its files into `output_dir`, which must not hold a run yet.

    With `resume`, `output_dir` holds a run. That run continues from its last checkpoint, and ends
    with the same bits as without an interruption. However the run ends, result.json says so, and
    the run keeps its last aggregate and a checkpoint.

    `began`: the account begins there, at a reading of `time.perf_counter`; None: now. A process
    that serves this run alone gives its own beginning.

    Raises UserError for bad input, WorkerError and AggregationError for a failure on the way.
    """
    with (
        run_directory(config, output_dir, resume=resume),
        Recording(config, output_dir, trackers, resumed=resume, began=began) as recording,
    ):
        with recording.spans("data"):
            tell = nobody if resume else lambda *told: recording.tracker.on(Preparing(*told))
            ratings = load_ratings(config.data, config.data_seed, config.split.test_file, tell)
            state = recording.resume(ratings) if resume else RunState()
            tell("dealing ratings to workers")
            prepared = prepare(config, ratings, state)
        recording.describe(prepared)
        with (
            recording.keeping(prepared),
            closing(train(prepared, state, recording.tracker, recording.spans)) as rounds,
        ):
            for done in rounds:
                recording.round(done)
                state = done.state
        if config.metrics != [RMSE] and (kept := kept_model(state, prepared)) is not None:
            with recording.spans("metrics"):
                recording.know(measured=measure(prepared, kept))
        if config.reference != "false":
            with recording.spans("reference"):
                alone = partial(train_reference, ratings)
                found = find_reference(config, ratings, prepared.deal, alone)
                recording.know(reference=found)
    return recording.result


def train_reference(ratings: Ratings, config: Config) -> Reference:
    """Trains the one worker that a run is compared with. `config`: see `reference_config`."""
    kept: AggregateRound | None = None
    for done in train(prepare(config, ratings)):
        best = done.state.best
        if config.keep == "last" or best is None or best.round_index == done.row.round_index:
            kept = done.row
    assert kept is not None
    return Reference(valid=kept.valid.rmse, test=kept.test.rmse)


def train(
    prepared: Prepared,
    state: RunState | None = None,
    tracker: Tracker | None = None,
    spans: Spans | None = None,
) -> Generator[RoundDone]:
    """Runs workers and aggregator from `state` to the end, and gives every round that counts.

    `state`: the one that `prepared` was made with. `spans`: the stopwatch of the calling thread.
    The caller closes the iterator, which stops the workers. Raises WorkerError, AggregationError
    and BackendError.
    """
    config = prepared.config
    state, tracker, spans = state or RunState(), tracker or Tracker(), spans or Spans()
    failures = Failures(config, tracker.on, state.dropped)
    last: AggregateRound | None = None
    with spans("imports"):
        trainer = trainer_for(config.trainer)
    with _threads(trainer, config.torch_threads) as torch_threads:
        tracker.on(TrainingBegan(torch_threads=torch_threads, num_ratings=prepared.num_ratings))
        while True:
            try:
                with closing(_rounds(prepared, state, failures, tracker, spans)) as rounds:
                    for done in rounds:
                        state, last = done.state, done.row
                        yield done
                return
            except WorkerError as error:
                state = failures.go_back(error, state)
                tracker.on(Rewound(next_round=state.next_round, last=last))
                with spans("data"):
                    prepared = prepare(config, prepared.ratings, state)


def _rounds(
    prepared: Prepared, state: RunState, failures: Failures, tracker: Tracker, spans: Spans
) -> Generator[RoundDone]:
    """The rounds from `state` on. Raises WorkerError if the run cannot go on from there."""
    if state.ended_by(prepared.config):
        return
    combine = make_combine(prepared, state)
    with spans("data"):
        backend = make_backend(prepared, prepared.make_jobs(), tracker.on, spans)
    try:
        with spans("imports"):
            backend.load()
        with spans("start"):
            backend.start()
        tracker.on(OutsideRounds(account=spans.take()))
        aggregator = Aggregator(
            backend,
            combine,
            prepared.vector,
            _evaluation(prepared, combine),
            failures.survive,
            state.elapsed_s,
            state.best,
        )
        for done in aggregator.rounds():
            resumable = not prepared.has_trainer_state or prepared.sends_state(done.row.round_index)
            state = _state_after(done, prepared, combine, failures, state)
            yield RoundDone(row=done.row, state=state, resumable=resumable)
        if prepared.config.account:
            with spans("save"), spans("log"):
                tracker.on(_memory_used(backend))
    finally:
        spans.unwind()
        with spans("stop"):
            backend.stop()
        # a thread that was left behind has no end yet
        for worker, (began, ended) in backend.lifetimes().items():
            tracker.on(Ended(worker=worker, began_s=began, ended_s=ended))


def _evaluation(prepared: Prepared, combine: Combine) -> Evaluate:
    """The function that gives an aggregate's errors on the global validation and test parts.

    If the trainer samples, they are those of the mean of the samples so far, or before the first
    sample those of the last state.
    """
    aggregate = prepared.make_aggregate()

    def evaluate(vector: Vector) -> Errors:
        aggregate.vector[:] = vector
        valid = prepared.evaluate(aggregate, prepared.valid)
        test = prepared.evaluate(aggregate, prepared.test)
        if (posterior := combine.posterior) is None:
            return Errors(valid, test)
        sampled = Sampled(
            valid=valid,
            test=test,
            precision=posterior.precision,
            count=posterior.count,
            effective=posterior.effective,
            drift=posterior.drift,
        )
        if posterior.count:
            valid, test = posterior.errors(prepared.valid.ratings, prepared.test.ratings)
        return Errors(valid, test, sampled)

    return evaluate


def _state_after(
    done: Aggregated, prepared: Prepared, combine: Combine, failures: Failures, before: RunState
) -> RunState:
    vector, best = prepared.in_data_order(done.vector), before.best
    posterior, options = combine.posterior, prepared.config.trainer
    if posterior is not None and posterior.count and isinstance(options, GibbsTrainer):
        trusts = prepared.trusts_in_data_order(posterior.chain.trusts)
        sample = Sample(done.row.round_index, posterior.precision, vector, trusts)
        posterior = posterior.with_sample(sample, options.keep_samples)
        combine.posterior = posterior
    if done.is_best:
        best = BestRound(
            round_index=done.row.round_index,
            valid=done.row.valid,
            vector=vector if prepared.config.keeps_best else None,
        )
    return RunState(
        next_round=done.row.round_index + 1,
        vector=vector,
        best=best,
        trainer_states=done.trainer_states,
        outer_state=combine.outer_state,
        posterior=posterior,
        dropped=tuple(failures.dropped),
        restarts=before.restarts,
        elapsed_s=done.row.elapsed_s,
    )


def _memory_used(backend: Backend) -> MemoryUsed:
    """The RAM of this process and of the processes that serve the workers."""
    main = memory_of(alone=not backend.config.backend.in_processes)
    servers = {name: memory_of(pid) for name, pid in backend.servers().items()}
    return MemoryUsed(processes={"main": main, **servers}, shared_bytes=backend.shared_bytes)


@contextmanager
def _threads(trainer: type[AnyTrainer], number: int) -> Iterator[int | None]:
    """Sets the trainer's threads for the block: a sweep runs several jobs in this process."""
    before = trainer.num_threads()
    trainer.set_threads(number)
    try:
        yield trainer.num_threads()
    finally:
        if before is not None:
            trainer.set_threads(before)
