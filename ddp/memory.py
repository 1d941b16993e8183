"""How much memory this process has needed."""

import sys


def peak_rss_bytes() -> int | None:
    """The largest resident set of this process so far; None where the platform does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
