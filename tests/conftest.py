"""What every test gets: small jobs, a way to run them step by step, a watchdog, and a check that nothing is left behind."""

import faulthandler
import gc
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import forkserver, resource_tracker
from pathlib import Path

import psutil
import pytest
from jobs import SMALL, SMALL_TRAINER

REPOSITORY = Path(__file__).parent.parent
WATCHDOG_S = 120.0
LEAK_DEADLINE_S = 10.0  # how long something that is ending may take to be gone
SHARED_MEMORY = Path("/dev/shm")  # and semaphores
SOCKETS = Path(tempfile.gettempdir())
HELPERS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")  # live as long as the program, by design

_stderr = -1  # the real one: pytest redirects descriptor 2 while a test runs


def pytest_configure(config):
    global _stderr  # noqa: PLW0603
    _stderr = os.dup(sys.__stderr__.fileno())
    config.addinivalue_line("markers", f"watchdog(seconds): how long the test may take, instead of {WATCHDOG_S:g} s")


def pytest_unconfigure():
    os.close(_stderr)


# --- a test that hangs ---------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Fixtures of a wider scope included: a test that takes too long ends the run, and all stacks are shown."""
    marker = item.get_closest_marker("watchdog")
    faulthandler.dump_traceback_later(marker.args[0] if marker else WATCHDOG_S, exit=True, file=_stderr)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


# --- a test that leaves something behind ---------------------------------------------------------------


@dataclass
class Held:
    """What this process holds: children, threads, descriptors; and its user's shared memory, semaphores, folders of sockets."""

    children: dict[tuple[int, float], str] = field(default_factory=dict)
    threads: dict[threading.Thread, str] = field(default_factory=dict)
    num_fds: int = 0
    fds: dict[str, str] = field(default_factory=dict)  # for the message
    files: set[str] = field(default_factory=set)

    @classmethod
    def now(cls) -> "Held":
        held = cls(threads={thread: thread.name for thread in threading.enumerate()})
        for child in psutil.Process().children(recursive=True):
            try:
                command = " ".join(child.cmdline())
                # The server's children, the workers, have its command line; but they are not our own children.
                if child.ppid() != os.getpid() or not any(helper in command for helper in HELPERS):
                    held.children[child.pid, child.create_time()] = f"{child.pid} ({child.status()}) {command}"
            except psutil.NoSuchProcess:
                continue
        held.num_fds = psutil.Process().num_fds()
        held.num_fds -= forkserver._forkserver._forkserver_alive_fd is not None  # open as long as there is a server
        for fd in Path("/proc/self/fd").glob("*"):
            try:
                held.fds[fd.name] = str(fd.readlink())
            except OSError:  # the one that listed the folder
                continue
        for file in (*SHARED_MEMORY.glob("*"), *SOCKETS.glob("pymp-*"), *SOCKETS.glob("ddp-sockets-*")):
            try:
                if file.stat().st_uid == os.getuid() and not of_another(file):
                    held.files.add(str(file))
            except OSError:
                continue
        return held


def of_another(file: Path) -> bool:
    """Whether it belongs to a run that lives beside this one: its owner then holds the lock on it."""
    if not file.name.startswith("ddp-") or file.name.startswith(f"ddp-{os.getpid()}-"):
        return False
    from ddp.lock import lock

    fd = os.open(file, os.O_RDONLY)
    try:
        return not lock(fd, wait=False)
    finally:
        os.close(fd)


def left_behind(before: Held) -> list[str]:
    """What this process holds now and did not hold `before`."""
    now = Held.now()
    left = [f"process {name}" for key, name in now.children.items() if key not in before.children]
    left += [f"thread {name}" for thread, name in now.threads.items() if thread not in before.threads]
    if now.num_fds > before.num_fds:
        new = {fd: target for fd, target in now.fds.items() if before.fds.get(fd) != target}
        left.append(f"{now.num_fds - before.num_fds} descriptors, among {new}")
    left += [f"shared memory or sockets {name}" for name in now.files - before.files]
    return left


@contextmanager
def check_leaks(directory: Path | None = None, deadline_s: float = LEAK_DEADLINE_S) -> Iterator[None]:
    """Raises AssertionError if the block leaves something that is still there after `deadline_s`, or a *.part in `directory`."""
    before = Held.now()
    yield
    deadline = time.monotonic() + deadline_s
    while left := left_behind(before):
        if time.monotonic() > deadline:
            break
        gc.collect()  # what only a cycle holds is no leak
        time.sleep(0.02)
    if directory is not None:
        left += [f"file {path}" for path in directory.rglob("*.part")]
    assert not left, f"left behind: {left}"


@pytest.fixture(scope="session", autouse=True)
def _warm_up():
    """Starts what Python starts once and keeps: the tracker of shared resources, a process with a pipe to it."""
    from ddp.sockets import make_folder

    resource_tracker.ensure_running()
    make_folder()
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)  # as a run does: several threads only slow these small jobs down


@pytest.fixture(autouse=True)
def _nothing_left(request):
    with check_leaks(request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None):
        yield


@pytest.fixture(scope="session")
def fonts():
    """matplotlib has opened the files of its fonts, which it keeps open."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure()
    figure.text(0, 0, "text")
    FigureCanvasSVG(figure).print_svg(os.devnull)


@pytest.fixture(scope="session")
def leaks() -> Callable[..., object]:
    """`check_leaks`, for fixtures of a wider scope and for its own tests."""
    return check_leaks


@pytest.fixture(scope="module")
def server_of_programs():
    """The server that workers are forked from has imported all that a main process needs too: then one takes milliseconds.

    It is the same for both trainers, and need not begin anew where they take turns. What it forks knows nothing of this.
    """
    from ddp import forkserver as ours

    everything = [*ours.PRELOAD["autograd"], *ours.PRELOAD["fused"], "ddp.experiment"]
    with pytest.MonkeyPatch.context() as patched:
        for trainer in ours.PRELOAD:
            patched.setitem(ours.PRELOAD, trainer, everything)
        ours.ensure_server("fused")
        yield


# --- jobs ----------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _forget_hydra():
    """Hydra's singletons do not reach the next test."""
    yield
    if "hydra" in sys.modules:
        from hydra.core.global_hydra import GlobalHydra
        from hydra.core.hydra_config import HydraConfig
        from hydra.core.singleton import Singleton

        GlobalHydra.instance().clear()
        Singleton._instances.pop(HydraConfig, None)


@pytest.fixture(scope="session")
def make_config():
    """`make_config(*overrides)`: the checked config of a job that takes some milliseconds, from the files in conf/."""
    from hydra import compose, initialize_config_dir

    from ddp.composed import load_config

    @cache
    def compose_once(*overrides):
        with initialize_config_dir(str(REPOSITORY / "conf"), version_base="1.3"):
            trainer = () if any(override.startswith("trainer=") for override in overrides) else SMALL_TRAINER
            return load_config(compose("config", [*SMALL, *trainer, *overrides]))

    return lambda *overrides: deepcopy(compose_once(*overrides))  # some tests change theirs


class Driven:
    """A run whose every step can be looked at. `look(moment, round_index, backend)` is called after gather, broadcast,
    evaluate (in the middle of the round) and finish; `prepare(backend)` before the start."""

    def __init__(self, config, *, look=None, evaluate=None, prepare=None, jobs=None):
        import ddp.prepare
        from ddp.backends import make_backend
        from ddp.tracking import History

        self.config, self.look, self.history = config, look or (lambda *_: None), History()
        self.prepared = ddp.prepare.prepare(config)
        self.jobs = jobs(self.prepared.jobs) if jobs else self.prepared.jobs
        self.evaluate = evaluate or self._evaluate
        self.aggregated = self.jobs[0].make_aggregate()
        self.vectors = []
        self.messages = []
        self.backend = make_backend(self.jobs, self._listen)
        if prepare:
            prepare(self.backend)

    def _listen(self, message):
        self.messages.append(message)
        self.history.listen(message)
        self.look("message", getattr(message, "round_index", None), self.backend)

    def _evaluate(self, vector):
        self.aggregated.vector[:] = vector
        return tuple(self.jobs[0].evaluate(self.aggregated, part) for part in (self.prepared.valid, self.prepared.test))

    def run(self):
        from ddp.aggregator import Aggregator
        from ddp.combine import make_combine

        combine = make_combine(self.jobs)
        backend = self.backend
        self._watch(backend, "gather")
        self._watch(backend, "broadcast")
        try:
            backend.start()
            for done in Aggregator(backend, combine, self.prepared.before, self.evaluate).rounds():
                self.vectors.append(done.vector.copy())
                self.history.aggregate_round(done.row)
            self.look("finish", self.config.rounds - 1, backend)
        finally:
            backend.stop()
            self.look("stop", None, backend)
        return self

    def _watch(self, backend, step):
        """Calls `look` when the real step is done."""
        real = getattr(backend, step)

        def watched(round_index, *args):
            result = real(round_index, *args)
            self.look(step, round_index, backend)
            return result

        setattr(backend, step, watched)

    def rows(self):
        """All that must not depend on the backend: the workers' rows without their times, in order."""
        rows = sorted(self.history.worker_rounds, key=lambda row: (row.round_index, row.worker))
        return [(r.round_index, r.worker, r.train_loss, r.valid, r.test, r.best_epoch, r.aggregate_received) for r in rows]

    def aggregates(self):
        """The same of the aggregator."""
        return [(r.round_index, r.valid, r.test, r.weights) for r in self.history.aggregate_rounds]


@pytest.fixture(scope="session")
def drive():
    """`drive(config, ...)`: a `Driven` that was run to its end."""
    return lambda config, **options: Driven(config, **options).run()


@pytest.fixture(scope="session")
def driven():
    """The class `Driven`, for a run that is to be started by the test."""
    return Driven


@pytest.fixture(scope="session")
def train_alone():
    """`train_alone(job, rounds)`: the state of a worker that never hears of the others."""

    def train(job, rounds):
        from ddp import seeding
        from ddp.trainers import make_trainer

        model = job.make_parameters()
        trainer = make_trainer(job.config.trainer, model, job.shard.train)
        for round_index in range(rounds):
            order = seeding.stream(job.config.seed, "order", job.worker, round_index)
            for _ in range(job.config.local_epochs):
                trainer.epoch(order)
        return model.vector

    return train
