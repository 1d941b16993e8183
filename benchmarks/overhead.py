"""What it costs to know where every second goes: `python -m benchmarks.overhead [--repeats 60]`.

The same job with `account=true` and `account=false` in turn, in one process: seconds of training and of the whole run, which
then reads the memory of its processes and writes trace.json as well; CPU seconds of the main process, which a busy machine
disturbs less. Runs of a tenth of a second vary by more than what is looked for: in brackets beside the median of the ratios is
the interval in which the true median lies with 95 % (by the sign test). And what one span costs, with and without a meter.
"""

import math
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.measure import Figures, Row, Table, add_ratio, command_line, compose_config, in_turn, report
from ddp.experiment import run
from ddp.scheduling import Meter
from ddp.timing import Spans

AUTOGRAD = ("trainer=autograd", "split=iid", "local_epochs=2", "rounds=3", "workers=2")
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
    "MovieLens 100K, serial, iid": ("backend=serial", "split=iid"),
    "MovieLens 100K, shm": ("backend=shm",),
    "MovieLens 100K, autograd, batch 256, thread": (*AUTOGRAD, "trainer.batch_size=256"),
    "MovieLens 100K, autograd, process": (*AUTOGRAD, "backend=process", "backend.start_method=forkserver"),
    "2 million synthetic, thread": LARGE,
}
COMMON = ("tensorboard=false", "display=none", "reference=false", "checkpoint_every=0")
TRAINING, RUN, CPU = "training, s", "run, s", "CPU, s"
SPANS = 20_000
SPAN = "a span, us"


def main() -> None:
    """The command."""
    parser = command_line("overhead", __doc__)
    parser.set_defaults(repeats=60)
    arguments = parser.parse_args()
    rows: list[Row] = []
    for job, options in JOBS.items():
        candidates: list[tuple[dict[str, str | int], Callable[[], Figures]]] = [
            ({"job": job, "account": account}, partial(measured, (*options, *COMMON, f"account={account}")))
            for account in ("false", "true")
        ]
        candidates[0][1]()  # imports, compiles
        pair = in_turn(candidates, arguments.repeats)
        for figure in (TRAINING, RUN, CPU):
            add_ratio(pair, f"{figure[:-3]}, times without", figure, pair[0], faster=False)
        rows += pair
    names = (TRAINING, RUN, CPU)
    cells = []
    for without, with_it in zip(rows[::2], rows[1::2], strict=True):
        ratios = [with_it.figures[f"{name[:-3]}, times without"] for name in names]
        cells.append([str(without.labels["job"]), without.cell(TRAINING), with_it.cell(TRAINING), *map(with_interval, ratios)])
    title = f"Median (lowest - highest) of {arguments.repeats}; of ratios the median [95 % interval of it]"
    header = ["job", f"{TRAINING}: without", "with", *(f"{name[:-3]}, times without" for name in names)]
    tables = [Table(title=title, header=header, cells=cells)]
    spans = in_turn(
        [({"meter": name}, partial(of_a_span, metered=metered)) for name, metered in (("no", False), ("yes", True))],
        arguments.repeats,
    )
    tables.append(Table(title=title, header=["meter", SPAN], cells=[[str(row.labels["meter"]), row.cell(SPAN)] for row in spans]))
    report("overhead", arguments, [*rows, *spans], tables)


def measured(overrides: Sequence[str]) -> Figures:
    """One run in this process."""
    config = compose_config(overrides)
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
    """Of independent values, with at least 95 %: of the values in order the k-th from below and from above, where so many or more
    below the true median are as unlikely as that many heads of a fair coin. (Of fewer than six: all of them.)"""
    number, ordered = len(values), sorted(values)
    tail, below = 0, 0
    while (tail := tail + math.comb(number, below)) <= 0.025 * 2**number:
        below += 1
    low = max(below - 1, 0)
    return ordered[low], ordered[number - 1 - low]


def of_a_span(*, metered: bool) -> Figures:
    """Microseconds to open and to close one in which nothing is done."""
    spans = Spans(meter=Meter(shares_gil=True) if metered else None)
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
