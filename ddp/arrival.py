"""When a worker's process was ready to import anything of ours: the first thing in it that is not Python's."""

import time
from typing import Any


class Arrival:
    """Pickled into a process it becomes the moment at which it is unpickled there, before what comes after it is imported."""

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return time.perf_counter, ()


def enter(arrived_at: float, run: Any, *arguments: Any) -> None:
    """The target of a process: what it shall run is an argument, and so unpickled, and imported, after the arrival."""
    run(arrived_at, *arguments)
