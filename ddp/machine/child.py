"""For child processes. Imports nothing heavy: the manager's process runs this, and needs no
torch.
"""

import multiprocessing
import os
import threading
import time
from typing import Any


def end_with_parent() -> None:
    """Ends this process as soon as its parent is gone: whoever kills the parent does not want to
    look for its children.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


class Arrival:
    """Pickled into a process it becomes the moment at which it is unpickled there, before what
    comes after it is imported.
    """

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return time.perf_counter, ()


def enter(arrived_at: float, run: Any, *arguments: Any) -> None:
    """The target of a process: what it shall run is an argument, and so unpickled, and imported,
    after the arrival.
    """
    run(arrived_at, *arguments)
