"""How much memory this process has needed, and how much others may still have."""

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


def num_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Of a process, in bytes: its largest resident set so far, and its proportional set now (a page
    of n processes counts 1/n). None where the platform does not tell.
    """

    peak_rss_bytes: int | None
    pss_bytes: int | None


def memory_of(pid: int | None = None, *, alone: bool = False) -> Memory:
    """Of another process, or of this one. `alone`: it has no others to share pages with, so the
    proportional set is the resident one. (To count who has each page takes the kernel 5 to 20
    ms.)
    """
    process = Path("/proc") / ("self" if pid is None else str(pid))
    peak = peak_rss_bytes() if pid is None else _bytes_in(process / "status", "VmHWM:")
    pss = (
        _bytes_in(process / "status", "VmRSS:")
        if alone
        else _bytes_in(process / "smaps_rollup", "Pss:")
    )
    return Memory(peak_rss_bytes=peak, pss_bytes=pss)


def _bytes_in(file: Path, name: str) -> int | None:
    """Of a line "name   123 kB"; None if there is none."""
    with suppress(OSError, ValueError, StopIteration):
        line = next(line for line in file.read_text().splitlines() if line.startswith(name))
        return int(line.split()[1]) * 1024
    return None


def peak_rss_bytes() -> int | None:
    """The largest resident set of this process so far; None where the platform does not tell
    (Windows).
    """
    # (Linux hands `ru_maxrss` on to a program that is started in a fork: a small child of a large
    # process has its size.)
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
    found = [
        available for available in [_bytes_in(meminfo, "MemAvailable:")] if available is not None
    ]
    with suppress(OSError, ValueError):  # "max" is no number
        limit, used = (
            int((cgroup / "memory.max").read_text()),
            int((cgroup / "memory.current").read_text()),
        )
        found.append(limit - used + _cached_bytes(cgroup))
    return min(found, default=None)


def _cached_bytes(cgroup: Path) -> int:
    """Files that lie in a container's memory, which it gives up when it needs it for something
    else.
    """
    with suppress(OSError, ValueError):
        stat = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        return int(stat.get("active_file", 0)) + int(stat.get("inactive_file", 0))
    return 0
