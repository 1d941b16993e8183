"""How much memory this process has needed, and how much others may still have."""

import sys
from contextlib import suppress
from pathlib import Path

from ddp.config import Config
from ddp.errors import ConfigError

# What a worker's process takes, its ratings and its model not counted: the interpreter, and torch where the trainer needs it.
PROCESS_BYTES = {"autograd": 250 * 2**20, "fused": 100 * 2**20}
CGROUP = Path("/sys/fs/cgroup")


def peak_rss_bytes() -> int | None:
    """The largest resident set of this process so far; None where the platform does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def available_bytes(meminfo: Path = Path("/proc/meminfo"), cgroup: Path = CGROUP) -> int | None:
    """What this machine, or this container, still has; None where that is not known (not Linux)."""
    found = []
    with suppress(OSError, ValueError, StopIteration):
        line = next(line for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable:"))
        found.append(int(line.split()[1]) * 1024)
    with suppress(OSError, ValueError):  # "max" is no number
        found.append(int((cgroup / "memory.max").read_text()) - int((cgroup / "memory.current").read_text()))
    return min(found, default=None)


def check_memory(config: Config) -> None:
    """Raises ConfigError if the processes of the workers would not fit into memory."""
    needed, available = config.workers * PROCESS_BYTES[config.trainer.name], available_bytes()
    if available is not None and needed > available:
        raise ConfigError(
            "workers",
            config.workers,
            f"so many processes need about {needed / 2**30:,.1f} GiB, and {max(0, available) / 2**30:,.1f} GiB are free;"
            " use fewer workers, or backend=thread, whose workers share one process",
        )
