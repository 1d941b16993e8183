"""Files, caches, kernels and segments that have no room, or may not be written."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from disks import PAGE, TIMEOUT_S, num_events
from programs import REPOSITORY

from ddp.backends.shm_segment import create_segment
from ddp.errors import ConfigError, DataError, UserError
from ddp.machine.files import atomic_file
from ddp.ratings.arrays import Ratings
from ddp.ratings.sources.cache import cached
from ddp.ratings.sources.fetch import fetch
from ddp.ratings.sources.remote import Download, Member
from ddp.tracking.messages import AggregateRound
from ddp.tracking.metrics import SquaredError
from ddp.tracking.tensorboard import TensorBoard
from ddp.tracking.tracker import RunFacts

# --- files ---


def test_a_file_that_has_no_room_leaves_what_was_there(disk):
    with atomic_file(disk.path / "file") as file:
        file.write(b"old")
    disk.fill()
    with (
        pytest.raises(OSError, match="No space left on device") as refusal,
        atomic_file(disk.path / "file") as file,
    ):
        file.write(bytes(10 * PAGE))
    assert refusal.value.filename == str(disk.path / "file")
    assert (disk.path / "file").read_bytes() == b"old"
    assert {path.name for path in disk.path.iterdir()} == {"file", "filler"}


def test_a_file_on_a_read_only_disk_is_named_by_its_own_name(disk):
    disk.protect()
    with (
        pytest.raises(OSError, match="Read-only file system") as refusal,
        atomic_file(disk.path / "file") as file,
    ):
        file.write(b"new")
    assert refusal.value.filename == str(disk.path / "file")


def test_the_new_name_of_a_file_survives_a_power_cut(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync

    def watched(descriptor):
        synced.append(
            (Path(f"/proc/self/fd/{descriptor}").readlink().name, (tmp_path / "file").exists())
        )
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    with atomic_file(tmp_path / "file") as file:
        file.write(b"content")
    (_, before), directory = synced
    assert not before
    assert directory == (tmp_path.name, True)


def test_event_files_keep_what_they_had(disk):
    board = TensorBoard(RunFacts(directory=disk.path, settings={"workers": 1}), "all")
    error = SquaredError(1.0, 1)
    board.on(AggregateRound(round_index=0, valid=error, test=error, weights=(1.0,), elapsed_s=1.0))
    board._flush()
    (path,) = disk.path.iterdir()
    before = path.read_bytes()
    disk.fill()
    board.on(
        AggregateRound(round_index=1, valid=error, test=error, weights=(1.0,) * 1000, elapsed_s=2.0)
    )
    board.close()
    assert board.trouble.startswith(f"{path}: No space left on device")
    assert path.read_bytes() == before
    assert num_events(path) > 1


# --- data ---


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("titles", "1\tA\n")
        opened.writestr("ratings", bytes(10 * PAGE))
    return path


@pytest.mark.parametrize("pages", [0, 1, 2, 5])
def test_a_set_that_has_no_room_is_one_message(disk, archive, pages):
    """At first there is no archive, then a file in its place.

    Nobody asks another source, which would need as much room.
    """
    disk.fill(pages)
    source = Download(
        url=archive.as_uri(),
        members=tuple(Member(name=name, target=name) for name in ("titles", "ratings")),
    )
    with pytest.raises(
        DataError,
        match=f"^{disk.path}/set: cannot be written: No space left on device. Set data.root",
    ):
        fetch([source, source], disk.path / "set", connect_timeout_s=1, limit_bytes=10**6)
    assert {path.name for path in (disk.path / "set").iterdir()} <= {"titles"}


@pytest.mark.parametrize("protected", [False, True])
def test_a_cache_that_cannot_be_written_is_done_without(disk, tmp_path, protected):
    (tmp_path / "data").write_text("data")
    numbers = np.arange(3 * PAGE, dtype=np.int32)
    ratings = Ratings(
        name="some", users=numbers, items=numbers, ratings=numbers.astype(np.float32),
        user_ids=numbers.astype(np.int64),
        item_ids=numbers.astype(np.int64), rating_min=1.0, rating_max=5.0,
    )  # fmt: skip
    disk.protect() if protected else disk.fill(2)
    assert cached(disk.path / "ratings.npz", [tmp_path / "data"], "", lambda: ratings) is ratings
    assert {path.name for path in disk.path.iterdir()} <= {"filler"}


# --- kernels ---

WITHOUT_A_CACHE = """
import os, sys, tempfile
tempfile.tempdir = os.environ["HOME"]
import ddp.machine.compiled.jit, ddp.machine.compiled.gates, numpy
counters = numpy.zeros(2, numpy.int64)
gates = ddp.machine.compiled.gates.Gates(counters)
gates.open(0, 7)
print(ddp.machine.compiled.gates.__file__, ddp.machine.compiled.jit._caching, gates.wait(0, 7, 1.0))
"""


@pytest.mark.parametrize("protected", [False, True])
def test_kernels_are_compiled_into_memory_where_no_cache_can_be_written(disk, protected):
    shutil.copytree(
        REPOSITORY / "ddp", disk.path / "ddp", ignore=shutil.ignore_patterns("__pycache__")
    )
    disk.protect() if protected else disk.fill()
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")
    }
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_A_CACHE], capture_output=True, text=True, timeout=TIMEOUT_S,
        check=False, cwd=disk.path,
        env=environment
        | {"HOME": str(disk.path), "PYTHONPATH": str(disk.path), "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [
        str(disk.path / "ddp" / "machine" / "compiled" / "gates.py"),
        "False",
        "True",
    ]


# --- shared memory ---


def test_shared_memory_on_a_full_disk_is_one_message(disk):
    disk.fill(3)
    with pytest.raises(UserError, match=r"backend\.directory=DIR"):
        create_segment(4 * PAGE, disk.path)
    assert {path.name for path in disk.path.iterdir()} == {"filler"}


def test_shared_memory_on_a_read_only_disk_is_one_message(disk):
    disk.protect()
    with pytest.raises(ConfigError, match=r"cannot hold a file \(Read-only file system\)"):
        create_segment(PAGE, disk.path)
