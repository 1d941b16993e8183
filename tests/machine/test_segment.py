"""Shared segments: their content, the end of their names, and no room for them."""

import errno
import os
import resource
import stat

import numpy as np
import psutil
import pytest

from ddp.machine import segment
from ddp.machine.segment import (
    ALIGNMENT,
    NAME,
    Layout,
    NoRoom,
    Segment,
    default_directory,
)


@pytest.fixture
def created(tmp_path):
    mine = Segment.create(4096, tmp_path)
    yield mine
    mine.unlink()
    vars(mine).clear()  # pytest keeps it for a while


# --- arrays in a segment ---


def test_arrays_lie_aligned_and_apart(tmp_path):
    layout = Layout()
    row = np.dtype([("a", "f8"), ("b", "i1")])
    wanted = [
        ((3,), np.float32),
        ((0,), np.int32),
        ((2, 5), np.int64),
        ((), np.float64),
        ((17,), np.int8),
        ((2,), row),
    ]
    places = [layout.place(shape, dtype) for shape, dtype in wanted]
    mine = Segment.create(layout.size, tmp_path)
    views = [mine.view(place) for place in places]
    mine.unlink()
    for (shape, dtype), view in zip(wanted, views, strict=True):
        assert (view.shape, view.dtype) == (shape, np.dtype(dtype))
        assert view.ctypes.data % ALIGNMENT == 0
        assert not view.tobytes().strip(b"\0")  # new memory is zero
    for value, view in enumerate(views):
        view[...] = np.frombuffer(bytes([value + 1]) * view.nbytes, view.dtype).reshape(view.shape)
    for value, view in enumerate(views):
        assert set(view.tobytes()) <= {value + 1}
    ends = [place.offset + place.num_bytes for place in places]
    assert all(end <= place.offset for end, place in zip(ends, places[1:], strict=False))
    assert ends[-1] <= layout.size


def test_who_attaches_sees_the_same_memory(created):
    place = Layout().place((8,), np.float32)
    theirs = Segment.attach(created.path, created.size).view(place)
    created.view(place)[:] = range(8)
    assert theirs.tolist() == list(range(8))
    theirs[3] = -1
    assert created.view(place)[3] == -1


def test_arrays_outlive_the_name_and_the_segment(tmp_path):
    mine = Segment.create(4096, tmp_path)
    attached = Segment.attach(mine.path, 4096)
    attached.unlink()  # it is not theirs
    assert mine.path.exists()
    view = attached.view(Layout().place((4,), np.int64))
    mine.unlink()
    mine.unlink()
    assert not mine.path.exists()
    del mine, attached
    view[:] = 5
    assert view.tolist() == [5] * 4


def test_the_file_is_ours_alone_and_its_memory_is_there(created):
    status = created.path.stat()
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert (status.st_size, status.st_blocks * 512 >= 4096) == (4096, True)
    assert created.path.name.startswith(f"ddp-{os.getpid()}-")
    assert NAME.fullmatch(created.path.name)


def test_a_segment_holds_no_descriptor_when_its_arrays_are_gone(tmp_path):
    before = psutil.Process().num_fds()
    mine = Segment.create(4096, tmp_path)
    view = mine.view(Layout().place((4,), np.int64))
    mine.unlink()
    del mine, view
    assert psutil.Process().num_fds() == before


# --- no room ---


def test_no_room_is_said_at_once(tmp_path):
    free = os.statvfs(tmp_path)
    size = free.f_bavail * free.f_frsize + 2**40
    with pytest.raises(NoRoom, match=f"No space left on device: '{tmp_path}'") as refusal:
        Segment.create(size, tmp_path)
    assert refusal.value.size == size > refusal.value.free > 0
    assert list(tmp_path.iterdir()) == []


def test_a_system_that_refuses_the_memory_is_heard(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = psutil.Process().num_fds()
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(NoRoom):
            Segment.create(2**20, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []
    assert psutil.Process().num_fds() == before


def test_a_file_system_that_cannot_reserve_is_used_all_the_same(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    mine = Segment.create(2**20, tmp_path)
    mine.unlink()
    assert mine.view(Layout().place((2**20,), np.int8))[-1] == 0


@pytest.mark.parametrize("name", ["missing", "file"])
def test_a_directory_that_is_none_is_refused(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises((FileNotFoundError, NotADirectoryError)):
        Segment.create(4096, tmp_path / name)


def test_segments_lie_where_files_are_memory_if_there_is_such_a_place(monkeypatch, tmp_path):
    monkeypatch.setattr(segment, "SHM_DIRECTORY", tmp_path)
    assert default_directory() == tmp_path
    monkeypatch.setattr(segment, "SHM_DIRECTORY", tmp_path / "missing")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    assert default_directory() == tmp_path / "temporary"
