"""A program goes on when nobody reads its output: whatever writes there, and however it broke."""

import os
import subprocess
import sys

import pytest
from programs import REPOSITORY

# It writes "done" to a file at its end.
BEGIN = """
import logging, os, subprocess, sys, traceback, warnings
from ddp.machine.output import outlast_readers
outlast_readers()
"""
END = "\nopen(sys.argv[1], 'w').write('done')\n"
WRITES = {
    "print": "for _ in range(3): print('x' * 10_000, flush=True)",
    "print without a flush": "print('x'); print('y', file=sys.stderr)",
    "bytes": "sys.stdout.buffer.write(b'x' * 100_000); sys.stdout.buffer.flush()",
    "a logger": "logging.basicConfig(stream=sys.stdout); logging.error('x'); logging.shutdown()",
    "a warning": "warnings.warn('x')",
    "a stack trace": "try: 1 / 0\nexcept ZeroDivisionError: traceback.print_exc()",
    "rich": "from rich.console import Console; Console().print('x'); Console(stderr=True).print()",
    "a child": "print('x', flush=True); subprocess.run(['echo', 'x'], check=True)",
    "twice": "outlast_readers(); print('x', flush=True)",
}


def broken_pipe():
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def dead_terminal():
    ours, theirs = os.openpty()
    os.close(ours)
    return theirs


def full_disk():
    return os.open("/dev/full", os.O_WRONLY)


def run(tmp_path, code, output=None, *options, preexec_fn=None):
    """The exit code of the program, and the text on its standard error if that is not broken."""
    done = subprocess.run(
        [sys.executable, *options, "-c", BEGIN + code + END, str(tmp_path / "end")],
        cwd=REPOSITORY, stdout=output, stderr=subprocess.PIPE, text=True, check=False, timeout=60,
        preexec_fn=preexec_fn,
    )  # fmt: skip
    assert (tmp_path / "end").read_text() == "done", done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize("unbuffered", [(), ("-u",)], ids=["", "-u"])
@pytest.mark.parametrize("writes", WRITES)
def test_no_write_fails(tmp_path, writes, unbuffered):
    descriptor = broken_pipe()
    both = lambda: os.dup2(descriptor, 2)  # noqa: E731
    assert run(tmp_path, WRITES[writes], descriptor, *unbuffered, preexec_fn=both)[0] == 0
    os.close(descriptor)


FULL = "warning: standard output: No space left on device; nothing more is written to it\n"


@pytest.mark.parametrize(
    ("broken", "said"), [(broken_pipe, ""), (dead_terminal, ""), (full_disk, FULL)]
)
def test_a_full_disk_is_told_once_and_no_reader_not_at_all(tmp_path, broken, said):
    descriptor = broken()
    assert run(tmp_path, WRITES["print"], descriptor) == (0, said)
    os.close(descriptor)


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)], ids=str)
def test_a_closed_descriptor_goes_to_no_file(tmp_path, closed):
    """Neither to the first file that the program opens, nor in the processes that it starts."""
    (tmp_path / "file").touch()
    code = f"""
file = open({str(tmp_path / "file")!r}, 'w')
print('x', flush=True); print('x', file=sys.stderr, flush=True); sys.stdin.read()
os.write(1, b'x'); os.write(2, b'x')
subprocess.run(['sh', '-c', 'echo x; echo x >&2; cat'], check=True)
"""

    def close():
        for descriptor in closed:
            os.close(descriptor)

    ended, _ = run(tmp_path, code, subprocess.DEVNULL, preexec_fn=close)
    assert (ended, (tmp_path / "file").read_text()) == (0, "")


WORKER = """
import multiprocessing, sys
from ddp.machine.child import serve_parent

def work():
    serve_parent()
    print("x", end="", flush=True)
    sys.stderr.write("x\\n")

process = multiprocessing.get_context("fork").Process(target=work)
process.start()
process.join()
sys.exit(process.exitcode)
"""


def test_nor_does_a_write_of_a_worker():
    descriptor = broken_pipe()
    done = subprocess.run(
        [sys.executable, "-c", WORKER],
        cwd=REPOSITORY, stdout=descriptor, stderr=descriptor, check=False,
    )  # fmt: skip
    os.close(descriptor)
    assert done.returncode == 0


def test_an_output_that_is_read_stays_as_it_was():
    done = subprocess.run(
        [sys.executable, "-c", f"{BEGIN}\nprint('né')"],
        cwd=REPOSITORY, env=os.environ | {"PYTHONIOENCODING": "latin-1"}, capture_output=True,
        check=True,
    )  # fmt: skip
    assert done.stdout == b"n\xe9\n"
