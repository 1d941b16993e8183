"""The backends, by name: a closed set."""

from collections.abc import Callable, Sequence
from typing import Any

from ddp.backends.process import ManagedProcesses
from ddp.backends.serial import Serial
from ddp.backends.shm import SharedMemory
from ddp.backends.thread import Threads
from ddp.timing.spans import Spans
from ddp.workers.backend import Backend, OnMessage
from ddp.workers.job import Job, Task

# name -> class; each is given its own options of the config
BACKENDS: dict[str, Callable[[Any, Task, Sequence[Job], OnMessage, Spans | None], Backend]] = {
    "serial": Serial,
    "thread": Threads,
    "process": ManagedProcesses,
    "shm": SharedMemory,
}


def make_backend(
    task: Task, jobs: Sequence[Job], on_message: OnMessage, spans: Spans | None = None
) -> Backend:
    """The backend that the config names, not started yet. For the arguments see `Backend`."""
    options = task.config.backend
    return BACKENDS[options.name](options, task, jobs, on_message, spans)
