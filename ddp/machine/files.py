"""Files that are either complete or not there. Every OSError names its file."""

import errno
import io
import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

_being_written: set[Path] = set()


def remove_unfinished() -> None:
    """Takes away what is being written at this moment: for who leaves at once."""
    for path in list(_being_written):
        with suppress(OSError):
            path.unlink(missing_ok=True)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to. It becomes `path` when the block ends well; otherwise `path` stays as it
    was. Raises OSError.
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
            with suppress(OSError):  # what went wrong before is what has to be told
                temporary.unlink(missing_ok=True)
            _being_written.discard(temporary)
    _sync_directory(path.parent)


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that only one can have: FileExistsError if it is there. It goes again when the block
    fails. Raises OSError.
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
    """So that a rename survives a power cut, where the system can do that for a directory."""
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


FULL = (errno.ENOSPC, errno.EDQUOT)
UNFINISHED = ".part"  # how the name of a file ends that is being written

_ELSEWHERE = "put the run elsewhere: hydra.run.dir=DIR, for a sweep hydra.sweep.dir=DIR"
_ADVICE = dict.fromkeys(FULL, f"make room there, or {_ELSEWHERE}")
_ADVICE |= dict.fromkeys(
    (errno.EROFS, errno.EACCES, errno.EPERM), f"if this is a file of the run, {_ELSEWHERE}"
)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Gives an OSError of the block the name of `path` where it has none: a write on a full disk
    does not say which file.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None or str(error.filename).endswith(UNFINISHED):
            error.filename = str(path)
        raise


def describe(error: OSError) -> str:
    """One message for whoever has to do something about it."""
    where = error.filename or "standard output"  # all files of ours are named
    advice = _ADVICE.get(error.errno or 0)
    return f"{where}: {error.strerror or error}" + (f"; {advice}" if advice else "")


def in_fixed_order(safetensors: bytes) -> bytes:
    """The same safetensors file with sorted metadata. The library keeps metadata in a hash map with
    a random seed, so equal files would differ.
    """
    start = 8 + int.from_bytes(safetensors[:8], "little")
    header = json.loads(safetensors[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format aligns the tensors behind the header
    return len(text).to_bytes(8, "little") + text + safetensors[start:]


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays by their names. Raises OSError if the file cannot be read, and ValueError for
    damage of any kind.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return {
                member.filename.removesuffix(".npy"): _array(archive, member)
                for member in archive.infolist()
            }
    except OSError:
        raise
    # zipfile and numpy raise a dozen kinds, and what they have in common is the answer
    except Exception as error:
        raise ValueError(f"{path.name} is damaged: {error or type(error).__name__}") from None


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> npt.NDArray[Any]:
    # ours are not, and so none can be larger than the file
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{member.filename} is compressed")
    # Read in one piece: only at a member's end does zipfile compare its checksum.
    array: npt.NDArray[Any] = np.load(io.BytesIO(archive.read(member)), allow_pickle=False)
    return array
