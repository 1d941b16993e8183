"""Files and folders that a living process owns, and how to remove those of dead ones.

The owner holds a lock on its file or folder. The system takes the lock away when the owner dies,
however it dies. So the next process knows the dead owners without trusting process ids, which the
system uses again.
"""

import fcntl
import os
import re
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def lock(fd: int, *, wait: bool) -> bool:
    """Locks the open file or folder until the descriptor is closed.

    The death of this process closes it at the latest. Returns False if another process holds the
    lock and `wait` is not set.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def holder(fd: int) -> int | None:
    """The id of the process that holds the lock on the open file or folder.

    None if the system does not tell: another host holds it, or this is not Linux.
    """
    inode = os.fstat(fd).st_ino
    with suppress(OSError, ValueError):
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            # as in "1: FLOCK  ADVISORY  WRITE 3154 fe:00:1053 0 EOF"
            _, kind, _, _, pid, place, *_ = line.split()
            if kind == "FLOCK" and int(place.rpartition(":")[2]) == inode and int(pid) > 0:
                return int(pid)
    return None


def claim(make: Callable[[], Path]) -> tuple[Path, int]:
    """Creates a file or folder with `make`, under a random name, and locks it.

    Returns its path and the descriptor that holds the lock. Raises OSError if `make` cannot create
    it.
    """
    while True:
        path = make()
        try:
            fd = os.open(path, os.O_RDONLY)
        except FileNotFoundError:  # another process took it for one that a dead process left ...
            continue
        lock(fd, wait=True)
        if path.exists():
            return path, fd
        os.close(fd)  # ... or did so before the lock was ours


def remove_orphans(
    directory: Path, name: re.Pattern[str], *, folders: bool = False, dry_run: bool = False
) -> list[tuple[Path, int]]:
    """Removes the files (or the folders) with such names whose owners are dead.

    Returns their paths and sizes in bytes. It leaves alone everything that belongs to another
    user.
    """
    kind, remove = (stat.S_ISDIR, shutil.rmtree) if folders else (stat.S_ISREG, os.unlink)
    found = []
    for path in sorted(directory.iterdir()):
        if not name.fullmatch(path.name):
            continue
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:  # it is gone, a link, or another user's
            continue
        try:
            status = os.fstat(fd)
            ours = kind(status.st_mode) and status.st_uid == os.getuid()
            if ours and lock(fd, wait=False):
                if not dry_run:
                    with suppress(OSError):
                        remove(path)  # under the lock: an owner that is being born notices
                found.append((path, status.st_size))
        finally:
            os.close(fd)
    return found
