"""Processes find a place for their sockets, whatever TMPDIR is."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from programs import REPOSITORY

# The path of a socket as multiprocessing makes it.
LISTENS = """
from multiprocessing.connection import Listener
from ddp.machine.sockets import make_folder
make_folder()
with Listener(family="AF_UNIX") as listener:
    print(listener.address)
"""


@pytest.fixture
def short():
    """A folder with a short path."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="d-") as folder:
        yield Path(folder)


def folder_of(length, directory):
    """A new folder below the directory, with a path of so many bytes."""
    folder = Path(directory)
    while (missing := length - len(os.fsencode(folder))) > 1:
        folder /= "x" * min(missing - 1, 100 if missing > 103 else 255)
    folder.mkdir(parents=True, exist_ok=True)
    assert len(os.fsencode(folder)) == length
    return folder


def place_of_sockets(temporary, **environment):
    """The folder in which the program makes its own; that is gone afterwards."""
    done = subprocess.run(
        [sys.executable, "-c", LISTENS],
        cwd=REPOSITORY, env=os.environ | {"TMPDIR": str(temporary)} | environment,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    own = Path(done.stdout.strip()).parent
    assert not own.exists()
    return own.parent


@pytest.mark.parametrize("length", [30, 67, 68])
def test_a_short_tmpdir_is_the_place(short, length):
    assert place_of_sockets(folder_of(length, short)) == folder_of(length, short)


@pytest.mark.parametrize("length", [69, 90, 107, 108, 120, 200, 1000])
def test_a_long_one_is_not(short, length):
    runtime = short / "run"
    runtime.mkdir()
    temporary = folder_of(length, short)
    assert place_of_sockets(temporary, XDG_RUNTIME_DIR=str(runtime)) == runtime
    assert place_of_sockets(temporary, XDG_RUNTIME_DIR="") == Path("/tmp")
    assert place_of_sockets(temporary, XDG_RUNTIME_DIR=str(short / "none")) == Path("/tmp")


def test_what_a_killed_one_left_elsewhere_is_removed(short):
    left = Path(tempfile.mkdtemp(prefix="ddp-sockets-", dir="/tmp"))
    place_of_sockets(folder_of(100, short))
    assert not left.exists()
