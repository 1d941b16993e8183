"""The backends, by name: a closed set."""

from collections.abc import Callable, Sequence
from importlib import import_module

from ddp.timing.spans import Spans
from ddp.workers.backend import Backend, OnMessage
from ddp.workers.job import Job, Task

# backend -> its module, which is loaded only when a run needs it, and its class in that module. The
# first argument of the class is the backend's own options.
BACKENDS = {
    "serial": ("ddp.backends.serial", "Serial"),
    "thread": ("ddp.backends.thread", "Threads"),
    "process": ("ddp.backends.process", "ManagedProcesses"),
    "shm": ("ddp.backends.shm", "SharedMemory"),
}


def make_backend(
    task: Task, jobs: Sequence[Job], on_message: OnMessage, spans: Spans | None = None
) -> Backend:
    """The backend that the config names, not started yet. For the arguments see `Backend`."""
    options = task.config.backend
    module, name = BACKENDS[options.name]
    make: Callable[..., Backend] = getattr(import_module(module), name)
    return make(options, task, jobs, on_message, spans)
