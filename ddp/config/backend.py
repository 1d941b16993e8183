"""The options of `backend`: the way workers run, and exchange states."""

from typing import ClassVar

from ddp.config.checks import Checked, above, file_name, options, safe_start_method, start_methods


@options
class BackendBase(Checked):
    """The settings that every backend has."""

    PREFIX = "backend."
    in_processes: ClassVar[bool] = False  # True: each worker has a process of its own

    name: str


@options
class SerialBackend(BackendBase):
    """One worker after another, in one thread."""


@options
class PollingBackend(BackendBase):
    """A backend over a dict: workers are notified, or poll the dict as in the seed systems."""

    poll_interval_s: float | None = above(0)


@options
class ThreadBackend(PollingBackend):
    """Threads over a plain dict."""


@options
class ProcessBackend(PollingBackend):
    """Processes over a `Manager().dict()`."""

    in_processes = True

    start_method: str = safe_start_method()

    @property
    def chosen_start_method(self) -> str:
        return self.start_method


@options
class ShmBackend(BackendBase):
    """Processes over shared memory segments."""

    in_processes = True

    directory: str | None = file_name()
    start_method: str | None = safe_start_method()

    @property
    def chosen_start_method(self) -> str:
        """`start_method`, or where it is None the fastest of this platform."""
        return self.start_method or start_methods()[-1]


Backend = SerialBackend | ThreadBackend | ProcessBackend | ShmBackend
