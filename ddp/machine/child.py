"""Helpers for child processes.

This module needs only the standard library, because the manager's process imports it.
"""

import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.context import BaseContext
from typing import Any

from ddp.machine.output import outlast_readers

METHODS = ("fork", "spawn", "forkserver")  # those of Python
GROUP_SIGNALS = (signal.SIGINT, signal.SIGHUP)  # that a terminal sends to the whole group


def context_of(start_method: str) -> BaseContext:
    """The context that starts processes in this way, also in a process that loky has started.

    There loky has made itself the default start method. A child takes over the default of its
    parent, and dies of a method that it does not know.
    """
    if multiprocessing.get_start_method(allow_none=True) not in (None, *METHODS):
        multiprocessing.set_start_method(start_method, force=True)
    return multiprocessing.get_context(start_method)


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
