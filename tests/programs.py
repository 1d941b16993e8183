"""Python programs without the seconds that their imports take: a server imports once, then forks.

    test                    server                program
    Programs.start  ----->  os.fork()  -------->  starts in a session of its own
    Program.wait    <-----  os.waitpid()  <-----  ends

The server is `program_server.py`. A program has its own arguments, directory, environment, input,
output, exit code and process group. It differs from one that a shell starts in three things: /proc
shows the command line of the server, the server is its parent, and it ends without taking its
modules down.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading

from leaks import owners, servers
from program_server import REPOSITORY, TIMEOUT_S
from program_server import __file__ as SERVER

TRAIN = str(REPOSITORY / "train.py")
EVERYTHING = (
    *("pandas", "matplotlib.backends.backend_svg", "ddp.tracking.summaries"),
    *("rich.live", "rich.progress_bar", "rich.table", "hydra._internal.hydra"),
    *("ddp.trainers.autograd", "ddp.trainers.fused", "ddp.backends.preload", "ddp.experiment"),
    *("ddp.launch.application", "ddp.launch.one_run", "ddp.backends.thread"),
    *("ddp.tracking.terminal", "ddp.tracking.bars", "ddp.tracking.tensorboard"),
    *("ddp.results.table", "ddp.results.summary", "ddp.report.page", "ddp.advice.advise"),
    *("matplotlib.style", "PIL.ImageDraw", "rich._emoji_codes"),
    *("optuna.storages._rdb.models", "alembic.command", "alembic.migration", "warm"),
)
# neither torch nor pandas
LIGHT = ("hydra._internal.hydra", "ddp.launch.application", "ddp.launch.one_run", "warm")


def own_environment(directory, **changes):
    """The environment of a program that a person starts in a terminal, without marks of a test."""
    ours = ("HYDRA", "PYTEST", "COLUMNS", "FORCE_COLOR", "NO_COLOR", "CI")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    return kept | {"PYTHONPATH": str(directory)} | changes


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
                [sys.executable, SERVER, str(theirs.fileno()), *modules],
                env=own_environment(REPOSITORY), pass_fds=[theirs.fileno()], start_new_session=True,
            )  # fmt: skip
        servers.add(self._server.pid)

    def start(
        self, *arguments, cwd, environment=None, stdin=None, stdout=None, stderr=None,
        forget=(), without=(), temporary=None,
    ):  # fmt: skip
        """`python *arguments` as a `Program`.

        stdout, stderr: descriptors; None: the `Program` has a pipe.
        forget: packages that it imports anew.
        without: modules that it cannot import.
        temporary: the folder that tempfile uses, even if nobody can write there.
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
            outputs = [pipe() if given is None else given for given in (stdout, stderr)]
            pid = self._fork(case, [stdin, *outputs, pipe()])
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        status = ours.pop()
        said = ours.pop() if stderr is None else None
        return Program(pid, status, ours.pop() if stdout is None else None, said)

    def _fork(self, case, descriptors):
        """Has the server fork the program. Returns its id."""
        told = json.dumps(case).encode()
        socket.send_fds(self._requests, [len(told).to_bytes(8, "little")], descriptors)
        self._requests.sendall(told)
        pid = int.from_bytes(self._requests.recv(8), "little")
        assert pid, "the server of programs has ended"
        owners.add(pid)
        return pid

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
