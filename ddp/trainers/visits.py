"""In what order an epoch of the fused trainer visits the ratings: random, and kind to the caches.

Users and items are cut into ranges, so that the rows of one cell (users x items) fit into the
second-level cache. The ratings lie in memory cell by cell, shuffled once inside each. An epoch
takes the user ranges in random order (the item ranges, if there are more items); the cells of a
range one after another in random order, so that its rows are read into the cache once; and the
chunks of a cell in random order. So memory is read in runs, nothing is gathered through a
permutation, and drawing an order costs one random number a chunk. (As in Zhuang et al., A fast
parallel SGD for matrix factorization in shared memory systems, RecSys 2013, where blocks keep
threads apart.)
"""

from collections.abc import Sequence
from math import ceil

import numpy as np
import numpy.typing as npt

from ddp.ratings.arrays import IndexArray, IntArray
from ddp.trainers.sgd import Chunks

CELL_BYTES = 1 << 18  # rows of a cell: half of a small second-level cache
CELL_RATINGS = 1 << 10  # not so many cells that a cell has fewer ratings than this, on average
CHUNK = 256  # ratings; smaller where there are few, so that an epoch has ...
CHUNKS = 1 << 10  # ... about so many chunks to shuffle
SMALLEST_CHUNK = 16
SLICE = 1 << 20  # ratings whose cells are looked up at a time


def grid_size(num_users: int, num_items: int, dim: int, num_ratings: int) -> int:
    """Into how many ranges the users are cut, and the items."""
    by_cache = ceil((num_users + num_items) * dim * 4 / CELL_BYTES)
    by_ratings = int((num_ratings / CELL_RATINGS) ** 0.5)
    return max(1, min(by_cache, by_ratings))


def cell_of(
    users: IntArray, items: IntArray, num_users: int, num_items: int, grid: int
) -> npt.NDArray[np.unsignedinteger]:
    """The cell of each rating, as narrow integers (n,): range * grid + range of the other kind, of
    which there are fewer rows.
    """
    user_range = np.arange(num_users) * grid // num_users
    item_range = np.arange(num_items) * grid // num_items
    outer = user_range if num_users >= num_items else item_range
    outer *= grid
    narrow = np.min_scalar_type(grid * grid)
    user_range, item_range = user_range.astype(narrow), item_range.astype(narrow)
    cell: npt.NDArray[np.unsignedinteger] = np.empty(len(users), narrow)
    for start in range(0, len(users), SLICE):  # so that nothing else is as long as the ratings
        rows = slice(start, start + SLICE)
        np.add(user_range[users[rows]], item_range[items[rows]], out=cell[rows])
    return cell


def arrange(
    users: IntArray,
    items: IntArray,
    num_users: int,
    num_items: int,
    dim: int,
    random: np.random.Generator,
) -> IndexArray:
    """The permutation (n,) that lays the ratings out cell by cell, in random order inside each."""
    grid = grid_size(num_users, num_items, dim, len(users))
    shuffled: IndexArray = random.permutation(len(users))
    if grid == 1:
        return shuffled
    cell = cell_of(users, items, num_users, num_items, grid)[shuffled]
    return shuffled[np.argsort(cell, kind="stable")]  # of narrow integers: a radix sort


def chunks_of(users: IntArray, items: IntArray, num_users: int, num_items: int, dim: int) -> Chunks:
    """The chunks of ratings that were laid out by `arrange` (of others too, but those may have only
    short runs).
    """
    num_ratings = len(users)
    grid = grid_size(num_users, num_items, dim, num_ratings)
    cell = cell_of(users, items, num_users, num_items, grid)
    ends = np.append(np.flatnonzero(cell[1:] != cell[:-1]) + 1, num_ratings)
    begins = np.append(0, ends[:-1])
    chunk = max(SMALLEST_CHUNK, min(CHUNK, num_ratings // CHUNKS))
    per_run = -(-(ends - begins) // chunk)
    run = np.repeat(np.arange(len(ends)), per_run)
    nth = np.arange(len(run)) - np.repeat(np.cumsum(per_run) - per_run, per_run)
    starts: IndexArray = begins[run] + nth * chunk
    stops: IndexArray = np.minimum(starts + chunk, ends[run])
    cells = cell[starts]
    order = np.argsort(cells, kind="stable")  # where the runs of a cell do not lie together
    return Chunks(
        starts=starts[order],
        stops=stops[order],
        edges=np.append(0, np.cumsum(np.bincount(cells, minlength=grid * grid))),
        first=np.zeros(1, np.int64),
        grids=np.full(1, grid, np.int64),
    )


def joined(blocks: Sequence[Chunks], first_rows: Sequence[int]) -> Chunks:
    """Those of several blocks, whose ratings begin at these rows of all."""
    num_chunks = np.cumsum([0, *(len(block.starts) for block in blocks)])
    return Chunks(
        starts=np.concatenate(
            [block.starts + row for block, row in zip(blocks, first_rows, strict=True)]
        ),
        stops=np.concatenate(
            [block.stops + row for block, row in zip(blocks, first_rows, strict=True)]
        ),
        edges=np.concatenate(
            [block.edges + before for block, before in zip(blocks, num_chunks[:-1], strict=True)]
        ),
        first=np.cumsum([0, *(len(block.edges) for block in blocks)])[:-1],
        grids=np.concatenate([block.grids for block in blocks]),
    )
