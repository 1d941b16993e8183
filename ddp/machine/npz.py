"""Reads .npz files: damage is an error, and never another array."""

import errno
import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an .npz file by their names.

    Raises OSError if it cannot read the file, and ValueError if the file is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            # zipfile overlooks the members behind a damaged entry of its directory
            if len(archive.infolist()) != _num_members(path):
                raise ValueError("a part of its directory is lost")
            return {
                member.filename.removesuffix(".npy"): _array(archive, member)
                for member in archive.infolist()
            }
    # zipfile and numpy raise a dozen kinds of errors for a damaged file
    except Exception as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # EINVAL: a place before 0
            raise
        raise ValueError(f"{path.name} is damaged: {error or type(error).__name__}") from None


def _num_members(path: Path) -> int:
    """The number of members that the end of a zip file states, for a file without a comment."""
    with path.open("rb") as file:
        file.seek(-22, os.SEEK_END)  # the length of the record that ends the file
        return int.from_bytes(file.read()[10:12], "little")


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> npt.NDArray[Any]:
    # ours are not compressed, so none can be larger than the file
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{member.filename} is compressed")
    # Read in one piece: only at a member's end does zipfile compare its checksum.
    array: npt.NDArray[Any] = np.load(io.BytesIO(archive.read(member)), allow_pickle=False)
    return array
