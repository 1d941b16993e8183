"""All that the next round of a run depends on, besides its config and its ratings."""

from dataclasses import dataclass, field

from ddp.model.parameters import Vector
from ddp.tracking.messages import AggregateRound


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """Where a run stands between two rounds.

    Random streams have no state: seed, worker and round address them.

    | field            | meaning                                                                |
    |------------------|------------------------------------------------------------------------|
    | `next_round`     | the round that comes next                                              |
    | `vector`         | the last aggregate, rows in the order of the data; None before round 0 |
    | `trainer_states` | worker -> the trainer state of its last update, of workers with one    |
    | `outer_state`    | the state of the outer optimizer                                       |
    | `dropped`        | the workers that were dropped                                          |
    | `restarts`       | the number of times that a round began again                           |
    | `elapsed_s`      | seconds of training so far                                             |
    """

    next_round: int = 0
    vector: Vector | None = None
    trainer_states: dict[int, Vector] = field(default_factory=dict)
    outer_state: tuple[Vector, ...] = ()
    dropped: tuple[int, ...] = ()
    restarts: int = 0
    elapsed_s: float = 0.0


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
