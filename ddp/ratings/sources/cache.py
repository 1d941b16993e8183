"""Keeps parsed ratings in an uncompressed .npz file.

So the next start neither parses them nor imports pandas.
"""

import hashlib
import json
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from ddp.errors import DataError
from ddp.machine.files import atomic_file
from ddp.machine.npz import read_arrays
from ddp.ratings.arrays import Ratings, Reading

# Raise it when the meaning of a cached array changes: every older cache is then rebuilt.
CACHE_VERSION = 2
_BLOCKS, _BLOCK_BYTES = 16, 4096


def cached(
    cache_file: Path | None, sources: Sequence[Path], options: str, build: Callable[[], Ratings]
) -> Ratings:
    """The result of `build()`, or the cached one for the same `sources` and `options`.

    With `cache_file` None it always builds, and so it does if a source is a pipe. It also builds,
    without a message, when the cache is missing, stale or damaged. A cache that cannot be written
    is no error. Raises DataError when a source is missing, empty, not a file, or changes while
    `build` reads it.
    """
    stamps = [_stamp(path) for path in sources]
    if not all(path.is_file() for path in sources):
        return build()
    key = json.dumps([CACHE_VERSION, options, stamps])
    if cache_file is not None and (found := _load(cache_file, key)) is not None:
        return found
    ratings = build()
    for path, before in zip(sources, stamps, strict=True):
        if _stamp(path) != before:
            raise DataError(
                f"{path}: changed while it was being read. Start again when nothing writes to it"
                " any more."
            )
    if cache_file is not None:
        with suppress(OSError):
            _save(cache_file, key, ratings)
    return ratings


def _stamp(path: Path) -> list[str | int]:
    """All that tells a file from another, or from itself before a change.

    A copy that keeps times and size has another inode or ctime. Where a file system has neither,
    the checksum of some blocks tells it.
    """
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode):
            checksum = _checksum_of_blocks(path, status.st_size)
    except FileNotFoundError:
        where = "" if path.is_absolute() else f" (looked for in {Path.cwd()})"
        raise DataError(f"{path}: there is no such file{where}. Check the path.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if path.is_dir():
        raise DataError(f"{path}: is a folder. Name the rating file itself.")
    if not stat.S_ISREG(status.st_mode):
        return [path.name]
    if status.st_size == 0:
        raise DataError(f"{path}: is empty. It should have one rating per line.")
    times = (status.st_mtime_ns, status.st_ctime_ns)
    return [path.name, status.st_size, *times, status.st_ino, checksum]


def _checksum_of_blocks(path: Path, size: int) -> str:
    """The checksum of the first and the last block, and of others at equal distances."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in range(_BLOCKS):
            file.seek(max(size - _BLOCK_BYTES, 0) * block // (_BLOCKS - 1))
            digest.update(file.read(_BLOCK_BYTES))
    return digest.hexdigest()


def _save(cache_file: Path, key: str, ratings: Ratings) -> None:
    values = {field.name: getattr(ratings, field.name) for field in fields(ratings)}
    if ratings.reading is not None:
        values["reading"] = json.dumps(asdict(ratings.reading))
    arrays = {name: np.asarray(value) for name, value in values.items() if value is not None}
    with atomic_file(cache_file) as file:
        np.savez(file, allow_pickle=False, key=np.asarray(key), names=list(arrays), **arrays)


def _load(cache_file: Path, key: str) -> Ratings | None:
    try:
        arrays = read_arrays(cache_file)
        if arrays.pop("key").item() != key:
            return None
        # zipfile overlooks the members behind a damaged entry of the directory
        if arrays.pop("names").tolist() != list(arrays):
            return None
        values: dict[str, Any] = {
            name: array if array.ndim else array.item() for name, array in arrays.items()
        }
        if "reading" in values:
            values["reading"] = _reading(json.loads(values["reading"]))
        return Ratings(**values)
    # whatever the damage is, parsing again mends it
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _reading(found: dict[str, Any]) -> Reading:
    return Reading(
        format={part: (value, how) for part, (value, how) in found["format"].items()},
        left_out=found["left_out"],
        warnings=tuple(found["warnings"]),
    )
