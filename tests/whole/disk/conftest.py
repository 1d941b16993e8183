"""A disk of the test's own, and commands that use it."""

import shutil
import subprocess

import psutil
import pytest
from disks import SMALL, TIMEOUT_S, Disk, assert_whole, members
from programs import TRAIN


@pytest.fixture(scope="module")
def disk_directory(tmp_path_factory):
    """A folder with a file system of 2 MB."""
    path = tmp_path_factory.mktemp("disk")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "ddp-test", path],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.decode().strip()}")
    yield path
    subprocess.run(["umount", path], check=True)


@pytest.fixture
def disk(disk_directory):
    """An empty disk that takes files."""
    yield Disk(disk_directory)
    subprocess.run(["mount", "-o", "remount,rw", disk_directory], check=True)
    for path in disk_directory.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.fixture
def train(programs, disk, tmp_path):
    """`train(*arguments)`: the exit code and standard error of `python train.py`.

    Files that the disk does not take go to tmp_path.
    """

    def command(*arguments: str, directory=tmp_path, temporary=tmp_path, stdout=None):
        with (
            (tmp_path / "stderr").open("w") as said,
            (stdout or tmp_path / "stdout").open("w") as shown,
        ):
            streams = {"stdout": shown.fileno(), "stderr": said.fileno()}
            program = programs.start(
                TRAIN, *SMALL, *arguments, cwd=directory, temporary=temporary, **streams
            )
            try:
                code = program.wait(TIMEOUT_S)
            finally:
                program.kill()
            psutil.wait_procs(members(program.pid), timeout=10)
            assert members(program.pid) == []
            text = (tmp_path / "stderr").read_text()
        assert "Traceback" not in text
        assert_whole(disk.path)
        assert_whole(tmp_path)
        return code, text

    return command
