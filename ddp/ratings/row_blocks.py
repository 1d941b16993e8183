"""split=both: the deal of whole users and whole items to workers, in blocks.

The users lie in BLOCKS blocks with about equal work, and so do the items. The blocks do not depend
on the number of workers: a worker gets a range of them.

    blocks of users   | 0 | 1 | 2 | 3 | 4 | 5 |        blocks of items   | 0 | 1 | 2 | 3 | 4 |
    of worker           0   0   0   1   1   1                              0   0   1   1   1

So the number of a row, the sums of a block and the order of the blocks are the same for every
number of workers, and all that follows from them has the same bits.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ddp.counting import counted
from ddp.errors import ConfigError
from ddp.ratings.arrays import IndexArray, IntArray, Ratings
from ddp.ratings.numbering import Numbering

BLOCKS = 128
USERS, ITEMS = SIDES = 0, 1
COLUMNS = 8  # of weights: a worker draws as many together
ROW_WORK = 16  # a row costs as much as so many ratings, besides its own ones


@dataclass(frozen=True, slots=True, kw_only=True)
class RowBlocks:
    """The blocks of rows, and the worker of each.

    | field         | meaning                                                                     |
    |---------------|-----------------------------------------------------------------------------|
    | `workers`     | the workers that take part                                                  |
    | `user_bounds` | block n has the users user_bounds[n] to user_bounds[n + 1] - 1              |
    | `item_bounds` | the same for items                                                          |
    | `user_cuts`   | the nth worker has the blocks user_cuts[n] to user_cuts[n + 1] - 1          |
    | `item_cuts`   | the same for blocks of items                                                |

    The numbers of users and items are those of `Numbering`.
    """

    workers: tuple[int, ...]
    user_bounds: tuple[int, ...]
    item_bounds: tuple[int, ...]
    user_cuts: tuple[int, ...]
    item_cuts: tuple[int, ...]

    @property
    def num_workers(self) -> int:
        """The number of workers that take part."""
        return len(self.workers)

    def bounds(self, side: int) -> tuple[int, ...]:
        """The bounds of the blocks of a side."""
        return self.user_bounds if side == USERS else self.item_bounds

    def blocks(self, side: int, worker: int) -> tuple[int, int]:
        """The worker's blocks of a side: the first, and the one after the last."""
        cuts, place = self.user_cuts if side == USERS else self.item_cuts, self.place(worker)
        return cuts[place], cuts[place + 1]

    def rows(self, side: int, worker: int) -> slice:
        """The worker's rows of a side."""
        first, stop = self.blocks(side, worker)
        return slice(self.bounds(side)[first], self.bounds(side)[stop])

    def place(self, worker: int) -> int:
        """The position of a worker among those that take part."""
        return self.workers.index(worker)


def row_blocks(
    ratings: Ratings, train: IndexArray, workers: Sequence[int]
) -> tuple[RowBlocks, Numbering]:
    """Makes the blocks, deals them to `workers`, and numbers rows block by block.

    `train`: the rows of the training ratings.
    """
    users = _blocks(ratings.users[train], ratings.num_users)
    items = _blocks(ratings.items[train], ratings.num_items)
    blocks = RowBlocks(
        workers=tuple(workers),
        user_bounds=_bounds(users),
        item_bounds=_bounds(items),
        user_cuts=_cuts(ratings.users[train], users, len(workers)),
        item_cuts=_cuts(ratings.items[train], items, len(workers)),
    )
    return blocks, Numbering(users=_numbers(users), items=_numbers(items))


def num_sums(dim: int) -> int:
    """The number of sums of a block of rows with `dim` factors and a bias.

    They are a sum over the rows, of each of the dim + 1 numbers, of each product of two, and two
    more.
    """
    size = dim + 1
    return 1 + size + size * (size + 1) // 2 + 2


def padded(dim: int) -> int:
    """The columns of a line of weights: dim + 1, rounded up to a multiple of 8."""
    return -(-(dim + 1) // COLUMNS) * COLUMNS


def owners_of_users(ratings: Ratings, train: IndexArray, workers: int) -> IntArray:
    """The worker of each user, int32 (num_users,). Raises ConfigError for too many workers."""
    users = _blocks(ratings.users[train], ratings.num_users)
    num_blocks = int(users.max()) + 1
    if num_blocks < workers:
        raise ConfigError(
            "workers",
            workers,
            f"split=both deals users in {counted(num_blocks, 'block')}: use at most"
            f" {counted(num_blocks, 'worker')}",
        )
    cuts = _cuts(ratings.users[train], users, workers)
    owners = np.repeat(np.arange(workers, dtype=np.int32), np.diff(cuts))[users]
    if not np.bincount(owners[ratings.users[train]], minlength=workers).all():
        reason = "split=both deals whole users, and one worker would have no rating: use fewer"
        raise ConfigError("workers", workers, reason)
    return owners


def _blocks(rated: IntArray, num_rows: int) -> IntArray:
    """The block of each row (n,), so that all blocks have about the same work.

    `rated`: the row of each training rating. The row with the most work goes first, to the block
    with the least so far.
    """
    num_blocks = min(BLOCKS, num_rows)
    work = np.bincount(rated, minlength=num_rows) + ROW_WORK
    heap = [(0, block) for block in range(num_blocks)]
    order = np.argsort(-work, kind="stable")
    chosen = []
    for load in work[order].tolist():
        total, block = heap[0]
        heapq.heapreplace(heap, (total + load, block))
        chosen.append(block)
    blocks = np.empty(num_rows, np.int32)
    blocks[order] = chosen
    return blocks


def _bounds(blocks: IntArray) -> tuple[int, ...]:
    return tuple(np.append(0, np.cumsum(np.bincount(blocks))).tolist())


def _numbers(blocks: IntArray) -> IntArray:
    """New numbers, block by block; the rows of a block keep their order."""
    numbers = np.empty(len(blocks), np.int32)
    numbers[np.argsort(blocks, kind="stable")] = np.arange(len(blocks), dtype=np.int32)
    return numbers


def _cuts(rated: IntArray, blocks: IntArray, workers: int) -> tuple[int, ...]:
    """The bounds of the workers' ranges of blocks, with about the same work in each range.

    `rated`: the row of each training rating.
    """
    num_rows = np.bincount(blocks)
    work = np.bincount(blocks[rated], minlength=len(num_rows)) + ROW_WORK * num_rows
    ends = np.cumsum(work)
    shares = ends[-1] * np.arange(1, workers) / workers
    # the cut is before the block whose middle lies behind the share
    cuts = np.searchsorted(ends - work / 2, shares)
    return (0, *cuts.tolist(), len(work))
