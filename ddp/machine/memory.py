"""How much memory this process has needed, and how much others may still have."""

import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ddp.config.schema import Config
from ddp.errors import ConfigError

# Proportional set size of a worker's process, its ratings and its model not counted: the interpreter, and torch where the
# trainer needs it. The server that workers are forked from takes as much; they then share all but what they write to.
SPAWNED_BYTES = {"autograd": 230 * 2**20, "fused": 70 * 2**20}
FORKED_BYTES = {"autograd": 25 * 2**20, "fused": 15 * 2**20}
CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Of a process, in bytes: its largest resident set so far, and its proportional set now (a page of n processes counts 1/n).
    None where the platform does not tell."""

    peak_rss_bytes: int | None
    pss_bytes: int | None


def memory_of(pid: int | None = None, *, alone: bool = False) -> Memory:
    """Of another process, or of this one. `alone`: it has no others to share pages with, so the proportional set is the resident
    one. (To count who has each page takes the kernel 5 to 20 ms.)"""
    process = Path("/proc") / ("self" if pid is None else str(pid))
    peak = peak_rss_bytes() if pid is None else _bytes_in(process / "status", "VmHWM:")
    pss = _bytes_in(process / "status", "VmRSS:") if alone else _bytes_in(process / "smaps_rollup", "Pss:")
    return Memory(peak_rss_bytes=peak, pss_bytes=pss)


def _bytes_in(file: Path, name: str) -> int | None:
    """Of a line "name   123 kB"; None if there is none."""
    with suppress(OSError, ValueError, StopIteration):
        line = next(line for line in file.read_text().splitlines() if line.startswith(name))
        return int(line.split()[1]) * 1024
    return None


def peak_rss_bytes() -> int | None:
    """The largest resident set of this process so far; None where the platform does not tell (Windows)."""
    # (Linux hands `ru_maxrss` on to a program that is started in a fork: a small child of a large process has its size.)
    if (peak := _bytes_in(Path("/proc/self/status"), "VmHWM:")) is not None:
        return peak
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def available_bytes(meminfo: Path = Path("/proc/meminfo"), cgroup: Path = CGROUP) -> int | None:
    """What this machine, or this container, still has; None where that is not known (not Linux)."""
    found = [available for available in [_bytes_in(meminfo, "MemAvailable:")] if available is not None]
    with suppress(OSError, ValueError):  # "max" is no number
        limit, used = int((cgroup / "memory.max").read_text()), int((cgroup / "memory.current").read_text())
        found.append(limit - used + _cached_bytes(cgroup))
    return min(found, default=None)


def _cached_bytes(cgroup: Path) -> int:
    """Files that lie in a container's memory, which it gives up when it needs it for something else."""
    with suppress(OSError, ValueError):
        stat = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        return int(stat.get("active_file", 0)) + int(stat.get("inactive_file", 0))
    return 0


def needed_bytes(config: Config, start_method: str) -> int:
    """What the processes of a run's workers take, about."""
    trainer = config.trainer.name
    if start_method == "forkserver":
        return SPAWNED_BYTES[trainer] + config.workers * FORKED_BYTES[trainer]
    return config.workers * SPAWNED_BYTES[trainer]


def check_memory(config: Config, start_method: str, available: int | None) -> None:
    """Raises ConfigError if the processes of the workers would not fit into what is available (None: not known)."""
    needed = needed_bytes(config, start_method)
    if available is not None and needed > available:
        raise ConfigError(
            "workers",
            config.workers,
            f"so many processes need about {needed / 2**30:,.1f} GiB, and {max(0, available) / 2**30:,.1f} GiB are free;"
            " use fewer workers, or backend=thread, whose workers share one process",
        )
