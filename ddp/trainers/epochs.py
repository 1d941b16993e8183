"""The turns of some epochs as one compiled loop: for workers that share memory, who then wait for
each other without the GIL.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ddp.machine.compiled.gates import CLOSED, LATE, Gates
from ddp.model.parameters import Vector
from ddp.ratings.arrays import IndexArray, Part
from ddp.trainers.fused import Fused, check_indices, columns_of, seeds
from ddp.trainers.loops import ALL, TEST, VALID, WALL, TimeArray, sgd_in_turns, sgd_selecting
from ddp.trainers.pace import Pace


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """What became of the epochs: whether they were stopped, or for which turn they have waited in
       vain; sums of squared errors, `train` of each epoch.

    `waited_ns`: for each turn; `spent_ns`: see spent.py.
    """

    stopped: bool
    late_for: int | None
    train: list[float]
    valid: float
    test: float
    waited_ns: IndexArray
    spent_ns: TimeArray


class InTurns:
    """What `trainer` does with one block, with one block after another, as their turns come."""

    def __init__(
        self, trainer: Fused, gates: Gates, valid: Part, test: Part, scale: tuple[float, float]
    ) -> None:
        for part in (valid, test):
            check_indices(trainer.parameters, part)
        self.trainer = trainer
        self.counters = gates.counters
        self.pace = Pace()
        self.columns = (
            columns_of(trainer.train, [block.train for block in trainer.blocks]),
            columns_of(valid, [block.valid for block in trainer.blocks]),
            columns_of(test, [block.test for block in trainer.blocks]),
        )
        self.scale = np.float32(scale[0]), np.float32(scale[1])

    def epochs(
        self,
        first_turn: int,
        blocks: Sequence[int],
        number: int,
        order: np.random.Generator,
        timeout_s: float,
        *,
        ends_round: bool,
    ) -> Turned:
        """So many epochs, turn by turn on these blocks. The last one of a round is not passed on
        yet, and only in its last epoch there are errors on validation and test ratings.
        """
        trainer = self.trainer
        train_errors, held_out_errors = np.zeros(number), np.zeros(2)
        waited_ns, spent_ns = np.zeros(len(blocks), np.int64), np.zeros((4, 2), np.int64)
        outcome, turn = sgd_in_turns(
            *trainer.model,
            *self.columns,
            trainer.chunks,
            *trainer.room,
            np.array(blocks, np.int64),
            seeds(order, len(blocks)),
            self.counters,
            first_turn,
            round(timeout_s * 1e9),
            ends_round,
            trainer.next_lrs(number),
            *trainer.regularization,
            *self.scale,
            train_errors,
            held_out_errors,
            waited_ns,
            spent_ns,
        )
        self.pace.took(number, spent_ns[ALL, WALL] / 1e9)
        return Turned(
            stopped=outcome == CLOSED,
            late_for=turn if outcome == LATE else None,
            train=train_errors.tolist(),
            valid=float(held_out_errors[VALID]),
            test=float(held_out_errors[TEST]),
            waited_ns=waited_ns,
            spent_ns=spent_ns,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """What became of the epochs. `train`: mean squared error of each; `best_epoch`: the last of
    them that was better than all before, None if none was, with its `rmse`; `spent_ns`: see
    spent.py.
    """

    train: list[float]
    best_epoch: int | None
    rmse: float
    spent_ns: TimeArray


class Selecting:
    """What `trainer` does in an epoch, several times, judged on the `held_out` ratings (none: no
    state is remembered).
    """

    def __init__(
        self, trainer: Fused, vector: Vector, held_out: Part, scale: tuple[float, float]
    ) -> None:
        """`vector`: of the trainer's parameters."""
        check_indices(trainer.parameters, held_out)
        self.trainer = trainer
        self.vector = vector
        self.train, self.held_out = (
            columns_of(part, [slice(0, len(part))]) for part in (trainer.train, held_out)
        )
        self.scale = np.float32(scale[0]), np.float32(scale[1])
        self.pace = Pace()

    def epochs(
        self, number: int, order: np.random.Generator, best: Vector, rmse: float = math.inf
    ) -> Selected:
        """So many. `best`: the vector of the best state so far, which has this RMSE."""
        trainer = self.trainer
        errors, spent_ns = np.zeros(number), np.zeros((4, 2), np.int64)
        best_epoch, rmse = sgd_selecting(
            *trainer.model,
            self.vector,
            best,
            self.train,
            self.held_out,
            trainer.chunks,
            *trainer.room,
            seeds(order, number),
            trainer.next_lrs(number),
            *trainer.regularization,
            *self.scale,
            rmse,
            errors,
            spent_ns,
        )
        self.pace.took(number, spent_ns[ALL, WALL] / 1e9)
        return Selected(
            train=[error / len(trainer.train) for error in errors.tolist()],
            best_epoch=best_epoch if best_epoch >= 0 else None,
            rmse=rmse,
            spent_ns=spent_ns,
        )
