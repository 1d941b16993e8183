"""How much memory does a run need? `python -m benchmarks.memory`

The run: 25 million synthetic ratings, two workers. Memory is the proportional set size, in which a
page that n processes share counts 1/n in each, summed over all processes of the run and sampled
five times a second. The table shows its peak. Linux only.
"""

import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from benchmarks.harness import (
    Figures,
    Unavailable,
    add_overrides,
    add_ratio,
    command_line,
    in_turn,
    report,
    table_of,
)
from benchmarks.train_runs import TRAIN, last_of_each

BACKENDS = ("thread", "shm", "process")
JOB = (
    "data=synthetic",
    "data.num_users=160000",
    "data.num_items=60000",
    "data.num_ratings=25000000",
    "workers=2",
    "rounds=2",
    "local_epochs=1",
    "split=iid",
    "aggregation=samples",
    "select_on=last",
    "reference=false",
    "checkpoint_every=0",
)
SAMPLE_S = 0.2
PEAK, RATIO = "peak, MB", "times thread"


def main() -> None:
    """The command."""
    parser = command_line("memory", __doc__)
    parser.add_argument(
        "--backends",
        nargs="+",
        choices=BACKENDS,
        default=BACKENDS[:2],
        help="measure only these; the first is the baseline",
    )
    add_overrides(parser)
    arguments = parser.parse_intermixed_args()
    rows = in_turn(
        [
            ({"backend": name}, partial(peak, (*JOB, f"backend={name}", *arguments.overrides)))
            for name in arguments.backends
        ],
        arguments.repeats,
    )
    add_ratio(rows, RATIO, PEAK, rows[0], faster=False)
    title = f"Memory of a run: median (lowest - highest) of {arguments.repeats}"
    report("memory", arguments, rows, [table_of(title, rows, ("backend",), (PEAK, RATIO))])


def peak(overrides: Sequence[str]) -> Figures:
    """The largest sum of proportional set sizes while `python train.py` runs."""
    if not Path("/proc/self/smaps_rollup").exists():
        raise Unavailable("memory: this system does not tell proportional set sizes")
    with tempfile.TemporaryDirectory() as directory:
        settings = ["display=none", "tensorboard=false", f"hydra.run.dir={directory}"]
        process = subprocess.Popen([*TRAIN, *last_of_each(overrides), *settings])
        largest = 0
        while True:
            largest = max(largest, tree_bytes(process.pid))
            with suppress(subprocess.TimeoutExpired):
                if process.wait(SAMPLE_S) != 0:
                    raise subprocess.CalledProcessError(process.returncode, process.args)
                return {PEAK: largest / 1e6}


def tree_bytes(pid: int) -> int:
    """Proportional set sizes of a process and of all its descendants.

    A process that has just ended counts nothing.
    """
    total = 0
    with suppress(OSError):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        total += (
            next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
            * 1024
        )
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            total += sum(
                tree_bytes(int(child)) for child in children.read_text(encoding="ascii").split()
            )
    return total


if __name__ == "__main__":
    main()
