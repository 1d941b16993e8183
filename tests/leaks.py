"""A check that a block of code leaves nothing behind.

| left behind           | how the check finds it                                             |
|-----------------------|--------------------------------------------------------------------|
| process               | its ancestors in /proc lead to this process                        |
| thread                | `threading.enumerate`                                              |
| descriptor            | /proc/self/fd                                                      |
| segment, semaphore    | its name in /dev/shm holds the id of this process or a descendant  |
| folder of sockets     | it lies in the temporary folder that only this process tree uses   |
| half of a file        | a *.part in the directory of the test                              |

Other programs of the same user may start processes and make segments meanwhile.
"""

import gc
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import forkserver, process, resource_tracker
from pathlib import Path

import psutil

LEAK_DEADLINE_S = 10.0  # how long something that is ending may take to be gone
SHARED_MEMORY = "/dev/shm"  # and semaphores

Process = tuple[int, int]  # its id, and when it began: ids are given again

servers: set[int] = set()  # they live as long as the session: the check looks only at their forks
ignored: set[int] = set()  # the same, but the check does not look at what they start
strangers: set[int] = set()  # processes that were looked at and do not descend from this one
owners: set[int] = set()  # this process and all descendants that the check has ever seen


def make_own_folder() -> str:
    """The folder for temporary files of this process and of its descendants, from now on."""
    folder = tempfile.mkdtemp(prefix="ddp-tests-")
    os.environ["TMPDIR"] = tempfile.tempdir = folder
    # Children of multiprocessing inherit it.
    process.current_process()._config["semprefix"] = f"/mp-{os.getpid()}"
    return folder


@contextmanager
def own_folder() -> Iterator[None]:
    """Makes a new folder for temporary files of the block."""
    before = os.environ.get("TMPDIR")
    folder = make_own_folder()
    try:
        yield
    finally:
        tempfile.tempdir = None
        os.environ.pop("TMPDIR")
        os.environ |= {} if before is None else {"TMPDIR": before}
        shutil.rmtree(folder, ignore_errors=True)


def names(folder: str) -> list[str]:
    """The names in a folder, if there is such a folder."""
    with suppress(FileNotFoundError):
        return os.listdir(folder)  # noqa: PTH208  # twice as fast, and around every test
    return []


def descendants(*, thorough: bool) -> set[Process]:
    """The processes below this one, except those that stay by design.

    Without `thorough` it passes over the ids of known strangers, which takes a tenth of the time.
    (The system gives an id again only after all others.)
    """
    children: dict[int, list[Process]] = {}
    running = {int(name) for name in names("/proc") if name.isdigit()}
    for pid in running if thorough else running - strangers:
        stat = f"/proc/{pid}/stat"
        with suppress(FileNotFoundError, ProcessLookupError), open(stat) as file:  # noqa: PTH123
            fields = file.read().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append((pid, int(fields[19])))
    server, tracker = (
        forkserver._forkserver._forkserver_pid,
        resource_tracker._resource_tracker._pid,
    )
    found, parents = set(), [os.getpid()]
    for parent in parents:
        for child in children.get(parent, ()):
            if child[0] not in ignored:
                parents.append(child[0])
                if child[0] not in servers and (
                    parent != os.getpid() or child[0] not in (server, tracker)
                ):
                    found.add(child)
    owners.update(parents)
    strangers.clear()
    strangers.update(running.difference(parents))
    return found


@dataclass
class Held:
    """The things that this process and its descendants hold."""

    children: set[Process]
    threads: set[threading.Thread]
    fds: dict[str, str]
    files: set[str]

    @classmethod
    def now(cls, *, thorough: bool) -> "Held":
        children = descendants(thorough=thorough)
        fds = {}
        for fd in names("/proc/self/fd"):
            with suppress(FileNotFoundError):  # the one that listed the folder
                fds[fd] = os.readlink(f"/proc/self/fd/{fd}")  # noqa: PTH115
        # It is open as long as there is a server.
        fds.pop(str(forkserver._forkserver._forkserver_alive_fd), None)
        memory = {name for name in names(SHARED_MEMORY) if owners.intersection(numbers(name))}
        folder = tempfile.gettempdir()
        made = {name for name in names(folder) if name.startswith(("pymp-", "ddp-"))}
        files = {f"{SHARED_MEMORY}/{name}" for name in memory} | {
            f"{folder}/{name}" for name in made
        }
        return cls(children, set(threading.enumerate()), fds, files)

    def left(self, before: "Held", *, descriptors: bool) -> list[str]:
        """The things that are here and not in `before`."""
        left = [f"process {told(pid)}" for pid, _ in self.children - before.children]
        left += [f"thread {thread.name}" for thread in self.threads - before.threads]
        more = len(self.fds) - len(before.fds)
        if descriptors and more > 0:
            new = {fd: target for fd, target in self.fds.items() if before.fds.get(fd) != target}
            left.append(f"{more} descriptors, among {new}")
        return left + [
            f"shared memory or sockets {name}" for name in sorted(self.files - before.files)
        ]


def numbers(name: str) -> set[int]:
    return {int(part) for part in re.split("[-_.]", name) if part.isdecimal()}


def told(pid: int) -> str:
    try:
        child = psutil.Process(pid)
        return f"{pid} ({child.status()}) {' '.join(child.cmdline())}"
    except psutil.Error:
        return f"{pid}"


@contextmanager
def check_leaks(
    directory: Path | None = None,
    deadline_s: float = LEAK_DEADLINE_S,
    *,
    descriptors: bool = True,
    thorough: bool = True,
) -> Iterator[None]:
    """Finds all things that the block leaves for longer than `deadline_s`.

    Raises AssertionError for them, and for each *.part in `directory`.
    """
    before = Held.now(thorough=thorough)
    yield
    deadline = time.monotonic() + deadline_s
    while left := Held.now(thorough=thorough).left(before, descriptors=descriptors):
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
        gc.collect()  # an object that only a cycle holds is no leak
    if directory is not None:
        left += [f"file {path}" for path in directory.rglob("*.part")]
    assert not left, f"left behind: {left}"
