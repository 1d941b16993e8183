"""All that the next round of a run depends on, besides its config and its ratings."""

import math
from dataclasses import dataclass, field

from ddp.config.schema import Config
from ddp.model.parameters import Vector
from ddp.tracking.messages import AggregateRound
from ddp.tracking.metrics import SquaredError
from ddp.workers.posterior import Posterior


@dataclass(frozen=True, slots=True, kw_only=True)
class BestRound:
    """The round whose aggregate has the lowest validation RMSE so far; of equal ones the first.

    `valid`: the errors of that aggregate. `vector`: the aggregate, rows in the order of the data;
    None if the run keeps its last aggregate.
    """

    round_index: int
    valid: SquaredError
    vector: Vector | None = None


def is_better(valid: SquaredError, best: BestRound | None) -> bool:
    """True if these validation errors are lower than those of the best round so far."""
    return valid.mse < (math.inf if best is None else best.valid.mse)


def ended_by(
    config: Config, next_round: int, best: BestRound | None, elapsed_s: float
) -> str | None:
    """The setting by which a run ends after `next_round` rounds; None: the run goes on.

    | name          | the run ends because                                                      |
    |---------------|---------------------------------------------------------------------------|
    | `rounds`      | it has done all rounds                                                    |
    | `patience`    | so many rounds brought no lower validation RMSE                           |
    | `max_seconds` | so many seconds of training have passed                                   |
    """
    if next_round >= config.rounds:
        return "rounds"
    if (
        config.patience is not None
        and best is not None
        and next_round - 1 - best.round_index >= config.patience
    ):
        return "patience"
    if config.max_seconds is not None and elapsed_s >= config.max_seconds:
        return "max_seconds"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """Where a run stands between two rounds.

    Random streams have no state: seed, worker and round address them.

    | field            | meaning                                                                |
    |------------------|------------------------------------------------------------------------|
    | `next_round`     | the index of the round that comes next: so many rounds are done        |
    | `vector`         | the last aggregate, rows in the order of the data; None before round 1 |
    | `trainer_states` | worker -> the trainer state of its last update, of workers with one    |
    | `outer_state`    | the state of the outer optimizer                                       |
    | `best`           | the best round so far; None if no round had validation errors          |
    | `posterior`      | the samples so far; None unless the aggregate is a mean of samples     |
    | `dropped`        | the workers that were dropped                                          |
    | `restarts`       | the number of times that a round began again                           |
    | `elapsed_s`      | seconds of training so far                                             |
    """

    next_round: int = 0
    vector: Vector | None = None
    trainer_states: dict[int, Vector] = field(default_factory=dict)
    outer_state: tuple[Vector, ...] = ()
    best: BestRound | None = None
    posterior: Posterior | None = None
    dropped: tuple[int, ...] = ()
    restarts: int = 0
    elapsed_s: float = 0.0

    def ended_by(self, config: Config) -> str | None:
        """The setting by which the run ends here, see `ended_by`; None: the run goes on."""
        return ended_by(config, self.next_round, self.best, self.elapsed_s)

    def kept(self, config: Config) -> Vector | None:
        """The vector that the run keeps: of the best round, or the last one."""
        if config.keeps_best and self.best is not None:
            return self.best.vector
        return self.vector

    def kept_round_index(self, config: Config) -> int | None:
        """The index of the round of that vector; None before the first round has ended."""
        if config.keeps_best and self.best is not None:
            return self.best.round_index
        return self.next_round - 1 if self.next_round else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundDone:
    """A round that is done.

    | field       | meaning                                                                     |
    |-------------|-----------------------------------------------------------------------------|
    | `row`       | its figures                                                                 |
    | `state`     | where the run stands after it                                               |
    | `resumable` | True: the state has all trainer states, so a checkpoint can hold it         |
    """

    row: AggregateRound
    state: RunState
    resumable: bool
