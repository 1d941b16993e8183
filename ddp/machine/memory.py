"""RAM that a process has used, and RAM that is still free."""

import resource
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The RAM of a process in bytes; None where the kernel does not say.

    | field | meaning |
    |---|---|
    | `peak_rss_bytes` | its largest resident set so far |
    | `pss_bytes` | its proportional set now: a page that n processes share counts 1/n |
    """

    peak_rss_bytes: int | None
    pss_bytes: int | None


def memory_of(pid: int | None = None, *, alone: bool = False) -> Memory:
    """The RAM of a process; None: of this one.

    `alone`: the process shares no pages with others, so its proportional set is its resident set.
    That saves the 5 to 20 ms in which the kernel counts the owners of each page.
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
    """The number in a line "name   123 kB" of the file; None if there is no such line."""
    with suppress(OSError, ValueError, StopIteration):
        line = next(line for line in file.read_text().splitlines() if line.startswith(name))
        return int(line.split()[1]) * 1024
    return None


def peak_rss_bytes() -> int:
    """The largest resident set of this process so far, in bytes."""
    # Not `ru_maxrss` alone: a small child that a large process forks inherits its number.
    peak = _bytes_in(Path("/proc/self/status"), "VmHWM:")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 if peak is None else peak


def available_bytes(meminfo: Path = Path("/proc/meminfo"), cgroup: Path = CGROUP) -> int | None:
    """Bytes of RAM that this machine, or this container, still has; None where neither says."""
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
    """Bytes of files that the kernel caches in a container's RAM, and frees on demand."""
    with suppress(OSError, ValueError):
        stat = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        return int(stat.get("active_file", 0)) + int(stat.get("inactive_file", 0))
    return 0
