"""A test that hangs ends with its stacks, and a test that is alone runs without others."""

import os
import re
import subprocess
import sys

import pytest
from jobs import DEADLINE_S
from programs import REPOSITORY

TWO = ("-n", "2", "--dist", "loadscope")

HANGING = """
import threading, pytest

@pytest.mark.watchdog(0.5)
def test_hang():
    threading.Event().wait(100)

def test_another():
    pass
"""


def run_pytest(directory, *arguments):
    """Runs pytest with this conftest.py, in a session of its own."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        *("-p", "conftest", "-p", "xdist", "-p", "no:cacheprovider"),
        *arguments,
    ]
    # A session that ends at once leaves its folder for temporary files.
    own = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    own |= {
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # their imports would take most of the time
        "TMPDIR": str(directory),
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY / "tests"), str(REPOSITORY)]),
    }
    return subprocess.run(
        command,
        cwd=directory,
        env=own,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )


@pytest.mark.parametrize("workers", [(), TWO], ids=["one process", "two workers"])
def test_a_test_that_hangs_is_ended_and_its_stacks_are_shown(tmp_path, workers):
    (tmp_path / "test_hang.py").write_text(HANGING)
    ended = run_pytest(tmp_path, *workers)
    assert ended.returncode == 1
    shown = ended.stdout if workers else ended.stderr
    assert "Timeout (0:00:00.500000)!" in shown
    assert "in test_hang" in shown
    if workers:
        assert re.search(r"worker 'gw\d' crashed while running 'test_hang.py::test_hang'", shown)
        assert re.search(r"stacks of gw\d:\n", shown)
        assert "1 failed, 1 passed" in shown


ALONE = """
import time, pytest
from pathlib import Path

@pytest.mark.alone
@pytest.mark.parametrize("n", range(3))
def test_alone(n):
    before = Path("others").read_text() if Path("others").exists() else ""
    time.sleep(0.2)  # long enough for another worker to run tens of tests
    assert (Path("others").read_text() if Path("others").exists() else "") == before
"""
OTHERS = """
import pytest

@pytest.mark.parametrize("n", range(200))
def test_other(n):
    with open("others", "a") as file:
        file.write(".")
"""


def test_one_that_is_alone_runs_while_the_other_worker_runs_none(tmp_path):
    (tmp_path / "test_alone.py").write_text(ALONE)
    (tmp_path / "test_others.py").write_text(OTHERS)
    ended = run_pytest(tmp_path, *TWO)
    assert "203 passed" in ended.stdout, ended
