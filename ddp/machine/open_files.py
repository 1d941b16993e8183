"""The limit of open files (`ulimit -n`) of this process and of those that it starts."""

import resource
from contextlib import suppress

ENOUGH = 1 << 16  # some programs take long where the limit is a billion


def raised_limit() -> int:
    """Raises the limit as far as the system allows, up to ENOUGH, and gives it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= ENOUGH:
        return ENOUGH if soft == resource.RLIM_INFINITY else soft
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    with suppress(OSError, ValueError):  # a system may allow less than its hard limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
