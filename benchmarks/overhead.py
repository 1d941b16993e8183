"""How much does it cost to know where every second goes? `python -m benchmarks.overhead`

The same job runs with `account=true` and `account=false` in turn, in one process. The first two
figures are seconds of training, and seconds of the whole run, which with an account also reads the
memory of its processes and writes trace.json. The third is CPU seconds of the main process, which a
busy machine disturbs less. A second table has whole commands, a third the cost of one span.

Runs of a tenth of a second vary by more than the effect. The tables therefore show the median of
the ratios, and the interval that holds the true median with 95 % (by the sign test). Short runs
show costs that are paid once (a process takes milliseconds to count the pages that it shares); runs
of 100 rounds show those of every round.
"""

import math
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.harness import (
    Figures,
    Row,
    Table,
    add_ratio,
    command_line,
    in_turn,
    report,
    table_of,
)
from benchmarks.train_runs import compose_config, run_train
from ddp.experiment import run
from ddp.timing.meter import Meter
from ddp.timing.metered_spans import MeteredSpans
from ddp.timing.spans import Spans

AUTOGRAD = ("trainer=autograd", "aggregation=rows", "local_epochs=2", "rounds=3", "workers=2")
LARGE = (
    "data=synthetic",
    "data.num_users=50000",
    "data.num_items=20000",
    "data.num_ratings=2000000",
    "workers=2",
    "local_epochs=2",
)
JOBS = {
    "MovieLens 100K, defaults (thread)": (),
    "MovieLens 100K, serial, iid": ("backend=serial", "aggregation=rows"),
    "MovieLens 100K, shm": ("backend=shm",),
    "MovieLens 100K, 100 rounds, thread": ("rounds=100",),
    "MovieLens 100K, 100 rounds, shm": ("rounds=100", "backend=shm"),
    "MovieLens 100K, autograd, batch 256, thread": (*AUTOGRAD, "trainer.batch_size=256"),
    "MovieLens 100K, autograd, process": (
        *AUTOGRAD,
        "backend=process",
        "backend.start_method=forkserver",
    ),
    "2 million synthetic, thread": LARGE,
}
COMMON = ("tensorboard=false", "display=none", "reference=false", "checkpoint_every=0")
COMMANDS = {"python train.py": (), "python train.py backend=shm": ("backend=shm",)}
TRAINING, RUN, CPU, COMMAND = "training, s", "run, s", "CPU, s", "whole command, s"
SPANS = 20_000
SPAN = "a span, us"


def main() -> None:
    """The command."""
    parser = command_line("overhead", __doc__)
    parser.set_defaults(repeats=60)
    arguments = parser.parse_args()
    title = (
        f"Median (lowest - highest) of {arguments.repeats};"
        " of ratios the median [95 % interval of it]"
    )
    inside = [
        pair_of(job, partial(measured, options), arguments.repeats, (TRAINING, RUN, CPU))
        for job, options in JOBS.items()
    ]
    outside = [
        pair_of(job, partial(command, options), arguments.repeats, (COMMAND,))
        for job, options in COMMANDS.items()
    ]
    spans = in_turn(
        [
            ({"meter": name}, partial(of_a_span, metered=metered))
            for name, metered in (("no", False), ("yes", True))
        ],
        arguments.repeats,
    )
    tables = [
        table(title, inside, TRAINING, (TRAINING, RUN, CPU)),
        table(title, outside, COMMAND, (COMMAND,)),
        table_of(title, spans, ("meter",), (SPAN,)),
    ]
    report(
        "overhead", arguments, [row for pair in (*inside, *outside, spans) for row in pair], tables
    )


def pair_of(
    job: str, run_with: Callable[[str], Figures], repeats: int, figures: Sequence[str]
) -> list[Row]:
    """The job without an account, and with it."""
    candidates = [
        ({"job": job, "account": account}, partial(run_with, account))
        for account in ("false", "true")
    ]
    candidates[0][1]()  # imports and compiles
    pair = in_turn(candidates, repeats)
    for figure in figures:
        add_ratio(pair, times(figure), figure, pair[0], faster=False)
    return pair


def times(figure: str) -> str:
    """The name of a figure's ratio."""
    return f"{figure.removesuffix(', s')}, times without"


def table(
    title: str, pairs: Sequence[Sequence[Row]], seconds: str, figures: Sequence[str]
) -> Table:
    """A table with one row per job."""
    cells = []
    for without, with_it in pairs:
        ratios = [with_interval(with_it.figures[times(figure)]) for figure in figures]
        cells.append(
            [str(without.labels["job"]), without.cell(seconds), with_it.cell(seconds), *ratios]
        )
    return Table(
        title=title,
        header=["job", f"{seconds}: without", "with", *map(times, figures)],
        cells=cells,
    )


def command(overrides: Sequence[str], account: str) -> Figures:
    """Runs `python train.py`, as users do."""
    return {COMMAND: run_train((*overrides, f"account={account}"))["command_s"]}


def measured(overrides: Sequence[str], account: str = "true") -> Figures:
    """Runs the job once in this process."""
    config = compose_config((*overrides, *COMMON, f"account={account}"))
    with tempfile.TemporaryDirectory() as directory:
        began, cpu = time.perf_counter(), time.process_time()
        result = run(config, Path(directory) / "run", [])
        return {
            TRAINING: result.seconds["train"],
            RUN: time.perf_counter() - began - result.seconds.get("imports", 0.0),
            CPU: time.process_time() - cpu,
        }


def with_interval(ratios: Sequence[float]) -> str:
    """The median, and the interval in which the true one lies with 95 %."""
    low, high = interval_of_median(ratios)
    return f"{statistics.median(ratios):.3f} [{low:.3f} - {high:.3f}]"


def interval_of_median(values: Sequence[float]) -> tuple[float, float]:
    """The interval in which the median of independent values lies with at least 95 %.

    It goes from the k-th value from below to the k-th from above. The chance that so many values
    lie on one side of the true median is that of as many heads of a fair coin. Fewer than six
    values give all of them.
    """
    number, ordered = len(values), sorted(values)
    tail, below = 0, 0
    while (tail := tail + math.comb(number, below)) <= 0.025 * 2**number:
        below += 1
    low = max(below - 1, 0)
    return ordered[low], ordered[number - 1 - low]


def of_a_span(*, metered: bool) -> Figures:
    """Microseconds to open and to close a span in which nothing happens."""
    spans = MeteredSpans(Meter(shares_gil=True)) if metered else Spans()
    try:
        began = time.perf_counter()
        for _ in range(SPANS):
            with spans("compute"):
                pass
        return {SPAN: (time.perf_counter() - began) / SPANS * 1e6}
    finally:
        spans.close()


if __name__ == "__main__":
    main()
