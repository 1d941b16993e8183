"""The facts that all workers of split=both share, besides those of every run."""

from dataclasses import dataclass

from ddp.model.parameters import Vector
from ddp.ratings.arrays import Doubles
from ddp.ratings.known import Known
from ddp.ratings.row_blocks import COLUMNS, SIDES, RowBlocks, num_sums, padded

NUM_FACTS = 2 * len(SIDES)  # strengths of weights' priors, and spreads of trusts' priors
FIRST_SPREAD = 30.0  # of the priors of the trusts (ddp/trainers/posterior/trusts.py)
STEPS = 3  # of a half of an epoch with split=both: two for weights, and one for rows
PHASES = len(SIDES) * STEPS  # of an epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweeping:
    """The facts that the workers of split=both share.

    | field       | meaning                                                               |
    |-------------|-----------------------------------------------------------------------|
    | `blocks`    | the rows of each worker                                               |
    | `num_train` | the number of training ratings of all                                 |
    | `variance`  | of these ratings                                                      |
    | `known`     | the features of users, and of items; None: nothing is known           |
    | `precision` | of the noise, from which the run continues; None: it is new           |
    | `weights`   | of the features, likewise: (features, padded(dim)) each           |
    | `strengths` | of the priors of the weights, likewise                                |
    | `trusts`    | of users, and of items, likewise: float32 (rows,)                     |
    | `spreads`   | of the priors of the trusts, likewise                                 |
    | `sums`      | of all blocks, likewise: (side, block, sum)                           |
    """

    blocks: RowBlocks
    num_train: int
    variance: float
    known: tuple[Known | None, Known | None] = (None, None)
    precision: float | None = None
    weights: tuple[Vector, Vector] | None = None
    strengths: tuple[float, float] = (1.0, 1.0)
    trusts: tuple[Vector, Vector] | None = None
    spreads: tuple[float, float] = (FIRST_SPREAD, FIRST_SPREAD)
    sums: Doubles | None = None

    def num_told(self, worker: int, dim: int) -> int:
        """The floats that a worker tells of its rows, features and blocks after a round.

        They are trusts and weights, and of two floats each sums, strengths and spreads.
        """
        total = 2 * NUM_FACTS
        for side in SIDES:
            rows, features = self.blocks.rows(side, worker), self.features(side, worker)
            first, stop = self.blocks.blocks(side, worker)
            total += rows.stop - rows.start + (features.stop - features.start) * padded(dim)
            total += 2 * (stop - first) * num_sums(dim)
        return total

    @property
    def num_rows(self) -> tuple[int, int]:
        """The number of users, and of items."""
        return self.blocks.user_bounds[-1], self.blocks.item_bounds[-1]

    def features(self, side: int, worker: int) -> slice:
        """The features of a side whose weights a worker publishes; others draw parts of them."""
        known, place = self.known[side], self.blocks.place(worker)
        return _share(0 if known is None else known.num_features, place, self.blocks.num_workers)

    def columns(self, dim: int, worker: int) -> slice:
        """The columns of the weights that a worker draws."""
        groups = padded(dim) // COLUMNS
        own = _share(groups, self.blocks.place(worker), self.blocks.num_workers)
        return slice(own.start * COLUMNS, own.stop * COLUMNS)

    def sums_shape(self, dim: int) -> tuple[int, int, int, int]:
        """The shape of the sums that workers share: (side, parity of the epoch, block, sum).

        A block has the sums of ddp/trainers/posterior/priors.py.
        """
        most = max(len(self.blocks.user_bounds), len(self.blocks.item_bounds)) - 1
        return 2, 2, most, num_sums(dim)


def _share(number: int, place: int, count: int) -> slice:
    """The range of one of `count` workers, who share `number` things."""
    return slice(number * place // count, number * (place + 1) // count)
