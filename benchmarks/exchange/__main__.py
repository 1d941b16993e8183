"""How long does a round of exchange take? `python -m benchmarks.exchange`

The real loops of ddp run on each backend, with a model of so many floats and one rating per worker,
so that there is hardly anything to compute. A worker's round of exchange is its time to publish, to
wait and to receive. Its epoch does not count, nor does the copy that keeps its best state. Figures
are means over the workers and medians over the rounds. Workers never begin at quite the same
moment, so a round contains some waiting for each other.

| row or column   | meaning                                                                      |
| --------------- | ---------------------------------------------------------------------------- |
| last to publish | the round of the worker that waits least: it begins when the others have     |
|                 | published, and ends when all have received                                   |
| copy            | one np.copyto of the same floats between warm buffers                        |
| gloo            | `torch.distributed`'s all_reduce (sum) after a barrier, the slowest rank     |
| copies needed   | the least that shared memory needs: publishing and receiving, as many at a   |
|                 | time as there are cores, and averaging, which reads the vector of every      |
|                 | worker and writes one (half a copy each)                                     |
"""

from collections.abc import Callable, Sequence
from functools import partial

from benchmarks.exchange.baselines import all_reduce, copies_needed, copy
from benchmarks.exchange.rounds import ROUND, exchange
from benchmarks.harness import Figures, Row, Table, add_ratio, command_line, in_turn, report

SIZES = (87_000, 1_000_000, 10_000_000, 50_000_000)  # 87,000: MovieLens 100K with embedding size 32
FLOATS_TO_MOVE = 10_000_000  # in all rounds of a measurement, about
BACKENDS = ("thread", "process", "shm")
COPY, GLOO = "copy", "gloo"
TIMES_COPIES, TIMES_GLOO = "times the copies needed", "times gloo"
PARTS = (
    "last to publish, ms",
    "publish, ms",
    "gather, ms",
    "average, ms",
    "broadcast, ms",
    "receive, ms",
    "lock held, ms",
    "lock held at most, ms",
    "pickled, kB",
)


def main() -> None:
    """The command."""
    parser = command_line("exchange", __doc__)
    parser.add_argument(
        "--sizes", nargs="+", type=int, default=SIZES, metavar="FLOATS", help="sizes of the vector"
    )
    parser.add_argument(
        "--workers", nargs="+", type=int, default=(1, 2, 5), metavar="N", help="numbers of workers"
    )
    parser.add_argument(
        "--backends", nargs="+", choices=BACKENDS, default=BACKENDS, help="measure only these"
    )
    parser.add_argument(
        "--rounds",
        type=int,
        help="rounds per measurement (default: 100 of the smallest size, 5 of the largest)",
    )
    arguments = parser.parse_args()
    rows: list[Row] = []
    for size in arguments.sizes:
        for workers in arguments.workers:
            rounds = arguments.rounds or min(100, max(5, FLOATS_TO_MOVE // size))
            rows += measured(size, workers, rounds, arguments.backends, arguments.repeats)
    report("exchange", arguments, rows, [_table(rows, arguments.repeats)])


def measured(
    size: int, workers: int, rounds: int, backends: Sequence[str], repeats: int
) -> list[Row]:
    """One row per backend, after those of the copy and of gloo, with their ratios."""
    candidates: dict[str, Callable[[], Figures]] = {
        COPY: partial(copy, size, rounds, copies_needed(workers)),
        GLOO: partial(all_reduce, size, workers, rounds),
        **{backend: partial(exchange, backend, size, workers, rounds) for backend in backends},
    }
    rows = in_turn(
        [
            ({"floats": size, "workers": workers, "by": name}, measure)
            for name, measure in candidates.items()
        ],
        repeats,
    )
    add_ratio(rows, TIMES_COPIES, ROUND, rows[0], faster=False)
    add_ratio(rows, TIMES_GLOO, ROUND, rows[1], faster=False)
    return rows


def _table(rows: Sequence[Row], repeats: int) -> Table:
    names = (ROUND, TIMES_COPIES, TIMES_GLOO)
    return Table(
        title=f"A round of exchange: median (lowest - highest) of {repeats}",
        header=["floats", "workers", "by", *names, *PARTS],
        cells=[
            [
                *(f"{row.labels['floats']:,}", str(row.labels["workers"]), str(row.labels["by"])),
                *(row.cell(name) for name in names),
                *(row.cell(name, spread=False) for name in PARTS),
            ]
            for row in rows
        ],
    )


if __name__ == "__main__":
    main()
