"""A shared memory segment: a file that several processes map, and arrays that lie in it.

The file lies where files are memory (/dev/shm). Processes find it by its path, so nothing has to
register them. (`multiprocessing.shared_memory` unlinks a live segment when a process that only
attached ends, and cannot be closed while an array lies in it.) An array keeps the mapping alive.
The system frees the memory when the last array is gone in every process.

The owner holds a lock on the file as long as the file has a name (see owned.py).
"""

import errno
import mmap
import os
import re
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ddp.machine import owned

SHM_DIRECTORY = Path("/dev/shm")
NAME = re.compile(r"ddp-\d+-[0-9a-f]{12}")  # the owner's process id, and a random number
# bytes of a cache line: two arrays never share one, so two processes never fight for it
ALIGNMENT = 64

Array = npt.NDArray[Any]


class NoRoom(OSError):
    """The directory has too little room for a segment. `size`, `free`: bytes needed and free."""

    def __init__(self, size: int, free: int, directory: Path) -> None:
        super().__init__(errno.ENOSPC, os.strerror(errno.ENOSPC), str(directory))
        self.size = size
        self.free = free


@dataclass(frozen=True, slots=True)
class Place:
    """The place of an array in a segment, in C order. `offset`: bytes from the beginning."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def num_bytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize


class Layout:
    """Gives out places, one behind the other. `size`: bytes that all of them need."""

    def __init__(self) -> None:
        self.size = 0

    def place(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Place:
        """The next free place, for an array of this shape and type."""
        place = Place(self.size, shape, np.dtype(dtype))
        self.size += -(-place.num_bytes // ALIGNMENT) * ALIGNMENT
        return place


class Segment:
    """A segment that this process has created (`create`) or another one (`attach`)."""

    def __init__(self, path: Path, fd: int, size: int, lock: int | None) -> None:
        self.path = path
        self.size = size
        self._map = mmap.mmap(fd, size)
        # A descriptor of its own, because the mapping keeps `fd` open as long as an array lives.
        self._lock = lock

    @classmethod
    def create(cls, size: int, directory: Path) -> "Segment":
        """A new segment, full of zeros, whose memory is reserved.

        So a full disk is an error here, and not SIGBUS later. Raises NoRoom where there is too
        little room, OSError where it cannot create a file.
        """
        path, held = owned.claim(lambda: _new_file(directory))
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
        """A segment that another process has created."""
        fd = os.open(path, os.O_RDWR)
        try:
            return cls(path, fd, size, None)
        finally:
            os.close(fd)

    def view(self, place: Place) -> Array:
        """The array in that place, as a view of the segment."""
        return np.ndarray(place.shape, place.dtype, buffer=self._map, offset=place.offset)

    def unlink(self) -> None:
        """Takes the name away, if this process owns the segment.

        Processes that have attached keep the memory; no other can attach.
        """
        if self._lock is not None:
            self.path.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None


def default_directory() -> Path:
    """The place where files are memory, or the folder for temporary files."""
    return SHM_DIRECTORY if SHM_DIRECTORY.is_dir() else Path(tempfile.gettempdir())


def remove_orphans(directory: Path, *, dry_run: bool = False) -> list[tuple[Path, int]]:
    """Removes the segments that dead processes have left, and returns (path, bytes) of each."""
    return owned.remove_orphans(directory, NAME, dry_run=dry_run)


def _new_file(directory: Path) -> Path:
    """An empty file with a random name, which only this user can open."""
    path = directory / f"ddp-{os.getpid()}-{secrets.token_hex(6)}"
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    return path


def _reserve(fd: int, size: int, directory: Path) -> None:
    """Makes the file `size` bytes long and reserves them all. Raises NoRoom if there are fewer."""
    free = shutil.disk_usage(directory).free
    try:
        if size > free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.truncate(fd, size)
        os.posix_fallocate(fd, 0, size)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EINVAL):  # a file system that cannot reserve
            return
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise NoRoom(size, free, directory) from error
