"""The memory besides the model that the workers of split=both share: sums, weights and residuals.

It lies in one vector of float32 and one of float64, so that a backend can put it where it likes.
"""

from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ddp.model.parameters import Vector
from ddp.model.sweeping import Sweeping
from ddp.ratings.arrays import Doubles
from ddp.ratings.row_blocks import padded


class SideRoom(NamedTuple):
    """The shared arrays of a side about whose rows something is known (weights.py of the trainer).

    `lines` and `turned` are (features, P), `residuals` (rows, P), all float32; `squares` is (P,),
    float64; P = padded(dim).
    """

    lines: Vector
    turned: Vector
    residuals: Vector
    squares: Doubles

    @classmethod
    def of_nothing(cls, width: int) -> "SideRoom":
        """The arrays of a side about which nothing is known. `width`: P."""
        none = np.zeros((0, width), np.float32)
        return cls(none, none, none, np.zeros(width))


@dataclass(frozen=True, slots=True)
class Room:
    """All that workers share besides the model.

    | field    | meaning                                                       |
    |----------|---------------------------------------------------------------|
    | `sums`   | of the blocks, float64, of `Sweeping.sums_shape`              |
    | `trusts` | of users, and of items, float32 (rows,)                       |
    | `sides`  | the arrays of each side; None: nothing is known               |
    """

    sums: Doubles
    trusts: tuple[Vector, Vector]
    sides: tuple[SideRoom | None, SideRoom | None]


def room_sizes(sweeping: Sweeping, dim: int) -> tuple[int, int]:
    """The numbers of float32 and of float64 in the room."""
    floats, doubles = sum(sweeping.num_rows), prod(sweeping.sums_shape(dim))
    for known in filter(None, sweeping.known):
        floats += (2 * known.num_features + known.num_rows) * padded(dim)
        doubles += padded(dim)
    return floats, doubles


def room_in(sweeping: Sweeping, dim: int, floats: Vector, doubles: Doubles) -> Room:
    """Views of two vectors of these sizes."""
    single, double = _Views(floats), _Views(doubles)
    sums = double.next(*sweeping.sums_shape(dim))
    users, items = (single.next(number) for number in sweeping.num_rows)
    sides: list[SideRoom | None] = []
    for known in sweeping.known:
        if known is None:
            sides.append(None)
            continue
        lines, turned = (single.next(known.num_features, padded(dim)) for _ in range(2))
        residuals = single.next(known.num_rows, padded(dim))
        sides.append(SideRoom(lines, turned, residuals, double.next(padded(dim))))
    of_users, of_items = sides
    return Room(sums, (users, items), (of_users, of_items))


def filled_room(
    sweeping: Sweeping, dim: int, floats: Vector | None = None, doubles: Doubles | None = None
) -> Room:
    """The room before the first round, in these vectors of zeros or in new ones.

    It has the weights and trusts that the run continues from.
    """
    num_floats, num_doubles = room_sizes(sweeping, dim)
    floats = np.zeros(num_floats, np.float32) if floats is None else floats
    doubles = np.zeros(num_doubles) if doubles is None else doubles
    room = room_in(sweeping, dim, floats, doubles)
    for trust in room.trusts:
        trust[:] = 1.0
    for trust, start in zip(room.trusts, sweeping.trusts or (), strict=False):
        np.copyto(trust, start)
    for side, start in zip(room.sides, sweeping.weights or (), strict=False):
        if side is not None:
            np.copyto(side.lines, start)
    return room


class _Views:
    """Cuts one array after another from the beginning of a vector."""

    def __init__(self, vector: Any) -> None:
        self.vector, self.start = vector, 0

    def next(self, *shape: int) -> Any:
        first, self.start = self.start, self.start + prod(shape)
        return self.vector[first : self.start].reshape(shape)
