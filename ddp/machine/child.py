"""Helpers for child processes.

This module imports only the standard library, because the manager's process imports it.
"""

import multiprocessing
import os
import threading
import time
from typing import Any


def end_with_parent() -> None:
    """Ends this process as soon as its parent is gone, so that a killed run leaves no children."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


class Arrival:
    """Unpickles as the time at which a process unpickles it.

    The time is a reading of `time.perf_counter`. As the first argument it precedes the imports that
    the later ones need.
    """

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return time.perf_counter, ()


def enter(arrived_at: float, run: Any, *arguments: Any) -> None:
    """The target of a process.

    `run` is an argument, so the process imports its module after the arrival.
    """
    run(arrived_at, *arguments)
