"""The backends, by name: a closed set."""

from collections.abc import Callable, Sequence

from ddp.backends.process import Processes
from ddp.backends.serial import Serial
from ddp.backends.shm import SharedMemory
from ddp.backends.thread import Threads
from ddp.config.options import ProcessBackend, ShmBackend, ThreadBackend
from ddp.tracking.messages import Message
from ddp.workers.backend import Backend
from ddp.workers.job import Job


def make_backend(jobs: Sequence[Job], listen: Callable[[Message], None]) -> Backend:
    """The backend that the jobs' config names, not started yet."""
    options = jobs[0].config.backend
    if isinstance(options, ProcessBackend):
        return Processes(options, jobs, listen)
    if isinstance(options, ShmBackend):
        return SharedMemory(options, jobs, listen)
    if isinstance(options, ThreadBackend):
        return Threads(options, jobs, listen)
    return Serial(jobs, listen)
