"""The facts that all workers of split=both share, besides those of every run."""

from dataclasses import dataclass

from ddp.model.parameters import Vector
from ddp.ratings.known import Known
from ddp.ratings.row_blocks import SIDES, RowBlocks, num_sums

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
    | `weights`   | of the features, likewise: (features, dim + 1) for each side          |
    | `strengths` | of the priors of the weights, likewise                                |
    """

    blocks: RowBlocks
    num_train: int
    variance: float
    known: tuple[Known | None, Known | None] = (None, None)
    precision: float | None = None
    weights: tuple[Vector, Vector] | None = None
    strengths: tuple[float, float] = (1.0, 1.0)

    def features(self, side: int, worker: int) -> slice:
        """The features of a side whose weights a worker publishes; others draw parts of them."""
        known, place = self.known[side], self.blocks.place(worker)
        return _share(0 if known is None else known.num_features, place, self.blocks.num_workers)

    def columns(self, dim: int, worker: int) -> slice:
        """The columns of the weights that a worker draws."""
        return _share(dim + 1, self.blocks.place(worker), self.blocks.num_workers)

    def sums_shape(self, dim: int) -> tuple[int, int, int, int]:
        """The shape of the sums that workers share: (side, parity of the epoch, block, sum).

        A block has the sums of ddp/trainers/posterior/priors.py.
        """
        most = max(len(self.blocks.user_bounds), len(self.blocks.item_bounds)) - 1
        return 2, 2, most, num_sums(dim)


def _share(number: int, place: int, count: int) -> slice:
    """The range of one of `count` workers, who share `number` things."""
    return slice(number * place // count, number * (place + 1) // count)
