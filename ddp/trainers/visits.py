"""The visit order of the fused trainer: random, and kind to the caches.

| part | is | its order in an epoch |
|---|---|---|
| range | consecutive users or items | random; the kind with more rows comes first |
| cell | a range of users x a range of items | random within a range of the first kind |
| chunk | consecutive ratings of a cell | random within its cell |

The parameters of a cell fit into the second-level cache. The ratings lie in RAM cell by cell,
shuffled once within each. So an epoch reads RAM in long runs, gathers nothing through a
permutation, and draws one random number per chunk. Zhuang et al. (A fast parallel SGD for matrix
factorization in shared memory systems, RecSys 2013) visit blocks in this way; their blocks also
keep threads apart.
"""

from collections.abc import Sequence
from math import ceil

import numpy as np
import numpy.typing as npt

from ddp.machine.compiled.simd import FLOAT_BYTES
from ddp.ratings.arrays import IndexArray, IntArray
from ddp.trainers.sgd import Chunks

CELL_BYTES = 1 << 18  # the parameters of a cell: half of a small second-level cache
CELL_RATINGS = 1 << 10  # the least number of ratings per cell, on average
# A chunk has CHUNK ratings. A block with fewer than CHUNK * CHUNKS ratings has smaller chunks, so
# that an epoch still shuffles about CHUNKS of them, but none is smaller than SMALLEST_CHUNK.
CHUNK, SMALLEST_CHUNK = 256, 16
CHUNKS = 1 << 10
SLICE = 1 << 20  # ratings at a time in `cell_of`


def grid_size(num_users: int, num_items: int, dim: int, num_ratings: int) -> int:
    """The number of ranges of users; there are as many ranges of items."""
    by_cache = ceil((num_users + num_items) * dim * FLOAT_BYTES / CELL_BYTES)
    by_ratings = int((num_ratings / CELL_RATINGS) ** 0.5)
    return max(1, min(by_cache, by_ratings))


def cell_of(
    users: IntArray, items: IntArray, num_users: int, num_items: int, grid: int
) -> npt.NDArray[np.unsignedinteger]:
    """The cell of each rating, as narrow unsigned integers (n,).

    A cell is `range * grid + other range`. The first range is of users if there are at least as
    many users as items, else of items.
    """
    user_range = np.arange(num_users) * grid // num_users
    item_range = np.arange(num_items) * grid // num_items
    outer = user_range if num_users >= num_items else item_range
    outer *= grid
    narrow = np.min_scalar_type(grid * grid)
    user_range, item_range = user_range.astype(narrow), item_range.astype(narrow)
    cell: npt.NDArray[np.unsignedinteger] = np.empty(len(users), narrow)
    for start in range(0, len(users), SLICE):  # in slices, to save RAM
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
    """The permutation that lays the ratings out cell by cell, in random order within each; (n,)."""
    grid = grid_size(num_users, num_items, dim, len(users))
    shuffled: IndexArray = random.permutation(len(users))
    if grid == 1:
        return shuffled
    cell = cell_of(users, items, num_users, num_items, grid)[shuffled]
    return shuffled[np.argsort(cell, kind="stable")]  # numpy sorts narrow integers by radix


def chunks_of(users: IntArray, items: IntArray, num_users: int, num_items: int, dim: int) -> Chunks:
    """The chunks of the ratings of one block, which `arrange` has laid out.

    Any other order works too, with shorter chunks.
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
    # Brings the chunks of a cell together if `arrange` has not laid out the ratings.
    order = np.argsort(cells, kind="stable")
    return Chunks(
        starts=starts[order],
        stops=stops[order],
        edges=np.append(0, np.cumsum(np.bincount(cells, minlength=grid * grid))),
        first=np.zeros(1, np.int64),
        grids=np.full(1, grid, np.int64),
    )


def joined(blocks: Sequence[Chunks], first_rows: Sequence[int]) -> Chunks:
    """The chunks of several blocks together. `first_rows`: where the ratings of each begin."""
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
