"""Reads an .npz that a run of ours has written, from a file that may be anything by now. No pickle is ever loaded."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays by their names. Raises OSError if the file cannot be read, and ValueError for damage of any kind."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {member.filename.removesuffix(".npy"): _array(archive, member) for member in archive.infolist()}
    except OSError:
        raise
    except Exception as error:  # zipfile and numpy raise a dozen kinds, and what they have in common is the answer
        raise ValueError(f"{path.name} is damaged: {error or type(error).__name__}") from None


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> npt.NDArray[Any]:
    if member.compress_type != zipfile.ZIP_STORED:  # ours are not, and so none can be larger than the file
        raise ValueError(f"{member.filename} is compressed")
    # Read in one piece: only at a member's end does zipfile compare its checksum.
    array: npt.NDArray[Any] = np.load(io.BytesIO(archive.read(member)), allow_pickle=False)
    return array
