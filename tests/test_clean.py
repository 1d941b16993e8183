"""Segments of dead owners are removed, by a run and by `python -m ddp.clean`."""

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from jobs import DEADLINE_S
from programs import REPOSITORY

from ddp.machine.segment import Segment, remove_orphans


def command(*arguments):
    """`python -m ddp.clean` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "ddp.clean", *map(str, arguments)],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip


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
    """A directory with the segment of a living process; its path, its owner and the children."""
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
