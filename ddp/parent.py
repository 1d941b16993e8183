"""For child processes. Imports nothing heavy: the manager's process runs this, and needs no torch."""

import multiprocessing
import os
import shutil
import threading
from multiprocessing import process


def end_with_parent() -> None:
    """Ends this process as soon as its parent is gone: whoever kills the parent does not want to look for its children."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        remove_temp_dir()
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def remove_temp_dir() -> None:
    """Removes the folder of sockets that the main process and its children share, for one that can no longer do so itself."""
    folder = getattr(process.current_process(), "_config", {}).get("tempdir")  # multiprocessing.util.get_temp_dir would make one
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
