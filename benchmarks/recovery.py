"""How fast does a run notice a fault, how fast does it end? `python -m benchmarks.recovery`

| figure      | from                                  | until                                     |
| ----------- | ------------------------------------- | ----------------------------------------- |
| noticed     | the SIGKILL of a worker               | the aggregator knows                      |
| again       | the SIGKILL of a worker               | the next aggregate, on_failure=restart     |
| Ctrl-C      | SIGINT to the main process            | no worker, manager or server is left      |
| exit        | SIGINT to the main process            | the command has ended, its files written  |
| killed      | SIGKILL to the main process           | no worker, manager or server is left      |

A second table has seconds of training with a checkpoint after every round, and without any.
"""

import multiprocessing
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import psutil

from benchmarks.harness import Figures, Row, add_ratio, command_line, in_turn, report, table_of
from benchmarks.train_runs import TRAIN, compose_config, run_train
from ddp.errors import WorkerError
from ddp.experiment import run
from ddp.tracking.messages import AggregateRound, Event, Failure
from ddp.tracking.tracker import Tracker
from ddp.workers.failures import Failures

BACKENDS = {
    "thread": ("backend=thread",),
    "shm": ("backend=shm",),
    "process": ("backend=process",),
    "process, forkserver": ("backend=process", "backend.start_method=forkserver"),
}
ENDLESS = (
    "data=synthetic",
    "data.num_ratings=200000",
    "workers=2",
    "rounds=1000000",
    "local_epochs=2",
    "reference=false",
)
JOBS = {
    "MovieLens 100K, defaults": ("data=ml100k",),
    "MovieLens 100K, autograd, iid": (
        "data=ml100k",
        "trainer=autograd",
        "aggregation=rows",
        "local_epochs=2",
    ),
    "5 million synthetic": (
        "data=synthetic",
        "data.num_users=50000",
        "data.num_items=20000",
        "data.num_ratings=5000000",
        "rounds=4",
        "local_epochs=2",
        "workers=2",
    ),
}
NOTICED, AGAIN = "noticed, ms", "again, ms"
CTRL_C, EXIT, KILLED = "Ctrl-C, ms", "exit, ms", "killed, ms"
TRAINING, RATIO, RECORD = "training, s", "times without", "telling and saving, ms per round"


def main() -> None:
    """The command."""
    parser = command_line("recovery", __doc__)
    arguments = parser.parse_args()
    faults = in_turn(
        [({"backend": name}, partial(of_faults, name)) for name in BACKENDS], arguments.repeats
    )
    names = (NOTICED, AGAIN, CTRL_C, EXIT, KILLED)
    title = f"Median (lowest - highest) of {arguments.repeats}"
    tables = [table_of(title, faults, ("backend",), names)]
    costs: list[Row] = []
    for job, options in JOBS.items():
        candidates: list[tuple[dict[str, str | int], Callable[[], Figures]]] = [
            (
                {"job": job, "checkpoint_every": every},
                partial(training, (*options, f"checkpoint_every={every}")),
            )
            for every in (0, 1)
        ]
        pair = in_turn(candidates, arguments.repeats)
        add_ratio(pair, RATIO, TRAINING, pair[0], faster=False)
        costs += pair
    tables.append(table_of(title, costs, ("job", "checkpoint_every"), (RECORD, TRAINING, RATIO)))
    report("recovery", arguments, [*faults, *costs], tables)


def training(overrides: Sequence[str]) -> Figures:
    """Seconds of training of a command, and of the aggregator's work between two rounds."""
    result = run_train((*overrides, "reference=false", "tensorboard=false"))
    return {
        TRAINING: result["seconds"]["train"],
        RECORD: result["aggregator"]["record_s"] / result["rounds_completed"] * 1e3,
    }


def of_faults(name: str) -> Figures:
    """All figures of one backend. A thread cannot be killed."""
    figures: dict[str, float] = {}
    if name != "thread":
        figures |= of_a_killed_worker(name)
    gone_s, exit_s = until_gone(name, signal.SIGINT)
    figures[EXIT] = exit_s * 1e3
    if name != "thread":  # threads are no children
        figures |= {CTRL_C: gone_s * 1e3, KILLED: until_gone(name, signal.SIGKILL)[0] * 1e3}
    return figures


class Kills(Tracker):
    """Kills a worker after the second aggregate, and ends the run after the restart.

    The run ends with the first aggregate after the restart.
    """

    def __init__(self) -> None:
        self.killed_at = self.again_at = 0.0
        self.failed = False

    def on(self, event: Event) -> None:
        match event:
            case Failure():
                self.failed = True
            case AggregateRound(round_index=1) if not self.killed_at:
                self.killed_at = time.perf_counter()
                self._victim().kill()
            case AggregateRound() if self.failed:
                self.again_at = time.perf_counter()
                raise KeyboardInterrupt

    def _victim(self) -> multiprocessing.process.BaseProcess:
        children = multiprocessing.active_children()
        return next(child for child in children if child.name == "worker-1")


def of_a_killed_worker(name: str) -> Figures:
    """Time until the aggregator knew, and until the next aggregate."""
    noticed_at = []
    survive = Failures.survive

    def noting(failures: Failures, error: WorkerError) -> None:
        noticed_at.append(time.perf_counter())
        survive(failures, error)

    kills = Kills()
    config = compose_config(
        (*ENDLESS, *BACKENDS[name], "on_failure=restart", "tensorboard=false", "display=none")
    )
    Failures.survive = noting  # type: ignore[method-assign, assignment]
    try:
        with tempfile.TemporaryDirectory() as directory:
            run(config, Path(directory) / "run", [kills])
    except KeyboardInterrupt:
        pass
    finally:
        Failures.survive = survive  # type: ignore[method-assign]
    return {
        NOTICED: (noticed_at[0] - kills.killed_at) * 1e3,
        AGAIN: (kills.again_at - kills.killed_at) * 1e3,
    }


def until_gone(name: str, number: int) -> tuple[float, float]:
    """Seconds from a signal to a command until its children are gone, and until it has ended."""
    with tempfile.TemporaryDirectory() as directory:
        options = [*ENDLESS, *BACKENDS[name], "display=lines", f"hydra.run.dir={directory}/run"]
        command = [*TRAIN, *options]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert process.stdout is not None
        next(line for line in process.stdout if line.startswith("round 2/"))
        main, helpers = psutil.Process(process.pid), ("resource_tracker", "forkserver import main")
        children = main.children(recursive=True)
        if number == signal.SIGINT:  # servers of the whole program end with it
            children = [
                child
                for child in children
                if child.ppid() != main.pid or not _is_any(child, helpers)
            ]
        began = time.perf_counter()
        os.kill(process.pid, number)
        gone_at = 0.0
        while not gone_at or process.poll() is None:
            if not gone_at and not any(_runs(child) for child in children):
                gone_at = time.perf_counter()
            time.sleep(0.001)
        ended_at = time.perf_counter()
        process.stdout.close()
        return gone_at - began, ended_at - began


def _is_any(child: psutil.Process, names: Sequence[str]) -> bool:
    command = " ".join(child.cmdline())
    return any(name in command for name in names)


def _runs(child: psutil.Process) -> bool:
    try:
        return bool(child.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


if __name__ == "__main__":
    main()
