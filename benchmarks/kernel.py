"""Million ratings per second: `python -m benchmarks.kernel [--repeats 5] [--data ...] [--dims ...] [-- OVERRIDE ...]`.

Each trainer, and LIBMF, Cornac and Surprise (`make benchmark-peers` installs them), on MovieLens 100K and on 5 million
synthetic ratings of 50,000 users for 20,000 items drawn by a power law: same ratings, same embedding size, as many threads.
Epochs only. Two workers of ours have a model and half of the ratings each; two threads of a peer share one model.

Each contender has a process of its own, in which nothing else runs; all are measured in turn.
"""

import multiprocessing
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from benchmarks.contenders import CONTENDERS, Case, save
from benchmarks.measure import Figures, Row, Table, add_ratio, command_line, compose_config, in_turn, report
from ddp.datasets import load_ratings

DATA = {
    "ml100k": ("data=ml100k",),
    "synthetic": ("data=synthetic", "data.num_users=50000", "data.num_items=20000", "data.num_ratings=5000000"),
}
RATE = "million ratings/s"
OURS, BASELINES = "fused", ("LIBMF", "Cornac")


def main() -> None:
    """The command."""
    parser = command_line("kernel", __doc__)
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA), help="some of them")
    parser.add_argument("--dims", nargs="+", type=int, default=[32, 64, 128], metavar="K", help="embedding sizes")
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2], metavar="N", help="one thread each")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), help="some of them")
    parser.add_argument("--visits", type=int, default=20_000_000, help="ratings per measurement, about (slow contenders: a 20th)")
    parser.add_argument("overrides", nargs="*", default=[], help="further options of train.py, for all, after --")
    arguments = parser.parse_intermixed_args()
    rows: list[Row] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        spawn = multiprocessing.get_context("spawn")
        pools = {name: stack.enter_context(ProcessPoolExecutor(1, spawn)) for name in arguments.contenders}
        for name in arguments.data:
            overrides = (*DATA[name], *arguments.overrides)
            for case in _cases(overrides, folder / f"{name}.npz", arguments.dims, arguments.workers, arguments.visits):
                rows += _measured(name, case, pools, arguments.repeats)
    title = f"{RATE}, median (lowest - highest) of {arguments.repeats}"
    report("kernel", arguments, rows, [_table(title, rows, arguments.contenders)])


def _cases(overrides: Sequence[str], file: Path, dims: Sequence[int], workers: Sequence[int], visits: int) -> Iterator[Case]:
    config = compose_config(overrides)
    ratings = load_ratings(config.data, config.seed)
    save(ratings, file)
    for dim in dims:
        for number in workers:
            yield Case(
                ratings_file=file,
                num_users=ratings.num_users,
                num_items=ratings.num_items,
                dim=dim,
                workers=number,
                num_visits=visits,
                overrides=tuple(overrides),
            )


def _measured(data: str, case: Case, pools: Mapping[str, Executor], repeats: int) -> list[Row]:
    """One row per contender, with its ratios."""

    def candidate(name: str) -> Callable[[], Figures]:
        return lambda: {RATE: pools[name].submit(CONTENDERS[name], case).result()}

    rows = in_turn(
        [({"data": data, "k": case.dim, "workers": case.workers, "contender": name}, candidate(name)) for name in pools], repeats
    )
    for baseline in [row for row in rows if row.labels["contender"] in BASELINES]:
        add_ratio(rows, f"times {baseline.labels['contender']}", RATE, baseline, faster=False)
    return rows


def _table(title: str, rows: Sequence[Row], contenders: Sequence[str]) -> Table:
    """A line per case: the contenders side by side, and how ours compares."""
    ours = contenders.index(OURS) if OURS in contenders else None
    ratios = [f"times {name}" for name in BASELINES if ours is not None and name in contenders]
    cells = []
    for start in range(0, len(rows), len(contenders)):
        case = rows[start : start + len(contenders)]
        names = [str(case[0].labels[key]) for key in ("data", "k", "workers")]
        rates = [row.cell(RATE) for row in case]
        cells.append([*names, *rates, *(case[ours].cell(ratio) for ratio in ratios if ours is not None)])
    return Table(
        title=title, header=["data", "k", "workers", *contenders, *(f"{OURS}, {ratio}" for ratio in ratios)], cells=cells
    )


if __name__ == "__main__":
    main()
