"""Arrays of an .npz come back as they were; a damaged or malicious file gives one kind of error."""

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ddp.machine.npz import read_arrays


def write(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def test_arrays_come_back(tmp_path):
    arrays = {
        "numbers": np.arange(6).reshape(2, 3),
        "text": np.array(["a", "é"]),
        "none": np.zeros(0, np.float32),
        "one": np.array(3),
    }
    np.savez(tmp_path / "a.npz", **arrays)
    found = read_arrays(tmp_path / "a.npz")
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_a_missing_file_is_told_from_a_damaged_one(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_arrays(tmp_path / "a.npz")
    (tmp_path / "a.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"a\.npz is damaged"):
        read_arrays(tmp_path / "a.npz")


def test_compressed_members_are_refused_since_they_may_be_larger_than_any_memory(tmp_path):
    path = write(tmp_path / "a.npz", {"a.npy": npy(np.zeros(1 << 20))}, zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match=r"a\.npy is compressed"):
        read_arrays(path)


GOOD = npy(np.zeros(3))
HARMFUL = {
    "more numbers than there is memory": GOOD.replace(
        b"(3,), ", b"(9" + b"9" * 15 + b",), "
    ).replace(b" " * 16 + b"\n", b"\n"),
    "negative shape": GOOD.replace(b"(3,)", b"(-3)"),
    "no header": GOOD[:20],
    "a header that is no Python": GOOD.replace(b"{'descr'", b"((((((("),
    "nothing": b"",
    "a pickle": npy(np.array([{}], dtype=object)),
    "only a pickle": pickle.dumps({}),
}


@pytest.mark.parametrize("member", HARMFUL.values(), ids=HARMFUL)
def test_what_is_no_array_is_damage(tmp_path, member):
    with pytest.raises(ValueError, match=r"a\.npz is damaged"):
        read_arrays(write(tmp_path / "a.npz", {"a.npy": member}))


@pytest.mark.parametrize("compression", [12, 14, 99], ids=["bzip2", "lzma", "unknown"])
def test_another_compression_written_over_is_damage(tmp_path, compression):
    content = write(tmp_path / "a.npz", {"a.npy": GOOD}).read_bytes()
    start, central = content.index(b"PK\3\4"), content.index(b"PK\1\2")
    altered = bytearray(content)
    altered[start + 8] = altered[central + 10] = compression
    (tmp_path / "a.npz").write_bytes(altered)
    with pytest.raises(ValueError, match=r"a\.npz is damaged"):
        read_arrays(tmp_path / "a.npz")


def test_a_flipped_bit_in_the_directory_loses_no_array(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, first=np.arange(3), second=np.arange(4), third=np.arange(5))
    content = path.read_bytes()
    refused = 0
    for bit in range(8 * content.index(b"PK\1\2"), 8 * len(content)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            found = read_arrays(path)
        except ValueError:
            refused += 1
        else:
            sizes = {name: array.tolist() for name, array in found.items()}
            assert sizes == {"first": [0, 1, 2], "second": [0, 1, 2, 3], "third": [0, 1, 2, 3, 4]}
    assert refused > 100
