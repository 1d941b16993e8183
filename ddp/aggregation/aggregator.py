"""The aggregator's rounds, the same on every backend: gather, combine, hand back, evaluate.

It evaluates last, when no worker waits for it any more.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from ddp.aggregation.combine import Combine
from ddp.counting import round_of
from ddp.errors import AggregationError, WorkerError
from ddp.model.parameters import Vector
from ddp.tracking.messages import AggregateRound
from ddp.tracking.metrics import SquaredError
from ddp.tracking.sampled import Sampled
from ddp.workers.backend import Backend
from ddp.workers.exchange import Update
from ddp.workers.state import BestRound, ended_by, is_better

Result = TypeVar("Result")


class Errors(NamedTuple):
    """The errors of an aggregate on the global validation and test parts, and the chain's state."""

    valid: SquaredError
    test: SquaredError
    sampled: Sampled | None = None


Evaluate = Callable[[Vector], Errors]
# Is called with the error of a worker; raises it unless the run goes on without that worker.
Survive = Callable[[WorkerError], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregated:
    """The outcome of a round.

    | field            | meaning                                                             |
    |------------------|---------------------------------------------------------------------|
    | `row`            | the figures of the round                                            |
    | `vector`         | the aggregate; it stays as it is until two rounds later             |
    | `is_best`        | True: no round before has a validation RMSE as low                  |
    | `trainer_states` | worker -> its trainer state (see `Update`), of the workers with one |
    """

    row: AggregateRound
    vector: Vector
    is_best: bool
    trainer_states: dict[int, Vector]


def refuse(error: WorkerError) -> None:
    """Ends the run: raises the error of the worker."""
    raise error


class Aggregator:
    """Makes an aggregate in every round.

    | argument   | meaning                                                             |
    |------------|---------------------------------------------------------------------|
    | `before`   | the state that the workers begin with                               |
    | `evaluate` | gives a vector's errors on the global validation and test parts     |
    | `survive`  | decides whether the run goes on after a worker has failed           |
    | `began_s`  | seconds of training before this; above 0 after a checkpoint         |
    | `best`     | the best round before this, if there was one                        |

    The seconds go into the stopwatch of the backend. They count from the caller's last
    `backend.spans.take()`.
    """

    def __init__(
        self,
        backend: Backend,
        combine: Combine,
        before: Vector,
        evaluate: Evaluate,
        survive: Survive = refuse,
        began_s: float = 0.0,
        best: BestRound | None = None,
    ) -> None:
        self.backend = backend
        self.config = backend.config
        self.combine = combine
        self.before = before
        self.evaluate = evaluate
        self.survive = survive
        self.spans = backend.spans
        self.began = time.perf_counter() - began_s
        self.best = best

    def rounds(self) -> Iterator[Aggregated]:
        """One round after another, until a setting ends the run (`ended_by`).

        The caller's time between two rounds counts as "record".
        """
        for round_index in range(self.backend.first_round, self.config.rounds):
            aggregated = self._round(round_index)
            with self.spans("record"):
                yield aggregated
            if self.backend.is_over:
                break
        with self.spans("wait"):
            self._without_the_dead(lambda: self.backend.finish(self.config.round_timeout))

    def _round(self, round_index: int) -> Aggregated:
        backend, spans = self.backend, self.spans
        updates = self._without_the_dead(
            lambda: backend.gather(round_index, self.config.round_timeout)
        )
        with spans("average"):
            vector = backend.aggregate_buffer(round_index)
            weights = self._combined(round_index, updates, vector)
            states = {each.worker: each.trainer_state for each in updates}
            ready_s = backend.ready_s(updates)
        # with `patience` the errors say whether workers go on, and must be known before
        errors = None if self.config.patience is None else self._evaluated(round_index, vector)
        self._end_if_due(round_index)
        with spans("broadcast"):
            backend.broadcast(round_index, vector)
        del updates  # the workers may overwrite the vectors from here on
        elapsed_s = self._elapsed_s()
        errors = errors or self._evaluated(round_index, vector)
        with spans("wait"):
            self._without_the_dead(backend.poll)
        self.before = vector
        row = AggregateRound(
            round_index=round_index,
            valid=errors.valid,
            test=errors.test,
            sampled=errors.sampled,
            weights=weights,
            elapsed_s=elapsed_s,
            lr=self.config.trainer.learning_rate(round_index * self.config.local_epochs),
            ready_s=ready_s,
            account=spans.take(),
        )
        return Aggregated(
            row=row,
            vector=vector,
            is_best=self.best is not None and self.best.round_index == round_index,
            trainer_states={worker: state for worker, state in states.items() if len(state)},
        )

    def _evaluated(self, round_index: int, vector: Vector) -> Errors:
        """The errors of an aggregate, which may be the best one so far."""
        with self.spans("evaluate"):
            errors = self.evaluate(vector)
        if is_better(errors.valid, self.best):
            self.best = BestRound(round_index=round_index, valid=errors.valid)
        return errors

    def _end_if_due(self, round_index: int) -> None:
        """Makes this round the last one if the configuration ends the run early."""
        config = self.config
        if config.may_end_early and ended_by(config, round_index + 1, self.best, self._elapsed_s()):
            self.backend.end()

    def _elapsed_s(self) -> float:
        """Seconds of training so far."""
        return time.perf_counter() - self.began

    def _without_the_dead(self, step: Callable[[], Result]) -> Result:
        """The result of the step. Drops each worker that fails in it, and tries again."""
        while True:
            try:
                return step()
            except WorkerError as error:
                self._drop(error)

    def _combined(
        self, round_index: int, updates: Sequence[Update], vector: Vector
    ) -> tuple[float, ...]:
        """Combines the updates into `vector`, and gives the weight of each worker.

        An update that cannot be averaged counts as a failure of its worker.
        """
        updates = list(updates)
        while True:
            try:
                counted = self.combine(updates, self.before, vector)
            except AggregationError as error:
                worker = error.worker
                if worker is None:
                    raise AggregationError(f"round {round_of(round_index)}: {error}") from error
                if worker in self.backend.workers:  # it was not dropped after it had published
                    reason = str(error).removeprefix(f"worker {worker} ")
                    self._drop(
                        WorkerError(worker, round_index, reason, phase="publish", diverged=True)
                    )
                updates = [update for update in updates if update.worker != worker]
            else:
                break
        weights = [0.0] * self.config.workers
        for update, weight in zip(updates, counted, strict=True):
            weights[update.worker] = weight
        return tuple(weights)

    def _drop(self, error: WorkerError) -> None:
        self.survive(error)
        self.backend.drop(error.worker)
