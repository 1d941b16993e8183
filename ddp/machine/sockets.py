"""The folder for the sockets of `multiprocessing`.

It is a folder of our own, so that the next process finds what a killed one has left (see
owned.py). The path of a socket has at most 107 bytes, and some file systems have no sockets. So the
folder lies in another place where the folder for temporary files cannot have one.
"""

import errno
import os
import re
import shutil
import socket
import tempfile
from contextlib import suppress
from multiprocessing import process, util
from pathlib import Path

from ddp.machine import owned

PREFIX = "ddp-sockets-"
NAME = re.compile(rf"{PREFIX}\w+")
LISTENER = "listener-12345678"  # as long as the names that multiprocessing gives

# the process that owns the folder (a forked child inherits this variable), and the folder
_ours: tuple[int, Path] | None = None


def make_folder() -> None:
    """Makes the folder of this process, unless it has one, and removes those of killed ones.

    Raises OSError if there is no place for it.
    """
    global _ours  # noqa: PLW0603  # multiprocessing has one for the whole process
    if _ours is not None and _ours[0] == os.getpid():
        return
    remove_orphans()
    # Nobody closes the descriptor: the lock lasts until this process ends.
    folder, _ = owned.claim(_new_folder)
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
    for place in _places():
        with suppress(OSError):  # there is no such place
            owned.remove_orphans(Path(place), NAME, folders=True)


def _places() -> list[str]:
    """The places for the folder; the first one that can have it is the best."""
    own = os.environ.get("XDG_RUNTIME_DIR")
    return [tempfile.gettempdir(), *([own] if own else []), "/tmp", "/var/tmp", "/dev/shm"]


def _new_folder() -> Path:
    """A new folder in which a socket can be. Raises OSError if no place can have one."""
    for place in _places():
        with suppress(OSError):
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
            if _takes_sockets(folder):
                return folder
            folder.rmdir()
    raise OSError(
        errno.ENAMETOOLONG,
        f"no socket can be in {tempfile.gettempdir()}, nor in /tmp; set TMPDIR to a short path",
        "TMPDIR",
    )


def _takes_sockets(folder: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(str(folder / LISTENER))
        (folder / LISTENER).unlink()
    except OSError:
        return False
    return True
