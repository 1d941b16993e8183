"""A segment without room or without a directory is refused with a remedy."""

import multiprocessing
import os

import pytest

from ddp.backends.shm_segment import create_segment
from ddp.errors import ConfigError, UserError
from ddp.experiment import run


def test_no_room_is_said_with_what_to_do(tmp_path):
    free = os.statvfs(tmp_path)
    size = free.f_bavail * free.f_frsize + 2**40
    with pytest.raises(UserError) as refusal:
        create_segment(size, tmp_path)
    message = str(refusal.value)
    assert message.startswith(
        f"{tmp_path}: this run needs {size / 2**20:,.0f} MiB of shared memory there, and "
    )
    assert [
        word
        for word in ("MiB are free", "backend.directory=DIR", "--shm-size", "python -m ddp.clean")
        if word not in message
    ] == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["missing", "file"])
def test_a_directory_that_is_none_is_refused_by_its_key(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(
        ConfigError, match=rf"^backend.directory={tmp_path / name}: cannot hold a file \("
    ):
        create_segment(4096, tmp_path / name)


def test_no_room_ends_the_run_before_a_worker_starts(make_config, tmp_path, monkeypatch, leaks):
    usage = os.statvfs(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 4096})())
    assert usage.f_bavail
    before = set(multiprocessing.active_children())
    with leaks(), pytest.raises(UserError, match="this run needs"):
        run(make_config("backend=shm", f"backend.directory={tmp_path}"), tmp_path / "run", [])
    assert set(multiprocessing.active_children()) == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
