"""The leak check finds all things that a test leaves, and blames it for nothing else."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from multiprocessing import util
from pathlib import Path

import pytest
from jobs import DEADLINE_S
from leaks import check_leaks
from programs import REPOSITORY

from ddp.machine.segment import Segment, default_directory

MEMORY = Path("/dev/shm")


@contextmanager
def found(match, **options):
    """Expects that both kinds of check find a leak in the block."""
    with (
        pytest.raises(AssertionError, match=match),
        check_leaks(deadline_s=0, **options),
        pytest.raises(AssertionError, match=match),
        check_leaks(deadline_s=0, thorough=False, **options),
    ):
        yield


def test_a_left_thread_is_found():
    release = threading.Event()
    thread = threading.Thread(target=release.wait, name="forgotten")
    with found("thread forgotten"):
        thread.start()
    release.set()
    thread.join()


def test_a_left_process_is_found():
    waits = [sys.executable, "-c", "print(flush=True); input()"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(waits, **pipes) as process:
        with found(r"process \d+ .* -c print\(flush=True\); input\(\)"):
            other = subprocess.Popen(waits, **pipes)
            other.stdout.readline()  # before that it may not have its command line
        other.kill()
        other.communicate()
        process.communicate(b"\n")


def test_a_left_process_that_was_forked_from_a_server_is_found():
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe()
    process = context.Process(target=theirs.recv)
    with ours, theirs:
        with found(r"process \d+ "):
            process.start()
        ours.send(None)
        process.join(DEADLINE_S)
        process.close()


def test_a_left_program_is_found(programs, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("input()")
    ours, theirs = os.pipe()
    with os.fdopen(theirs, "w") as end, os.fdopen(ours) as start:
        with found(r"process \d+ "):
            program = programs.start(script, cwd=tmp_path, stdin=start.fileno())
        end.write("\n")
        end.flush()
        assert program.communicate() == ("", "")


def test_a_left_descriptor_is_found(tmp_path):
    with found(r"1 descriptors, among .*forgotten"):
        file = (tmp_path / "forgotten").open("w")
    file.close()


@pytest.mark.skipif(not MEMORY.exists(), reason="no /dev/shm here")
def test_left_shared_memory_is_found():
    with found(rf"shared memory or sockets {MEMORY}/ddp-{os.getpid()}-\w+"):
        segment = Segment.create(4096, MEMORY)
    segment.unlink()


@pytest.mark.skipif(not MEMORY.exists(), reason="no /dev/shm here")
def test_a_left_semaphore_is_found():
    with found(rf"shared memory or sockets {MEMORY}/sem\.mp-{os.getpid()}-\w+"):
        semaphore = multiprocessing.get_context("spawn").Semaphore()
    del semaphore


@pytest.mark.skipif(not MEMORY.exists(), reason="no /dev/shm here")
def test_left_shared_memory_of_a_child_that_is_dead_is_found(programs, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import os, pathlib\nfrom ddp.machine.segment import Segment\n"
        f"print(Segment.create(4096, pathlib.Path('{MEMORY}')).path, flush=True)\nos._exit(0)"
    )
    with found(rf"shared memory or sockets {MEMORY}/ddp-\d+-\w+"):
        done = programs.run(script, cwd=tmp_path)
    Path(done.stdout.strip()).unlink()


def test_a_left_folder_of_sockets_is_found():
    with found("shared memory or sockets .*/ddp-sockets-forgotten"):
        folder = Path(tempfile.mkdtemp(prefix="ddp-sockets-forgotten"))
    folder.rmdir()
    with found("shared memory or sockets .*/pymp-forgotten"):
        folder = Path(tempfile.mkdtemp(prefix="pymp-forgotten"))
    folder.rmdir()


def test_a_left_part_is_found(tmp_path):
    (tmp_path / "run").mkdir()
    part = tmp_path / "run" / ".result.json.0.part"
    with found(r"result\.json\.0\.part", directory=tmp_path):
        part.touch()
    part.unlink()


def test_what_ends_in_time_is_no_leak():
    release = threading.Event()
    with check_leaks(deadline_s=DEADLINE_S):
        threading.Timer(0.01, release.set).start()
        threading.Thread(target=release.wait).start()


# It does not descend from the test: its parent has ended.
STRANGER = """
import multiprocessing, os, sys
from multiprocessing import util
if os.fork():
    os._exit(0)
from ddp.machine.segment import Segment, default_directory
context = multiprocessing.get_context("spawn")
semaphore = context.Semaphore()
segment = Segment.create(4096, default_directory())
print(util.get_temp_dir(), segment.path, semaphore._semlock.name, flush=True)
with context.Manager():
    print("made", flush=True)
    sys.stdin.read()
segment.unlink()
"""


def test_another_program_of_the_same_user_is_not_blamed():
    """Another program makes a folder of sockets, a segment, a semaphore and processes."""
    environment = {key: value for key, value in os.environ.items() if key != "TMPDIR"}
    environment |= {"PYTHONPATH": str(REPOSITORY)}
    (stdin, going), (said, stdout) = os.pipe(), os.pipe()
    with os.fdopen(said) as said, os.fdopen(going, "w"):
        for thorough in (True, False):
            with check_leaks(deadline_s=0, thorough=thorough):
                if thorough:
                    subprocess.run(
                        [sys.executable, "-c", STRANGER], env=environment, stdin=stdin,
                        stdout=stdout, check=True,
                    )  # fmt: skip
                    folder, segment, semaphore = said.readline().split()
                    assert said.readline() == "made\n"
                assert Path(folder).name.startswith("pymp-")
                assert Path(segment).exists()
                assert (MEMORY / f"sem.{semaphore.removeprefix('/')}").exists()
                assert Path(segment).parent == default_directory()
        os.close(stdin)
        os.close(stdout)


def test_our_own_folder_for_temporary_files_is_a_childs_too(programs, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import tempfile; print(tempfile.gettempdir())")
    command = [sys.executable, script]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown == programs.run(script, cwd=tmp_path).stdout == tempfile.gettempdir() + "\n"
    assert Path(util.get_temp_dir()).is_relative_to(tempfile.gettempdir())
