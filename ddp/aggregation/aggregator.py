"""The aggregator's rounds, the same on every backend: gather, combine, hand back, evaluate.

It evaluates last, when no worker waits for it any more.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ddp.aggregation.combine import Combine
from ddp.errors import AggregationError, WorkerError
from ddp.model.parameters import Vector
from ddp.tracking.messages import AggregateRound
from ddp.tracking.metrics import SquaredError
from ddp.workers.backend import Backend
from ddp.workers.exchange import Update

Result = TypeVar("Result")
Evaluate = Callable[[Vector], tuple[SquaredError, SquaredError]]
# Hears of a worker that failed, and raises the error unless the run goes on without it.
Survive = Callable[[WorkerError], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregated:
    """A round's outcome.

    `vector`: the aggregate; that of the round after the next overwrites it. `trainer_states`: by
    worker, see `Update`.
    """

    row: AggregateRound
    vector: Vector
    trainer_states: dict[int, Vector]


def refuse(error: WorkerError) -> None:
    """No run goes on without a worker."""
    raise error


class Aggregator:
    """Makes an aggregate in every round. `before`: the state that the workers begin with.

    `evaluate`: a vector's errors on the global validation and test parts. `began_s`: seconds of
    training before this. The stopwatch is the backend's; its caller has taken from it what was
    before the first round.
    """

    def __init__(
        self,
        backend: Backend,
        combine: Combine,
        before: Vector,
        evaluate: Evaluate,
        survive: Survive = refuse,
        began_s: float = 0.0,
    ) -> None:
        self.backend = backend
        self.config = backend.config
        self.combine = combine
        self.before = before
        self.evaluate = evaluate
        self.survive = survive
        self.spans = backend.spans
        self.began = time.perf_counter() - began_s

    def rounds(self) -> Iterator[Aggregated]:
        """One round after another. The time that the caller takes with one counts as "record"."""
        for round_index in range(self.backend.first_round, self.config.rounds):
            aggregated = self._round(round_index)
            with self.spans("record"):
                yield aggregated
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
            trainer_states = {
                update.worker: update.trainer_state
                for update in updates
                if len(update.trainer_state)
            }
            ready_s = backend.ready_s(updates)
        with spans("broadcast"):
            backend.broadcast(round_index, vector)
        del updates  # they may be views of what workers write next
        elapsed_s = time.perf_counter() - self.began
        with spans("evaluate"):
            valid, test = self.evaluate(vector)
        with spans("wait"):
            self._without_the_dead(backend.poll)
        self.before = vector
        row = AggregateRound(
            round_index=round_index,
            valid=valid,
            test=test,
            weights=weights,
            elapsed_s=elapsed_s,
            ready_s=ready_s,
            account=spans.take(),
        )
        return Aggregated(row=row, vector=vector, trainer_states=trainer_states)

    def _without_the_dead(self, step: Callable[[], Result]) -> Result:
        """The result of the step; tries again without each worker that fails in it."""
        while True:
            try:
                return step()
            except WorkerError as error:
                self.survive(error)
                self.backend.drop(error.worker)

    def _combined(
        self, round_index: int, updates: Sequence[Update], vector: Vector
    ) -> tuple[float, ...]:
        """Combines the updates into `vector`; gives a weight for each worker.

        An update that cannot be averaged counts as a failure of its worker.
        """
        updates = list(updates)
        while True:
            try:
                counted = self.combine(updates, self.before, vector)
            except AggregationError as error:
                if error.worker is None:
                    raise AggregationError(f"round {round_index}: {error}") from error
                reason = str(error).removeprefix(f"worker {error.worker} ")
                self.survive(
                    WorkerError(error.worker, round_index, reason, phase="publish", diverged=True)
                )
                self.backend.drop(error.worker)
                updates = [update for update in updates if update.worker != error.worker]
            else:
                break
        weights = [0.0] * self.config.workers
        for update, weight in zip(updates, counted, strict=True):
            weights[update.worker] = weight
        return tuple(weights)
