"""Shared segments: their content, the end of their names, and the cleaning up after dead owners."""

import errno
import fcntl
import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

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
    remove_orphans,
)

REPOSITORY = Path(__file__).parent.parent.parent
DEADLINE_S = 60.0


@pytest.fixture
def created(tmp_path):
    mine = Segment.create(4096, tmp_path)
    yield mine
    mine.unlink()
    vars(mine).clear()  # pytest keeps it for a while


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "ddp.clean", *map(str, arguments)],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip


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


# --- cleaning up ---

# Its children do not end with it, and must not keep its lock.
OWNER = """
import multiprocessing, sys, time
from pathlib import Path
from ddp.machine.segment import Segment

if __name__ == "__main__":
    segment = Segment.create(8192, Path(sys.argv[1]))
    children = []
    for method in ("spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        children.append(context.Process(target=time.sleep, args=(3600,)))
        children[-1].start()
    print(segment.path, *(child.pid for child in children), flush=True)
    time.sleep(3600)
"""


@pytest.fixture(scope="module")
def owner(tmp_path_factory):
    """A directory with the segment of a living process, and a function that kills it and leaves its
    children.
    """
    directory = tmp_path_factory.mktemp("segments")
    script = tmp_path_factory.mktemp("script") / "owner.py"
    script.write_text(OWNER)
    # It is killed, and leaves the folder of its sockets.
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "TMPDIR": str(script.parent)}
    with subprocess.Popen(
        [sys.executable, script, directory], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        path, *pids = process.stdout.readline().split()
        children = [psutil.Process(int(pid)) for pid in pids]
        try:
            yield directory, Path(path), process, children
        finally:
            process.kill()
            for child in children:
                child.kill()
            psutil.wait_procs(children, DEADLINE_S)


def test_cleaning_up_leaves_the_living_removes_the_dead_and_touches_nothing_else(owner):
    directory, path, process, children = owner
    foreign = [
        directory / name
        for name in ("ddp-1-abc", "ddp-notes", "psm_1234", "ddp-12-0123456789ab.txt")
    ]
    for file in foreign:
        file.write_text("mine")
    (directory / "ddp-5-0123456789ab").mkdir()
    (directory / "ddp-6-0123456789ab").symlink_to(foreign[0])
    os.mkfifo(directory / "ddp-7-0123456789ab")
    others = sorted(set(directory.iterdir()) - {path})
    assert remove_orphans(directory) == []
    assert command(directory).stdout == "removed: 0 files, 0.0 MiB\n"
    assert sorted(directory.iterdir()) == sorted([*others, path])

    process.send_signal(signal.SIGKILL)
    process.wait(DEADLINE_S)
    assert all(child.is_running() for child in children)
    would = command("--dry-run", directory)
    assert (would.stdout, would.stderr) == (
        f"{path}  0.0 MiB\nwould remove: 1 files, 0.0 MiB\n",
        "",
    )
    assert path.exists()
    assert command(directory).stdout == f"{path}  0.0 MiB\nremoved: 1 files, 0.0 MiB\n"
    assert sorted(directory.iterdir()) == others


def test_a_segment_that_was_taken_for_dead_while_it_was_born_gets_another_name(
    tmp_path, monkeypatch
):
    """Another program may clean up between the creation of a segment and its lock."""
    cleaned = []
    flock = fcntl.flock

    def clean_first(fd, operation):
        if not cleaned and not operation & fcntl.LOCK_NB:
            cleaned.append(None)
            cleaned[0] = remove_orphans(tmp_path)
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", clean_first)
    before = psutil.Process().num_fds()
    mine = Segment.create(4096, tmp_path)
    assert len(cleaned[0]) == 1
    assert list(tmp_path.iterdir()) == [mine.path]
    assert cleaned[0][0][0] != mine.path
    mine.unlink()
    del mine
    assert psutil.Process().num_fds() == before


def test_the_command_refuses_what_is_no_directory(tmp_path):
    ended = command(tmp_path / "missing")
    assert ended.returncode == 2
    assert f"{tmp_path / 'missing'} is not a directory" in ended.stderr


def test_the_command_needs_no_torch():
    code = "import sys, ddp.clean; print({'torch', 'hydra', 'pandas'} & set(sys.modules))"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
        ).stdout
        == "set()\n"
    )
