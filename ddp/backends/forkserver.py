"""The server that worker processes are forked from (start_method=forkserver).

    parent --order--> server --fork--> worker's process, with all modules loaded

The server imports the modules that workers need, and runs nothing of them, so its forks are safe. A
fork of the parent would have copies of locks, without the threads that release them. One server
serves run after run of a sweep. It ends with the program, however the program ends.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from typing import Any

from ddp.machine.child import GROUP_SIGNALS
from ddp.machine.sockets import make_folder
from ddp.trainers.trainer import TRAINERS

# trainer -> the modules that the server imports for its workers, in this order
PRELOAD = {name: [module, "ddp.backends.preload"] for name, (module, _) in TRAINERS.items()}


def ensure_server(trainer: str) -> None:
    """Starts the server for workers with that trainer, unless it runs already.

    Does not wait for its imports.
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
    """Keeps Ctrl-C and SIGHUP from the processes that are started in the block.

    A terminal sends them to the whole process group, but the parent decides what happens. A handler
    in the child would come too late: a child that still imports torch would print a stack trace.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, GROUP_SIGNALS)
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
