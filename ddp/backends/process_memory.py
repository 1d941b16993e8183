"""The RAM that the processes of a run's workers need, and whether the machine has it."""

from ddp.config.schema import Config
from ddp.errors import ConfigError

# `trainer.compiled` -> proportional set size of a worker's process, without its ratings and its
# model: the interpreter, and torch unless the trainer is compiled. The fork server takes as much as
# a spawned worker. A forked worker shares the pages that it does not write to.
SPAWNED_BYTES = {False: 230 * 2**20, True: 70 * 2**20}
FORKED_BYTES = {False: 25 * 2**20, True: 15 * 2**20}


def needed_bytes(config: Config, start_method: str) -> int:
    """Estimates the RAM that the processes of a run's workers take, without ratings and models."""
    compiled = config.trainer.compiled
    if start_method == "forkserver":
        return SPAWNED_BYTES[compiled] + config.workers * FORKED_BYTES[compiled]
    return config.workers * SPAWNED_BYTES[compiled]


def check_memory(config: Config, start_method: str, available: int | None) -> None:
    """Raises ConfigError if the workers' processes would not fit into the available RAM.

    `available`: bytes; None: not known.
    """
    needed = needed_bytes(config, start_method)
    if available is not None and needed > available:
        raise ConfigError(
            "workers",
            config.workers,
            f"so many processes need about {needed / 2**30:,.1f} GiB, and"
            f" {max(0, available) / 2**30:,.1f} GiB are free;"
            " use fewer workers, or backend=thread, whose workers share one process",
        )
