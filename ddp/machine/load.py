"""The share of a machine that other programs use, from the clock ticks in /proc/stat."""

import time
from pathlib import Path

LOOK_S = 0.2  # the time over which `busy_share` measures


def busy_share(seconds: float = LOOK_S) -> float:
    """The share of all cores in use while this process sleeps; 0 if the system does not say."""
    try:
        before = _ticks()
        time.sleep(seconds)
        all_ticks, idle = (now - then for now, then in zip(_ticks(), before, strict=True))
    except (OSError, ValueError):
        return 0.0
    return min(max(1.0 - idle / all_ticks, 0.0), 1.0) if all_ticks > 0 else 0.0


def _ticks() -> tuple[int, int]:
    """Clock ticks of all cores since the start of the system: (all ticks, idle ticks)."""
    _, user, nice, system, idle, iowait, *others = (
        Path("/proc/stat").read_text(encoding="utf-8").partition("\n")[0].split()
    )
    waiting = int(idle) + int(iowait)
    return int(user) + int(nice) + int(system) + waiting + sum(map(int, others[:3])), waiting
