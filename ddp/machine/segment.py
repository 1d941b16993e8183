"""One segment of memory that processes share: a file that all of them map, and arrays that lie in
   it.

The file lies where files are memory (/dev/shm), and is found by its path, so attaching registers
nothing with anybody. (`multiprocessing.shared_memory` unlinks a live segment when a process that
only attached ends, and cannot be closed while an array lies in it.) An array keeps the mapping
alive; when the last one is gone in every process, so is the memory.

As long as the name is there, its owner holds a lock on the file, and the system takes the lock away
when the owner is killed: so the living and the dead are told apart without believing in process
ids.
"""

import errno
import mmap
import os
import re
import secrets
import shutil
import stat
import tempfile
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ddp.errors import ConfigError, UserError
from ddp.machine.lock import lock

MEMORY = Path("/dev/shm")
NAME = re.compile(r"ddp-\d+-[0-9a-f]{12}")  # of the owner's process, and a random number
# bytes: a cache line, so that what one process writes never shares one with what another reads
ALIGNMENT = 64

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an array lies in a segment: `offset` in bytes, C order."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def num_bytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize


class Layout:
    """Gives out places one behind the other; `size` is what a segment for all of them needs, in
    bytes.
    """

    def __init__(self) -> None:
        self.size = 0

    def place(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Place:
        """The next free place for such an array."""
        place = Place(self.size, shape, np.dtype(dtype))
        self.size += -(-place.num_bytes // ALIGNMENT) * ALIGNMENT
        return place


class Segment:
    """A segment that was created by us (`create`) or by another process (`attach`). New ones are
    full of zeros.
    """

    def __init__(self, path: Path, fd: int, size: int, lock: int | None) -> None:
        self.path = path
        self.size = size
        self._map = mmap.mmap(fd, size)
        # a descriptor of its own: the mapping keeps the other one for as long as an array lies in
        # it
        self._lock = lock

    @classmethod
    def create(cls, size: int, directory: Path) -> "Segment":
        """A new one, whose memory is there: a full disk is an error here, and not SIGBUS later.

        Raises UserError when there is not enough room, ConfigError when there is no such directory.
        """
        path, held = _new_file(directory)
        try:
            fd = os.open(path, os.O_RDWR)
            try:
                _reserve(fd, size, directory)
                return cls(path, fd, size, held)
            finally:
                os.close(fd)
        except BaseException:
            path.unlink()
            os.close(held)
            raise

    @classmethod
    def attach(cls, path: Path, size: int) -> "Segment":
        """The one that another process has created."""
        fd = os.open(path, os.O_RDWR)
        try:
            return cls(path, fd, size, None)
        finally:
            os.close(fd)

    def view(self, place: Place) -> Array:
        """The array in that place, not copied."""
        return np.ndarray(place.shape, place.dtype, buffer=self._map, offset=place.offset)

    def unlink(self) -> None:
        """Takes the name away, if we own it: who has attached keeps the memory, nobody can attach
        any more.
        """
        if self._lock is not None:
            self.path.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None


def default_directory() -> Path:
    """Where files are memory, if there is such a place."""
    return MEMORY if MEMORY.is_dir() else Path(tempfile.gettempdir())


def remove_orphans(directory: Path, *, dry_run: bool = False) -> list[tuple[Path, int]]:
    """Removes the segments whose owners are dead: which, and their sizes in bytes. Nobody else's
    files are touched.
    """
    found = []
    for path in sorted(directory.iterdir()):
        if not NAME.fullmatch(path.name):
            continue
        try:
            fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:  # gone, a link, or another user's
            continue
        try:
            status = os.fstat(fd)
            if (
                stat.S_ISREG(status.st_mode)
                and status.st_uid == os.getuid()
                and lock(fd, wait=False)
            ):
                if not dry_run:
                    # under the lock: a run that is just being born notices, and takes a new name
                    path.unlink(missing_ok=True)
                found.append((path, status.st_size))
        finally:
            os.close(fd)
    return found


def _new_file(directory: Path) -> tuple[Path, int]:
    """An empty file of a new name, and a descriptor that holds the lock on it."""
    while True:
        path = directory / f"ddp-{os.getpid()}-{secrets.token_hex(6)}"
        try:
            held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        except OSError as error:
            raise ConfigError(
                "backend.directory", directory, f"cannot hold a file ({error.strerror})"
            ) from error
        lock(held, wait=True)
        if os.fstat(held).st_nlink:  # else somebody cleaned up before the lock was ours
            return path, held
        os.close(held)


def _reserve(fd: int, size: int, directory: Path) -> None:
    """Makes the file `size` bytes long, all of them there. Raises UserError when they are not to be
    had.
    """
    free = shutil.disk_usage(directory).free
    try:
        if size > free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.truncate(fd, size)
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(fd, 0, size)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EINVAL):  # a file system that cannot reserve
            return
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise UserError(
            f"{directory}: this run needs {size / 2**20:,.0f} MiB of shared memory there, and"
            f" {free / 2**20:,.0f} MiB are free;"
            " set backend.directory=DIR to a folder with more room, give a container more (docker"
            " run --shm-size=...), or"
            " remove what killed runs have left (python -m ddp.clean)"
        ) from error
