"""Files that are either complete or not there. Every OSError names its file."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_being_written: set[Path] = set()


def remove_unfinished() -> None:
    """Removes the files that are being written at this moment, before the process ends at once."""
    for path in list(_being_written):
        with suppress(OSError):
            path.unlink(missing_ok=True)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which becomes `path` when the block ends well.

    Otherwise `path` stays as it was. Raises OSError with the name `path`.
    """
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
            with suppress(OSError):  # the first error is the one to report
                temporary.unlink(missing_ok=True)
            _being_written.discard(temporary)
    _sync_directory(path.parent)


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that does not exist yet; a block that fails removes it.

    Raises FileExistsError if it exists, or another OSError.
    """
    with naming(path):
        file = path.open("xb")
        try:
            with file:
                yield file
        except BaseException:
            path.unlink()
            raise


def _sync_directory(directory: Path) -> None:
    """Makes a rename survive a power cut, on file systems that can do that."""
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


FULL = (errno.ENOSPC, errno.EDQUOT)
TOO_MANY = (errno.EMFILE, errno.ENFILE)  # open files
UNFINISHED = ".part"  # the end of a file's name while it is being written

_ELSEWHERE = "put the run elsewhere: hydra.run.dir=DIR, for a sweep hydra.sweep.dir=DIR"
_ADVICE = dict.fromkeys(FULL, f"make room there, or {_ELSEWHERE}")
_ADVICE |= dict.fromkeys(TOO_MANY, "raise `ulimit -n`, or use fewer workers")
_ADVICE |= dict.fromkeys(
    (errno.EROFS, errno.EACCES, errno.EPERM), f"if this is a file of the run, {_ELSEWHERE}"
)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Adds the name `path` to an OSError of the block that has none.

    A write on a full disk raises such an error.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None or str(error.filename).endswith(UNFINISHED):
            error.filename = str(path)
        raise


def describe(error: OSError) -> str:
    """One message for the user: the file, the reason and what to do."""
    # All files of ours are named, but not a socket that cannot be opened.
    where = error.filename or ("this run" if error.errno in TOO_MANY else "standard output")
    advice = _ADVICE.get(error.errno or 0)
    return f"{where}: {error.strerror or error}" + (f"; {advice}" if advice else "")


def in_fixed_order(safetensors: bytes) -> bytes:
    """The same safetensors file with sorted metadata.

    The library keeps metadata in a hash map with a random seed, so equal files would differ.
    """
    start = 8 + int.from_bytes(safetensors[:8], "little")
    header = json.loads(safetensors[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format aligns the tensors behind the header
    return len(text).to_bytes(8, "little") + text + safetensors[start:]
