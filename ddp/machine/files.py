"""Files that are either complete or not there. Every OSError names its file."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ddp.disk import UNFINISHED, naming

_being_written: set[Path] = set()


def remove_unfinished() -> None:
    """Takes away what is being written at this moment: for who leaves at once."""
    for path in list(_being_written):
        with suppress(OSError):
            path.unlink(missing_ok=True)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to. It becomes `path` when the block ends well; otherwise `path` stays as it was. Raises OSError."""
    # In the same folder, because a rename is atomic only within one file system.
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}{UNFINISHED}")
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _being_written.add(temporary)
        try:
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            with suppress(OSError):  # what went wrong before is what has to be told
                temporary.unlink(missing_ok=True)
            _being_written.discard(temporary)
    _sync_directory(path.parent)


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that only one can have: FileExistsError if it is there. It goes again when the block fails. Raises OSError."""
    with naming(path):
        file = path.open("xb")
        try:
            with file:
                yield file
        except BaseException:
            path.unlink()
            raise


def _sync_directory(directory: Path) -> None:
    """So that a rename survives a power cut, where the system can do that for a directory."""
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
