"""A pytest plugin: a test that hangs ends its process, and shows the stacks of all threads.

It also makes the folder for temporary files, and lets a test that is `alone` run without others.
"""

import faulthandler
import fcntl
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
from leaks import own_folder

WATCHDOG_S = 120.0
# None without pytest-xdist, and in the process that the workers report to
WORKER = os.environ.get("PYTEST_XDIST_WORKER")
STACKS = "stacks-of-{}"  # of a worker that hung

_folder = own_folder()
_shared = Path()  # the folder of all workers of pytest-xdist
# the real stderr (pytest redirects descriptor 2 while a test runs), or a file of the worker's
_stacks = -1


def pytest_configure(config):
    global _shared, _stacks  # noqa: PLW0603
    config.addinivalue_line(
        "markers", f"watchdog(seconds): how long the test may take, instead of {WATCHDOG_S:g} s"
    )
    config.addinivalue_line(
        "markers", "alone: no other worker of pytest-xdist runs a test meanwhile"
    )
    # tmp_path stays there, so that a developer can look at it
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    if WORKER:
        _shared = Path(tempfile.gettempdir())
        _stacks = os.open(_shared / STACKS.format(WORKER), os.O_WRONLY | os.O_CREAT)
    else:
        _stacks = os.dup(sys.__stderr__.fileno())
    _folder.__enter__()
    if not WORKER:
        _shared = Path(tempfile.gettempdir())


def pytest_unconfigure():
    _folder.__exit__(None, None, None)
    os.close(_stacks)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """A test that takes too long, with its fixtures, ends its process and shows all stacks."""
    with turn(alone=item.get_closest_marker("alone") is not None):
        marker = item.get_closest_marker("watchdog")
        faulthandler.dump_traceback_later(
            marker.args[0] if marker else WATCHDOG_S, exit=True, file=_stacks
        )
        try:
            return (yield)
        finally:
            faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(tryfirst=True, specname="pytest_runtest_protocol")
def pytest_runtest_protocol_once(item):
    """pytest-xdist would give a test that ended its worker to the next one, and so on."""
    if WORKER:
        try:
            (_shared / sha256(item.nodeid.encode()).hexdigest()).touch(exist_ok=False)
        except FileExistsError:
            return True
    return None


@contextmanager
def turn(*, alone: bool) -> Iterator[None]:
    """A test that is `alone` runs while no other worker of pytest-xdist runs one."""
    if not WORKER:
        yield
        return
    with (_shared / "door").open("w") as door, (_shared / "room").open("a+") as room:
        fcntl.lockf(door, fcntl.LOCK_EX)  # one that waits for the empty room lets nobody else in
        fcntl.lockf(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.lockf(door, fcntl.LOCK_UN)
        yield


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(report):
    """pytest-xdist says which worker ended in which test; this adds the stacks of the watchdog."""
    for file in _shared.glob(STACKS.format("*")):
        if stacks := file.read_text():
            report.longrepr = f"{report.longrepr}\n{file.name.replace('-', ' ')}:\n{stacks}"
            file.write_text("")
