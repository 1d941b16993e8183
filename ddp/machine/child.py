"""Helpers for child processes.

This module needs only the standard library, because the manager's process imports it.
"""

import multiprocessing
import os
import signal
import threading
import time
from typing import Any

from ddp.machine.output import outlast_readers

GROUP_SIGNALS = (signal.SIGINT, signal.SIGHUP)  # that a terminal sends to the whole group


def serve_parent() -> None:
    """Makes this process end with its parent, and of nothing else that reaches the parent as well.

    Those are Ctrl-C, SIGHUP, and an output that nobody reads.
    """
    _end_with_parent()
    for number in GROUP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    outlast_readers()


def _end_with_parent() -> None:
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
