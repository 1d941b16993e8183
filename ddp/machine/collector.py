"""Python's collector of garbage, in commands that end soon.

A short command makes a million objects, most of them by imports, and hardly any is garbage. With
Python's settings the collector looks at all of them many times, and once more at the end: a fifth
of the time of `python train.py`.
"""

import atexit
import gc

COLLECT_AFTER = 50_000  # new objects from one collection to the next; Python has 700 or 2000


def collect_seldom() -> None:
    """From now on the collector runs seldom, and at the end of the process not at all."""
    gc.set_threshold(COLLECT_AFTER)
    atexit.register(gc.freeze)  # the collector skips frozen objects
