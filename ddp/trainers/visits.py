"""In what order an epoch of the fused trainer visits the ratings: random, and kind to the caches.

Users and items are cut into ranges, so that the rows of one block (users x items) fit into the second-level cache. The
ratings lie in memory block by block, shuffled once inside each. An epoch takes the user ranges in random order (the item
ranges, if there are more items); the blocks of a range one after another in random order, so that its rows are read into the
cache once; and the chunks of a block in random order. So memory is read in runs, nothing is gathered through a permutation,
and drawing an order costs one random number a chunk. (Blocks as in Zhuang et al., A fast parallel SGD for matrix
factorization in shared memory systems, RecSys 2013, where they keep threads apart.)
"""

from math import ceil

import numpy as np

from ddp.ratings import IndexArray, IntArray

BLOCK_BYTES = 1 << 18  # rows of a block: half of a small second-level cache
BLOCK_RATINGS = 1 << 10  # not so many blocks that a block has fewer ratings than this, on average
CHUNK = 256  # ratings; smaller where there are few, so that an epoch has ...
CHUNKS = 1 << 10  # ... about so many chunks to shuffle
SMALLEST_CHUNK = 16


def grid_size(num_users: int, num_items: int, dim: int, num_ratings: int) -> int:
    """Into how many ranges the users are cut, and the items."""
    by_cache = ceil((num_users + num_items) * dim * 4 / BLOCK_BYTES)
    by_ratings = int((num_ratings / BLOCK_RATINGS) ** 0.5)
    return max(1, min(by_cache, by_ratings))


def block_of(users: IntArray, items: IntArray, num_users: int, num_items: int, grid: int) -> IntArray:
    """The block of each rating, int32 (n,): range * grid + range of the other kind, of which there are fewer rows."""
    user_range = (np.arange(num_users, dtype=np.int64) * grid // num_users).astype(np.int32)[users]
    item_range = (np.arange(num_items, dtype=np.int64) * grid // num_items).astype(np.int32)[items]
    outer, inner = (user_range, item_range) if num_users >= num_items else (item_range, user_range)
    block: IntArray = outer * np.int32(grid) + inner
    return block


def arrange(
    users: IntArray, items: IntArray, num_users: int, num_items: int, dim: int, random: np.random.Generator
) -> IndexArray:
    """The permutation (n,) that lays the ratings out block by block, in random order inside each."""
    grid = grid_size(num_users, num_items, dim, len(users))
    shuffled: IndexArray = random.permutation(len(users))
    if grid == 1:
        return shuffled
    block = block_of(users, items, num_users, num_items, grid)[shuffled]
    return shuffled[np.argsort(block.astype(np.min_scalar_type(grid * grid)), kind="stable")]  # 16 bits: a radix sort


class Visits:
    """The chunks of ratings that were laid out by `arrange` (of others too, but those may have only short runs)."""

    def __init__(self, users: IntArray, items: IntArray, num_users: int, num_items: int, dim: int) -> None:
        num_ratings = len(users)
        grid = grid_size(num_users, num_items, dim, num_ratings)
        block = block_of(users, items, num_users, num_items, grid)
        ends = np.append(np.flatnonzero(np.diff(block)) + 1, num_ratings)
        begins = np.append(0, ends[:-1])
        chunk = max(SMALLEST_CHUNK, min(CHUNK, num_ratings // CHUNKS))
        per_run = -(-(ends - begins) // chunk)
        run = np.repeat(np.arange(len(ends)), per_run)
        nth = np.arange(len(run)) - np.repeat(np.cumsum(per_run) - per_run, per_run)
        self.starts: IndexArray = begins[run] + nth * chunk
        self.stops: IndexArray = np.minimum(self.starts + chunk, ends[run])
        self.grid = grid
        self.blocks = block[self.starts].astype(np.int64)

    def shuffled(self, random: np.random.Generator) -> tuple[IndexArray, IndexArray]:
        """The chunks of an epoch: where each starts and stops, in the order of the visit."""
        outer = random.permutation(self.grid)[:, np.newaxis]
        inner = random.permuted(np.tile(np.arange(self.grid), (self.grid, 1)), axis=1)
        rank = (outer * self.grid + inner).ravel()[self.blocks]
        order = np.argsort((rank << 32) | random.integers(0, 1 << 32, len(rank)))
        return self.starts[order], self.stops[order]
