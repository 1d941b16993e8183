"""How near is the kernel of trainer=gibbs to the limit of a core? `python -m benchmarks.row_kernel`

A measurement draws all users, or all items, given all ratings. It counts the multiply-adds that the
model needs, with K = k + 1 numbers per row:

| for each | multiply-adds                                                      |
|----------|--------------------------------------------------------------------|
| rating   | K (K + 1) / 2 + K: the upper half of a product of K x K, and b     |
| row      | K^3 / 6 + K^2: a Cholesky factor, and two triangular solves        |

So what the kernel computes besides (both halves of blocks on the diagonal, random numbers, packing)
does not count. The limit is a product of dense float32 matrices of 256 x 256 in the cache, right
before and after, by one thread of torch. Times are CPU seconds of the thread, the shortest of many
calls, because other programs may use the machine.
"""

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from benchmarks.data_sets import DATA
from benchmarks.harness import (
    Figures,
    Labels,
    add_overrides,
    command_line,
    in_turn,
    report,
    table_of,
)
from benchmarks.train_runs import compose_config
from ddp.machine.compiled.lanes import lines_before
from ddp.machine.compiled.simd import LANES
from ddp.ratings.arrays import IntArray, Ratings
from ddp.ratings.load import load_ratings
from ddp.trainers.posterior.arguments import Prior, RowRatings, Rule, Side
from ddp.trainers.posterior.places import memory_floats
from ddp.trainers.posterior.priors import lay_out
from ddp.trainers.posterior.rows import draw_rows

RATE, LIMIT, SHARE = "billion multiply-adds/s", "of a dense product", "share of it, %"
SIZE = 256  # of the dense product: three matrices fill 768 KB
MEAN = np.float32(3.5)


def main() -> None:
    """The command."""
    parser = command_line("row_kernel", __doc__)
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA), help="only these")
    parser.add_argument(
        "--dims", nargs="+", type=int, default=[8, 16, 32, 64], metavar="K", help="embedding sizes"
    )
    parser.add_argument(
        "--seconds", type=float, default=0.5, metavar="S", help="length of a measurement, about"
    )
    add_overrides(parser)
    arguments = parser.parse_intermixed_args()
    candidates: list[tuple[Labels, Callable[[], Figures]]] = []
    for name in arguments.data:
        config = compose_config((*DATA[name], *arguments.overrides))
        ratings = load_ratings(config.data, config.data_seed)
        for dim in arguments.dims:
            for side in ("users", "items"):
                measure = partial(measured, ratings, dim, side, arguments.seconds)
                candidates.append(({"data": name, "k": dim, "rows": side}, measure))
    rows = in_turn(candidates, arguments.repeats)
    title = f"Rows drawn, median (lowest - highest) of {arguments.repeats}"
    table = table_of(title, rows, ["data", "k", "rows"], [RATE, LIMIT, SHARE])
    report("row_kernel", arguments, rows, [table])


def measured(ratings: Ratings, dim: int, side: str, seconds: float) -> Figures:
    """The rate of the kernel, and of a dense product before and after it."""
    draw, work = drawing(ratings, dim, side)
    product = dense_product()
    shortest = min(shortest_s(product, seconds / 4), shortest_s(product, seconds / 4))
    rate = work / shortest_s(draw, seconds / 2) / 1e9
    shortest = min(shortest, shortest_s(product, seconds / 4))
    limit = SIZE**3 / shortest / 1e9
    return {RATE: rate, LIMIT: limit, SHARE: 100 * rate / limit}


def shortest_s(call: Callable[[], object], seconds: float) -> float:
    """CPU seconds of the shortest call, of as many as fit into so many seconds."""
    call()
    shortest, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.thread_time()
        call()
        shortest = min(shortest, time.thread_time() - began)
    return shortest


def dense_product() -> Callable[[], object]:
    """Multiplies two matrices in the cache."""
    torch.set_num_threads(1)
    one, other, out = (torch.rand(SIZE, SIZE) for _ in range(3))
    return partial(torch.mm, one, other, out=out)


def drawing(ratings: Ratings, dim: int, side: str) -> tuple[Callable[[], object], float]:
    """Draws all rows of a side once; and the multiply-adds of that."""
    is_users = side == "users"
    own, other = (ratings.users, ratings.items) if is_users else (ratings.items, ratings.users)
    generator = np.random.default_rng(0)
    counts = np.bincount(own)
    drawn, given = (_side(generator, int(rows.max()) + 1, dim) for rows in (own, other))
    prior, size = _prior(dim), dim + 1
    call = partial(
        draw_rows,
        _sorted(own, other, ratings),
        0,
        drawn,
        given,
        MEAN,
        np.float32(1),
        prior,
        prior.right[None, :].copy(),
        Rule(noise=np.float32(1), weighted=np.float32(0), trusts=np.float32(0), key=np.uint64(1)),
        np.zeros(len(counts)),
        np.zeros(memory_floats(dim), np.float32),
    )
    of_ratings = len(own) * (size * (size + 1) / 2 + size)
    return call, of_ratings + len(counts) * (size**3 / 6 + size**2)


def _side(generator: np.random.Generator, number: int, dim: int) -> Side:
    factors = generator.normal(0, 0.3, (number, dim)).astype(np.float32)
    return Side(factors, np.zeros(number, np.float32), np.ones(number, np.float32))


def _prior(dim: int) -> Prior:
    size = dim + 1
    prior = Prior(
        matrix=np.eye(size),
        mean=np.zeros(size),
        lines=np.zeros((lines_before(-(-dim // LANES)), LANES), np.float32),
        right=np.zeros(size, np.float32),
        single=np.zeros((size, size), np.float32),
    )
    lay_out(prior)
    return prior


def _sorted(own: IntArray, other: IntArray, ratings: Ratings) -> RowRatings:
    order = np.argsort(own, kind="stable")
    others, values = other[order].astype(np.int32), ratings.ratings[order].astype(np.float32)
    for column in (others, values):
        column.setflags(write=False)
    starts = np.concatenate([[0], np.cumsum(np.bincount(own))]).astype(np.int64)
    return RowRatings(starts, others, values)


if __name__ == "__main__":
    main()
