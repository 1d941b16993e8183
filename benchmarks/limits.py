"""How large may a run be? `python -m benchmarks.limits`

Runs with many workers, runs of many rounds, many runs one after another, and several at once, all
on small synthetic data and each as a command of its own. The table says whether each works, and
shows its seconds and its peak memory (proportional set sizes of all processes, sampled five times a
second). Where time passes it also shows what grew between an early and a late moment
(benchmarks/limits_inside.py). Linux only.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.harness import Figures, Table, Unavailable, command_line, in_turn, report
from benchmarks.limits_inside import MANY_RUNS
from benchmarks.memory import SAMPLE_S, tree_bytes
from benchmarks.train_runs import REPOSITORY, TRAIN

DATA = (
    "data=synthetic",
    "data.num_users=1000",
    "data.num_items=1000",
    "data.num_ratings=20000",
    "model=medium",
)
JOB = (
    *DATA,
    "trainer=fused",
    "local_epochs=1",
    "reference=false",
    "tensorboard=false",
    "display=none",
)
FORKED = ("backend=process", "backend.start_method=forkserver")
NUM_ROUNDS = 1000
ROUNDS = ("workers=2", f"rounds={NUM_ROUNDS}", "checkpoint_every=1")
AT_ONCE = 8

WALL, PEAK, RSS, FDS, THREADS = (
    "wall, s",
    "peak, MB",
    "RSS grew, MB",
    "descriptors grew",
    "threads grew",
)
FIGURES = (WALL, PEAK, RSS, FDS, THREADS)


def main() -> None:
    """The command."""
    parser = command_line("limits", __doc__)
    parser.set_defaults(repeats=1)
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="NAME",
        help="run only those whose names begin so",
    )
    arguments = parser.parse_args()
    chosen = {
        name: measure
        for name, measure in candidates().items()
        if not arguments.only or any(name.startswith(beginning) for beginning in arguments.only)
    }
    rows = in_turn(
        [({"what": name}, measure) for name, measure in chosen.items()], arguments.repeats
    )
    cells = [
        [
            str(row.labels["what"]),
            "no" if row.note else "yes",
            *(row.cell(name) for name in FIGURES),
        ]
        for row in rows
    ]
    report(
        "limits",
        arguments,
        rows,
        [Table(title="Limits", header=["what", "works", *FIGURES], cells=cells)],
    )


def candidates() -> dict[str, Callable[[], Figures]]:
    """All runs: name -> measurement."""
    many = {
        "200 threads": ("workers=200", "backend=thread"),
        "200 threads, iid": (
            "workers=200",
            "backend=thread",
            "split=iid",
            "select_on=last",
            "aggregation=uniform",
        ),
        "24 processes, shm": ("workers=24", "backend=shm"),
        "24 processes, forkserver": ("workers=24", *FORKED),
        "24 processes, spawn": ("workers=24", "backend=process"),
        "24 processes, spawn, autograd": ("workers=24", "backend=process", "trainer=autograd"),
    }
    backends = {"thread": ("backend=thread",), "shm": ("backend=shm",), "process": FORKED}
    found: dict[str, Callable[[], Figures]] = {
        name: partial(commands, [overrides]) for name, overrides in many.items()
    }
    for name, overrides in backends.items():
        found[f"{NUM_ROUNDS:,} rounds, {name}"] = partial(here, "rounds", [*ROUNDS, *overrides])
    for name, overrides in backends.items():
        found[f"{MANY_RUNS} runs, {name}"] = partial(here, "runs", ["workers=3", *overrides])
    mixed = [
        ("workers=2", *list(backends.values())[number % len(backends)]) for number in range(AT_ONCE)
    ]
    found[f"{AT_ONCE} commands at once"] = partial(commands, mixed)
    return found


def commands(jobs: Sequence[Sequence[str]]) -> Figures:
    """Runs several `python train.py` at once, all in one directory."""
    with tempfile.TemporaryDirectory() as directory:
        return watched([[*TRAIN, *JOB, *job] for job in jobs], Path(directory))


def here(kind: str, overrides: Sequence[str]) -> Figures:
    """Runs benchmarks/limits_inside.py, a process that looks at itself early and late."""
    with tempfile.TemporaryDirectory() as directory:
        command = [
            sys.executable,
            "-m",
            "benchmarks.limits_inside",
            kind,
            directory,
            *JOB,
            *overrides,
        ]
        figures = watched([command], REPOSITORY)
        grown = (Path(directory) / "grown").read_text(encoding="ascii").split()
        return {**figures, **dict(zip((RSS, FDS, THREADS), map(float, grown), strict=True))}


def watched(commands: Sequence[Sequence[str]], directory: Path) -> Figures:
    """Runs commands at once.

    Gives the wall until the last one has ended, and the largest sum of their proportional set
    sizes.
    """
    began, largest = time.perf_counter(), 0
    processes = [
        subprocess.Popen(command, cwd=directory, stderr=subprocess.PIPE, text=True)
        for command in commands
    ]
    while any(process.poll() is None for process in processes):
        largest = max(largest, sum(tree_bytes(process.pid) for process in processes))
        time.sleep(SAMPLE_S)
    wall_s = time.perf_counter() - began
    errors = [process.communicate()[1] for process in processes]
    for process, error in zip(processes, errors, strict=True):
        if process.returncode != 0:
            raise Unavailable(f"exit code {process.returncode}: {error.strip()}")
    return {WALL: wall_s, PEAK: largest / 1e6}


if __name__ == "__main__":
    main()
