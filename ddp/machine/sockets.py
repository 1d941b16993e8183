"""The folder for the sockets of `multiprocessing`.

It is a folder of our own, so that the next process finds what a killed one has left (see
owned.py).
"""

import os
import re
import shutil
import tempfile
from multiprocessing import process, util
from pathlib import Path

from ddp.machine import owned

PREFIX = "ddp-sockets-"
NAME = re.compile(rf"{PREFIX}\w+")

# the process that owns the folder (a forked child inherits this variable), and the folder
_ours: tuple[int, Path] | None = None


def make_folder() -> None:
    """Makes the folder of this process, unless it has one, and removes those of killed ones."""
    global _ours  # noqa: PLW0603  # multiprocessing has one for the whole process
    if _ours is not None and _ours[0] == os.getpid():
        return
    remove_orphans()
    # Nobody closes the descriptor: the lock lasts until this process ends.
    folder, _ = owned.claim(lambda: Path(tempfile.mkdtemp(prefix=PREFIX)))
    # util.get_temp_dir looks there first
    process.current_process()._config["tempdir"] = str(folder)  # type: ignore[attr-defined]
    util.Finalize(None, remove_folder, exitpriority=-100)  # after the managers'
    _ours = os.getpid(), folder


def remove_folder() -> None:
    """Removes the folder of this process, if it has one."""
    global _ours  # noqa: PLW0603
    if _ours is not None and _ours[0] == os.getpid():
        shutil.rmtree(_ours[1], ignore_errors=True)
        process.current_process()._config["tempdir"] = None  # type: ignore[attr-defined]
        _ours = None


def remove_orphans() -> None:
    """Removes the folders that dead processes of this user have left."""
    owned.remove_orphans(Path(tempfile.gettempdir()), NAME, folders=True)
