"""The backends, by name: a closed set."""

from collections.abc import Callable, Sequence

from ddp.backends.process import Processes
from ddp.backends.serial import Serial
from ddp.backends.shm import SharedMemory
from ddp.backends.thread import Threads
from ddp.config.options import ProcessBackend, ShmBackend, ThreadBackend
from ddp.tracking.messages import Message
from ddp.workers.backend import Backend
from ddp.workers.job import Job, Task


def make_backend(task: Task, jobs: Sequence[Job], listen: Callable[[Message], None]) -> Backend:
    """The backend that the config names, not started yet. It owns the jobs from here on."""
    options = task.config.backend
    if isinstance(options, ProcessBackend):
        return Processes(options, task, jobs, listen)
    if isinstance(options, ShmBackend):
        return SharedMemory(options, task, jobs, listen)
    if isinstance(options, ThreadBackend):
        return Threads(options, task, jobs, listen)
    return Serial(task, jobs, listen)
