"""The files that a run with processes holds open, and whether the system allows so many."""

from ddp.config.schema import Config
from ddp.errors import ConfigError
from ddp.machine.open_files import raised_limit

# Of the main process, which holds the most: pipes, sentinels and the ends that it gives to the
# server or to the new interpreter. Measured with 2 and 8 workers.
PER_WORKER = {"shm": 3, "process": 5}
OTHERS = 24  # 14 at most, and some that are open for a moment


def needed_files(config: Config) -> int:
    """Estimates the files that the main process has open at the same time."""
    return OTHERS + config.workers * PER_WORKER[config.backend.name]


def check_open_files(config: Config) -> None:
    """Raises the limit of open files, and raises ConfigError if it stays too low for the run."""
    needed, limit = needed_files(config), raised_limit()
    if needed > limit:
        raise ConfigError(
            "workers",
            config.workers,
            f"so many processes need about {needed:,} open files, and the system allows {limit:,};"
            " raise `ulimit -n`, use fewer workers, or backend=thread, whose workers share one"
            " process",
        )
