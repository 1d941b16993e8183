"""The cores that this process may use: those of its affinity, or fewer under a CPU quota.

A container with `--cpus=1.5` sees all cores of its host. Its quota stands in the files of its
cgroup, and that of each cgroup around it counts as well:

| version | file                               | content                                        |
|---------|------------------------------------|------------------------------------------------|
| 2       | cpu.max                            | quota and period in us, or "max" and a period  |
| 1       | cpu.cfs_quota_us, cpu.cfs_period_us | quota in us, -1 for none; period in us        |

/proc/self/cgroup names the cgroup, and /proc/self/mountinfo the place where its files lie (man 7
cgroups, man 5 proc).
"""

import math
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple


def num_cores() -> int:
    """The cores that this process may use. A quota of 1.5 cores counts as 2."""
    affinity, quota = len(os.sched_getaffinity(0)), cpu_quota()
    return affinity if quota is None else max(1, min(affinity, math.ceil(quota)))


@cache
def cpu_quota(root: Path = Path("/")) -> float | None:
    """The smallest CPU quota of this process, in cores; None without one.

    `root`: the folder that holds proc and sys. The answer stays as it is while the process lives,
    because averaging asks in every round.
    """
    found: list[float] = []
    with suppress(OSError, ValueError):
        mounts = _mounts(root)
        for line in (root / "proc/self/cgroup").read_text(errors="replace").splitlines():
            _, kinds, path = line.split(":", 2)
            kind = "cpu" if "cpu" in kinds.split(",") else kinds  # version 2 has no kinds
            mounted = [mount for mount in mounts if mount.kind == kind]
            for folder in _folders(root, mounted, PurePosixPath(path)):
                found += _quotas(folder)
    return min(found, default=None)


class _Mount(NamedTuple):
    """The cgroup `top` and those below it have their files in `place`.

    `kind`: "cpu" for its controller in version 1, "" for version 2.
    """

    kind: str
    top: PurePosixPath
    place: PurePosixPath


def _mounts(root: Path) -> list[_Mount]:
    found = []
    for line in (root / "proc/self/mountinfo").read_text(errors="replace").splitlines():
        before, _, after = line.partition(" - ")
        (_, _, _, top, place, *_), (system, *_, options) = before.split(), after.split()
        if system == "cgroup2" or (system == "cgroup" and "cpu" in options.split(",")):
            kind = "" if system == "cgroup2" else "cpu"
            found.append(_Mount(kind, _path(top), _path(place)))
    return found


def _path(escaped: str) -> PurePosixPath:
    r"""The path that the kernel writes with \040 for a space."""
    return PurePosixPath(re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), escaped))


def _folders(root: Path, mounts: list[_Mount], cgroup: PurePosixPath) -> Iterator[Path]:
    """The folders of the cgroup and of those around it, as far as this process sees them.

    A container may see the path that its cgroup has outside. Then its own is the top of its mount.
    """
    for top, place in ((mount.top, mount.place.relative_to("/")) for mount in mounts):
        if cgroup.is_relative_to(top) and (root / place / cgroup.relative_to(top)).is_dir():
            inner = cgroup.relative_to(top)
            yield from (root / place / around for around in (inner, *inner.parents))
            return
    if mounts:
        yield root / mounts[0].place.relative_to("/")


def _quotas(folder: Path) -> Iterator[float]:
    """The quota of one cgroup, in cores, if it has one."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        with suppress(OSError, ValueError):  # "max" is no number
            words = [word for name in names for word in (folder / name).read_text().split()]
            quota, period = map(int, words)
            if quota > 0 and period > 0:
                yield quota / period
