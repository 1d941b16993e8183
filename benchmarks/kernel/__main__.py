"""How many million ratings per second does a trainer visit? `python -m benchmarks.kernel`

Our trainers run beside LIBMF, Cornac and Surprise (`make benchmark-peers` installs them), on
MovieLens 100K and on 5 million synthetic ratings of 50,000 users for 20,000 items drawn by a power
law. All have the same ratings, the same embedding size and as many threads. Only epochs count. Two
workers of ours have a model and half of the ratings each; two threads of another library share one
model.

Each contender has a process of its own, in which nothing else runs; all take turns. LIBMF's threads
sometimes wait for each other for ever: after `--deadline` seconds the benchmark kills the process
and measures again.
"""

import argparse
import multiprocessing
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path

from benchmarks.data_sets import DATA
from benchmarks.harness import (
    Figures,
    Labels,
    Row,
    Table,
    Unavailable,
    add_overrides,
    add_ratio,
    command_line,
    in_turn,
    report,
)
from benchmarks.kernel.contenders import CONTENDERS, Case, save
from benchmarks.train_runs import compose_config
from ddp.ratings.load import load_ratings

RATE = "million ratings/s"
OURS, BASELINES = "fused", ("LIBMF", "Cornac")
ATTEMPTS = 3


def _arguments() -> argparse.Namespace:
    parser = command_line("kernel", __doc__)
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA), help="only these")
    parser.add_argument(
        "--dims", nargs="+", type=int, default=[32, 64, 128], metavar="K", help="embedding sizes"
    )
    parser.add_argument(
        "--workers",
        nargs="+",
        type=int,
        default=[1, 2],
        metavar="N",
        help="numbers of workers, each a thread",
    )
    parser.add_argument(
        "--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), help="only these"
    )
    parser.add_argument(
        "--visits",
        type=int,
        default=20_000_000,
        help="ratings per measurement, about; slow contenders visit a 20th of them",
    )
    parser.add_argument(
        "--deadline",
        type=float,
        default=120.0,
        metavar="S",
        help="seconds after which a measurement is killed and begins again",
    )
    add_overrides(parser)
    return parser.parse_intermixed_args()


def main() -> None:
    """The command."""
    arguments = _arguments()
    rows: list[Row] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        children = [
            stack.enter_context(Child(name, arguments.deadline)) for name in arguments.contenders
        ]
        for name in arguments.data:
            overrides = (*DATA[name], *arguments.overrides)
            for case in _cases(
                overrides,
                folder / f"{name}.npz",
                arguments.dims,
                arguments.workers,
                arguments.visits,
            ):
                rows += _measured(name, case, children, arguments.repeats)
    title = f"{RATE}, median (lowest - highest) of {arguments.repeats}"
    report("kernel", arguments, rows, [_table(title, rows, arguments.contenders)])


def _cases(
    overrides: Sequence[str], file: Path, dims: Sequence[int], workers: Sequence[int], visits: int
) -> Iterator[Case]:
    config = compose_config(overrides)
    ratings = load_ratings(config.data, config.data_seed)
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


class Child(AbstractContextManager["Child"]):
    """The process of a contender. A process that hangs is replaced."""

    def __init__(self, name: str, deadline_s: float) -> None:
        self.name = name
        self.deadline_s = deadline_s
        self._pool = self._start()

    def _start(self) -> Pool:
        return multiprocessing.get_context("spawn").Pool(1)

    def measure(self, case: Case) -> Figures:
        """Million ratings per second. Raises Unavailable if the contender hangs every time."""
        for _ in range(ATTEMPTS):
            try:
                return {
                    RATE: self._pool.apply_async(CONTENDERS[self.name], (case,)).get(
                        self.deadline_s
                    )
                }
            except multiprocessing.TimeoutError:
                print(
                    f"{self.name} has not ended within {self.deadline_s:g} s: killed, and begun"
                    " anew",
                    file=sys.stderr,
                )
                self._pool.terminate()
                self._pool = self._start()
        raise Unavailable(
            f"{self.name}: has not ended within {self.deadline_s:g} s, {ATTEMPTS} times"
        )

    def __exit__(self, *_: object) -> None:
        self._pool.terminate()
        self._pool.join()


def _measured(data: str, case: Case, children: Sequence[Child], repeats: int) -> list[Row]:
    """One row per contender, with its ratios."""
    labels: Labels = {"data": data, "k": case.dim, "workers": case.workers}
    rows = in_turn(
        [({**labels, "contender": child.name}, partial(child.measure, case)) for child in children],
        repeats,
    )
    for baseline in [row for row in rows if row.labels["contender"] in BASELINES]:
        add_ratio(rows, f"times {baseline.labels['contender']}", RATE, baseline, faster=False)
    return rows


def _table(title: str, rows: Sequence[Row], contenders: Sequence[str]) -> Table:
    """One line per case: the contenders side by side, and the ratios of ours to them."""
    ours = contenders.index(OURS) if OURS in contenders else None
    ratios = [f"times {name}" for name in BASELINES if ours is not None and name in contenders]
    cells = []
    for start in range(0, len(rows), len(contenders)):
        case = rows[start : start + len(contenders)]
        names = [str(case[0].labels[key]) for key in ("data", "k", "workers")]
        rates = [row.cell(RATE) for row in case]
        cells.append(
            [*names, *rates, *(case[ours].cell(ratio) for ratio in ratios if ours is not None)]
        )
    return Table(
        title=title,
        header=["data", "k", "workers", *contenders, *(f"{OURS}, {ratio}" for ratio in ratios)],
        cells=cells,
    )


if __name__ == "__main__":
    main()
