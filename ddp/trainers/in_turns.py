"""The turns of an epoch as one compiled loop: for workers that share memory, who then wait for each other without the GIL."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ddp.gates import CLOSED, LATE, Gates
from ddp.ratings import IndexArray, Part
from ddp.scheduling import ASLEEP_S, Meter
from ddp.trainers.fused import Fused, check_indices, seeds
from ddp.trainers.kernels import (
    TEST,
    TRAIN,
    VALID,
    Columns,
    TimeArray,
    sgd_in_turns,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """What became of it: whether it was stopped, or for which turn it has waited in vain; sums of squared errors.

    `waited_ns`: for each turn; `spent_ns`: in all, waiting and evaluating, each wall and on a core (rows and columns as in
    ddp/trainers/kernels.py).
    """

    stopped: bool
    late_for: int | None
    train: float
    valid: float
    test: float
    waited_ns: IndexArray
    spent_ns: TimeArray

    def parts(self, off_core_kind: str, wall_s: float, meter: Meter | None) -> dict[str, float]:
        """Of the wall around the loop: what was compute, waiting for others, evaluating, and off the core without a reason.

        Off its core in the loop a thread was in the run queue, for there is nothing to sleep for, unless it waited for its turn
        (and gave way on purpose); outside of the loop it slept, for whoever holds the GIL.
        """
        (all_ns, all_on_core_ns), (waited_ns, waited_on_core_ns), (evaluated_ns, evaluated_on_core_ns) = self.spent_ns.tolist()
        waited_s, evaluated_s = waited_ns / 1e9, evaluated_ns / 1e9
        parts = {"compute": wall_s - waited_s - evaluated_s}
        if waited_ns:
            parts["wait"] = waited_s
        if evaluated_ns:
            parts["evaluate"] = evaluated_s
        if meter is None:
            return parts
        waiting_off_s = max(0, waited_ns - waited_on_core_ns) / 1e9
        evaluating_off_s = max(0, evaluated_ns - evaluated_on_core_ns) / 1e9
        computing_off_s = max(0.0, (all_ns - all_on_core_ns) / 1e9 - evaluating_off_s - waiting_off_s)
        slept_s = (wall_s - all_ns / 1e9) - (meter.on_cpu_s() - all_on_core_ns / 1e9)
        if slept_s >= ASLEEP_S:
            path = "compute/" + off_core_kind
            parts["compute"] -= slept_s
            parts[path] = slept_s
        if computing_off_s + evaluating_off_s >= ASLEEP_S:
            kind = "run_queue" if meter.knows_queue else "off_cpu"
            for phase, seconds in (("compute", computing_off_s), ("evaluate", evaluating_off_s)):
                if seconds > 0:
                    parts[phase] -= seconds
                    parts[f"{phase}/{kind}"] = parts.get(f"{phase}/{kind}", 0.0) + seconds
        if computing_off_s + evaluating_off_s + waiting_off_s >= ASLEEP_S:
            meter.queued_s()  # is told here, and not to be found again by the next span
        return parts


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
        errors, waited_ns, spent_ns = np.zeros(3), np.zeros(len(blocks), np.int64), np.zeros((3, 2), np.int64)
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
            waited_ns,
            spent_ns,
        )
        trainer.lrs *= trainer.options.lr_decay
        return Epoch(
            stopped=outcome == CLOSED,
            late_for=turn if outcome == LATE else None,
            train=float(errors[TRAIN]),
            valid=float(errors[VALID]),
            test=float(errors[TEST]),
            waited_ns=waited_ns,
            spent_ns=spent_ns,
        )


def _columns(part: Part, ranges: Sequence[slice]) -> Columns:
    bounds: IndexArray = np.array([0, *(rows.stop for rows in ranges)], np.int64)
    views = part.users.view(), part.items.view(), part.ratings.view()
    for view in views:
        view.setflags(write=False)  # in a tuple numba wants the very type that the kernel names
    return Columns(*views, bounds)
