"""Python programs without the seconds that their imports take: a server imports once, then forks.

    test                    server                program
    Programs.start  ----->  os.fork()  -------->  starts in a session of its own
    Program.wait    <-----  os.waitpid()  <-----  ends

A program has its own arguments, directory, environment, input, output, exit code and process
group. It differs from one that a shell starts in three things: /proc shows the command line of
the server, the server is its parent, and it ends without taking its modules down.
"""

import atexit
import contextlib
import gc
import io
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from multiprocessing import process
from pathlib import Path

from leaks import owners, servers

REPOSITORY = Path(__file__).parent.parent
TRAIN = str(REPOSITORY / "train.py")
TIMEOUT_S = 100
EVERYTHING = (
    *(
        "pandas",
        "matplotlib.backends.backend_svg",
        "torch.utils.tensorboard",
        "rich.progress",
        "rich.table",
    ),
    *(
        "ddp.trainers.autograd",
        "ddp.trainers.fused",
        "ddp.backends.preload",
        "ddp.experiment",
        "ddp.launch.command",
        "ddp.tracking.terminal",
        "ddp.tracking.tensorboard",
    ),
    *(
        "ddp.results.table",
        "ddp.report.page",
        "ddp.advice.advise",
        "hydra.main",
        "hydra._internal.hydra",
    ),
)
LIGHT = ("hydra.main", "hydra._internal.hydra", "ddp.launch.command")  # neither torch nor pandas


def own_environment(directory, **changes):
    """The environment of a program that a person starts in a terminal, without marks of a test."""
    ours = ("HYDRA", "PYTEST", "COLUMNS", "FORCE_COLOR")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    return kept | {"PYTHONPATH": str(directory)} | changes


# --- in the test ---


class Program:
    """A running program. It has the parts of `subprocess.Popen` that the tests use."""

    def __init__(self, pid, status, stdout, stderr):
        self.pid, self.stdout, self.stderr = pid, stdout, stderr
        self.returncode = None
        self._status = status

    def poll(self):
        """The exit code; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout=TIMEOUT_S):
        """The exit code, below zero if a signal has ended it. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            with self._status:
                self.returncode = int(self._status.read())
        return self.returncode

    def communicate(self, timeout=TIMEOUT_S):
        """Both outputs, to their ends. Kills a program that takes longer."""
        timer = threading.Timer(timeout, self.kill)
        timer.start()
        try:
            said = []
            reader = threading.Thread(target=lambda: said.append(self.stderr.read()))
            reader.start()
            with self.stdout, self.stderr:
                shown = self.stdout.read()
                reader.join()
            self.wait()
        finally:
            timer.cancel()
            timer.join()
        return shown, *said

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        """Ends the program and its group."""
        if self.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)


class Programs:
    """A server that imports `modules`. The first program waits until it has."""

    def __init__(self, *modules):
        self._requests, theirs = socket.socketpair()
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno()), *modules],
                env=own_environment(REPOSITORY), pass_fds=[theirs.fileno()], start_new_session=True,
            )  # fmt: skip
        servers.add(self._server.pid)

    def start(
        self,
        *arguments,
        cwd,
        environment=None,
        stdin=None,
        stdout=None,
        stderr=None,
        forget=(),
        without=(),
        temporary=None,
    ):
        """`python *arguments` as a `Program`; without `stdout` and `stderr` (descriptors) it has
        pipes to them.

        `forget`: packages that it imports anew. `without`: modules that it cannot import.
        `temporary`: the folder that tempfile uses, even if nobody can write there.
        """
        environment = environment or own_environment(REPOSITORY)
        case = {"arguments": list(map(str, arguments)), "cwd": str(cwd), "environment": environment}
        case |= {"forget": forget, "without": without, "temporary": temporary and str(temporary)}
        ours, theirs = [], []

        def pipe():
            reading, writing = os.pipe()
            ours.append(open(reading, encoding="utf-8", newline=None))  # noqa: SIM115, PTH123
            theirs.append(writing)
            return writing

        try:
            if stdin is None:
                theirs.append(stdin := os.open(os.devnull, os.O_RDONLY))
            given = [
                stdin,
                pipe() if stdout is None else stdout,
                pipe() if stderr is None else stderr,
                pipe(),
            ]
            told = json.dumps(case).encode()
            socket.send_fds(self._requests, [len(told).to_bytes(8, "little")], given)
            self._requests.sendall(told)
            pid = int.from_bytes(self._requests.recv(8), "little")
            assert pid, "the server of programs has ended"
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        owners.add(pid)
        status = ours.pop()
        said = ours.pop() if stderr is None else None
        return Program(pid, status, ours.pop() if stdout is None else None, said)

    def run(self, *arguments, timeout=TIMEOUT_S, **options):
        """Runs `python *arguments` to its end."""
        program = self.start(*arguments, **options)
        try:
            shown, said = program.communicate(timeout)
        finally:
            program.kill()
        return subprocess.CompletedProcess(arguments, program.returncode, shown, said)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._requests.close()
        self._server.wait(TIMEOUT_S)


# --- in the server ---


def serve(requests):
    """Serves until the test closes its end. It has one thread: a fork could inherit the lock of
    another.
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
    """Turns the fork into the program. `library`: the part of sys.path that all programs have."""
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
