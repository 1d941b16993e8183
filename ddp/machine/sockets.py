"""The folder in which multiprocessing has its sockets: one of our own, so that what a killed
   process leaves of it can be found.

As long as its process lives it holds a lock on the folder, and the next one to start removes those
that nobody holds.
"""

import os
import re
import shutil
import tempfile
from multiprocessing import process, util
from pathlib import Path

from ddp.machine.lock import lock

NAME = re.compile(r"ddp-sockets-\w+")

# the process that it belongs to (a child inherits this), and where it is
_ours: tuple[int, Path] | None = None


def make_folder() -> None:
    """Makes the folder of this process, unless it has one, and removes those of killed ones."""
    global _ours  # noqa: PLW0603  # multiprocessing has one for the whole process
    if os.name == "nt" or (_ours is not None and _ours[0] == os.getpid()):
        return
    remove_orphans()
    folder = _new_folder()
    process.current_process()._config["tempdir"] = str(folder)  # type: ignore[attr-defined]  # where get_temp_dir looks first
    util.Finalize(None, remove_folder, exitpriority=-100)  # after the managers'
    _ours = os.getpid(), folder


def _new_folder() -> Path:
    """One that we hold the lock on, until we end, however that is: the descriptor is never
    closed.
    """
    while True:
        folder = Path(tempfile.mkdtemp(prefix="ddp-sockets-"))
        fd = os.open(folder, os.O_RDONLY)
        lock(fd, wait=True)
        if folder.exists():  # else somebody cleaned up before the lock was ours
            return folder
        os.close(fd)


def remove_folder() -> None:
    """Removes the folder of this process, if it has one."""
    global _ours  # noqa: PLW0603
    if _ours is not None and _ours[0] == os.getpid():
        shutil.rmtree(_ours[1], ignore_errors=True)
        process.current_process()._config["tempdir"] = None  # type: ignore[attr-defined]
        _ours = None


def remove_orphans() -> None:
    """Removes the folders of our user's processes that are dead."""
    for path in Path(tempfile.gettempdir()).iterdir():
        if not NAME.fullmatch(path.name):
            continue
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # gone, or another user's
            continue
        try:
            if os.fstat(fd).st_uid == os.getuid() and lock(fd, wait=False):
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(fd)
