"""The server that workers are forked from: it has imported what they need, once, and never runs any
of it.

(That is what makes its forks safe. A fork of the main process would hold copies of locks whose
threads it has not.) The server is one for the whole program: it serves run after run of a sweep,
and ends when the program does, however it ends.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from typing import Any

from ddp.machine.sockets import make_folder
from ddp.trainers.trainer import TRAINERS

# trainer -> the modules that the server imports for its workers, in this order
PRELOAD = {name: [module, "ddp.backends.preload"] for name, (module, _) in TRAINERS.items()}


def ensure_server(trainer: str) -> None:
    """Starts the server for workers with that trainer, unless it runs already; does not wait for
    its imports.
    """
    make_folder()
    # the public functions can neither tell what it has imported nor stop it
    server: Any = forkserver._forkserver
    if server._forkserver_pid is not None and server._preload_modules != PRELOAD[trainer]:
        server._stop()
    forkserver.set_forkserver_preload(PRELOAD[trainer])
    # Before Python 3.12 the server does not get this process's sys.path. It says nothing of a
    # module that it cannot import.
    with (
        _environment(PYTHONPATH=os.pathsep.join(sys.path), PYTHONSAFEPATH="1"),
        interrupts_blocked(),
    ):
        forkserver.ensure_running()


def server_id() -> int | None:
    """The id of the server's process; None if it does not run."""
    server: Any = forkserver._forkserver
    process: int | None = server._forkserver_pid
    return process


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Processes that are started in the block never see Ctrl-C, which reaches the whole group: the
    parent decides what happens.

    (A handler of their own would come too late for one that still imports torch: it would print a
    stack trace.)
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Sets environment variables for the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
