"""The process of benchmarks/limits.py that looks at itself early and late, and writes what grew.

Arguments: `rounds` (one run) or `runs` (many one after another), a directory, and the options of
the run.
"""

import gc
import sys
from pathlib import Path

import psutil

from benchmarks.train_runs import compose_config
from ddp.tracking.messages import AggregateRound, Event
from ddp.tracking.tracker import Tracker

EARLY_ROUND, LATE_ROUND = 100, 990  # of 1,000; in the last ones workers may have ended
EARLY_RUN, MANY_RUNS = 5, 50


def main() -> None:
    """The command."""
    from ddp.experiment import run  # imports torch, which processes of workers do without

    kind, directory, *overrides = sys.argv[1:]
    config, looks = compose_config(overrides), Looks()
    if kind == "rounds":
        run(config, Path(directory) / "run", [looks])
    else:
        for number in range(1, MANY_RUNS + 1):
            run(config, Path(directory) / str(number), [])
            if number in (EARLY_RUN, MANY_RUNS):
                looks.look()
    (rss, fds, threads), late = looks.seen
    grown = ((late[0] - rss) / 1e6, late[1] - fds, late[2] - threads)
    (Path(directory) / "grown").write_text(" ".join(map(str, grown)), encoding="ascii")


class Looks(Tracker):
    """Looks at this process and all its descendants at two moments.

    `seen`: their resident set (bytes), descriptors and threads.
    """

    def __init__(self) -> None:
        self.seen: list[tuple[int, int, int]] = []

    def on(self, event: Event) -> None:
        if isinstance(event, AggregateRound) and event.round_index + 1 in (EARLY_ROUND, LATE_ROUND):
            self.look()

    def look(self) -> None:
        """Counts them now."""
        gc.collect()  # garbage in cycles is no leak
        process = psutil.Process()
        processes = [process, *process.children(recursive=True)]
        sums = zip(
            *((each.memory_info().rss, each.num_fds(), each.num_threads()) for each in processes),
            strict=True,
        )
        rss, fds, threads = map(sum, sums)
        self.seen.append((rss, fds, threads))


if __name__ == "__main__":
    main()
