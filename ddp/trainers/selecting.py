"""Some local epochs as one compiled loop, which remembers the best state: for workers that have the whole model."""

import math
from dataclasses import dataclass

import numpy as np

from ddp.model.parameters import Vector
from ddp.ratings.arrays import Part
from ddp.trainers.fused import Fused, check_indices, columns_of, seeds
from ddp.trainers.pace import Pace
from ddp.trainers.sgd import ALL, WALL, TimeArray, sgd_selecting


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """What became of the epochs. `train`: mean squared error of each; `best_epoch`: the last of them that was better than all
    before, None if none was, with its `rmse`; `spent_ns`: see spent.py."""

    train: list[float]
    best_epoch: int | None
    rmse: float
    spent_ns: TimeArray


class Selecting:
    """What `trainer` does in an epoch, several times, judged on the `held_out` ratings (none: no state is remembered)."""

    def __init__(self, trainer: Fused, vector: Vector, held_out: Part, scale: tuple[float, float]) -> None:
        """`vector`: of the trainer's parameters."""
        check_indices(trainer.parameters, held_out)
        self.trainer = trainer
        self.vector = vector
        self.train, self.held_out = (columns_of(part, [slice(0, len(part))]) for part in (trainer.train, held_out))
        self.scale = np.float32(scale[0]), np.float32(scale[1])
        self.pace = Pace()

    def epochs(self, number: int, order: np.random.Generator, best: Vector, rmse: float = math.inf) -> Selected:
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
