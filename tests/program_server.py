"""The server of `programs.py` imports modules once, then forks each program that a test starts."""

import atexit
import gc
import io
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
import traceback
from multiprocessing import process
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
TIMEOUT_S = 100


def serve(requests):
    """Serves until the test closes its end. Returns the case and descriptors in each fork.

    It has one thread: a fork could inherit the lock of another.
    """
    running = {}  # a descriptor of the program -> its id, where its exit code goes
    while True:
        for ready in select.select([requests, *running], [], [])[0]:
            if ready is requests:
                size, descriptors, _, _ = socket.recv_fds(requests, 8, 4)
                if not size:
                    return None
                case = bytearray()
                while len(case) < int.from_bytes(size, "little"):
                    case += requests.recv(65536)
                pid = os.fork()
                if pid == 0:
                    requests.detach()
                    return json.loads(case), descriptors
                *others, status = descriptors
                for descriptor in others:
                    os.close(descriptor)
                running[os.pidfd_open(pid)] = pid, status
                requests.sendall(pid.to_bytes(8, "little"))
            else:
                pid, status = running.pop(ready)
                os.write(status, str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())
                os.close(ready)
                os.close(status)


def become(case, descriptors, library):
    """Turns the fork into the program; `library` is the part of sys.path that all programs have."""
    os.setsid()
    signal.alarm(3 * TIMEOUT_S)  # the test may have died without ending it
    for number, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.chdir(case["cwd"])
    os.environ.clear()
    os.environ.update(case["environment"])
    import tempfile

    tempfile.tempdir = case["temporary"]
    process.ORIGINAL_DIR = case["cwd"]
    process.current_process()._config["semprefix"] = f"/mp-{os.getpid()}"
    forgotten = tuple(f"{name}." for name in case["forget"])
    for name in [name for name in sys.modules if f"{name}.".startswith(forgotten)]:
        del sys.modules[name]
    sys.modules.update(dict.fromkeys(case["without"]))  # to import it raises ImportError
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = text(1, line_buffering=os.isatty(1))
    sys.stderr = sys.__stderr__ = text(2, line_buffering=True)
    is_module = case["arguments"][0] == "-m"
    sys.argv = case["arguments"][is_module:]
    first = case["cwd"] if is_module else str(Path(sys.argv[0]).parent)
    added = filter(None, case["environment"].get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:] = [first, *added, *library]


def text(descriptor, *, line_buffering):
    """A standard output of the program."""
    raw = open(descriptor, "wb", closefd=False)  # noqa: SIM115
    return io.TextIOWrapper(raw, "utf-8", "backslashreplace", line_buffering=line_buffering)


def run_program(case):
    """The exit code that Python gives for it."""
    try:
        if case["arguments"][0] == "-m":
            sys.modules.pop(sys.argv[0], None)
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        if end.code is not None and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else end.code is not None
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def main():
    descriptor, *modules = sys.argv[1:]
    library = [
        path for path in sys.path if path not in (str(Path(__file__).parent), str(REPOSITORY))
    ]
    for module in modules:
        __import__(module)
    gc.freeze()  # so that a fork shares these pages
    mine = serve(socket.socket(fileno=int(descriptor)))
    if mine is None:
        return
    case, descriptors = mine
    become(case, descriptors, library)
    code = run_program(case)
    # As an interpreter ends, but for its modules: to take them down takes longer than a small run.
    threading._shutdown()
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except OSError:
        code = code or 120
    os._exit(int(code) & 0xFF)


if __name__ == "__main__":
    main()
