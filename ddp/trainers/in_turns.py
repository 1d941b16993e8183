"""The turns of an epoch as one compiled loop: for workers that share memory, who then wait for each other without the GIL."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ddp.gates import CLOSED, LATE, Gates
from ddp.ratings import IndexArray, Part
from ddp.trainers.fused import Fused, check_indices, seeds
from ddp.trainers.kernels import EVALUATING, TEST, TRAIN, VALID, WAITING, Columns, sgd_in_turns


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """What became of it: whether it was stopped, or for which turn it has waited in vain; sums of squared errors."""

    stopped: bool
    late_for: int | None
    train: float
    valid: float
    test: float
    waited_s: float
    evaluated_s: float


class InTurns:
    """What `trainer` does with one block, with one block after another, as their turns come."""

    def __init__(self, trainer: Fused, gates: Gates, valid: Part, test: Part, scale: tuple[float, float]) -> None:
        for part in (valid, test):
            check_indices(trainer.parameters, part)
        self.trainer = trainer
        self.counters = gates.counters
        self.columns = (
            _columns(trainer.train, [block.train for block in trainer.blocks]),
            _columns(valid, [block.valid for block in trainer.blocks]),
            _columns(test, [block.test for block in trainer.blocks]),
        )
        self.scale = np.float32(scale[0]), np.float32(scale[1])

    def epoch(
        self, first_turn: int, blocks: Sequence[int], order: np.random.Generator, timeout_s: float, *, is_last: bool
    ) -> Epoch:
        """Each of the blocks once. The last one of the last epoch of a round is not passed on yet, and there are errors on
        validation and test ratings only then."""
        trainer = self.trainer
        errors, spent_ns = np.zeros(3), np.zeros(2, np.int64)
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
            is_last,
            *trainer.rates(blocks[0]),
            *self.scale,
            errors,
            spent_ns,
        )
        trainer.lrs *= trainer.options.lr_decay
        return Epoch(
            stopped=outcome == CLOSED,
            late_for=turn if outcome == LATE else None,
            train=float(errors[TRAIN]),
            valid=float(errors[VALID]),
            test=float(errors[TEST]),
            waited_s=spent_ns[WAITING] / 1e9,
            evaluated_s=spent_ns[EVALUATING] / 1e9,
        )


def _columns(part: Part, ranges: Sequence[slice]) -> Columns:
    bounds: IndexArray = np.array([0, *(rows.stop for rows in ranges)], np.int64)
    views = part.users.view(), part.items.view(), part.ratings.view()
    for view in views:
        view.setflags(write=False)  # in a tuple numba wants the very type that the kernel names
    return Columns(*views, bounds)
