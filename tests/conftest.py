"""Fixtures for all tests: small jobs, runs step by step, a watchdog, and a check for leaks."""

import faulthandler
import fcntl
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import cache
from hashlib import sha256
from multiprocessing import resource_tracker
from pathlib import Path

import pytest
from jobs import DATA, SMALL, SMALL_TRAINER, TYPED
from jobs import prepare as prepared_of
from leaks import check_leaks, own_folder
from programs import EVERYTHING, LIGHT, TRAIN, Programs, own_environment

REPOSITORY = Path(__file__).parent.parent
WATCHDOG_S = 120.0
# `assert` says as much in these helpers as in a test.
pytest.register_assert_rewrite("browsing", "commands", "contract", "disks")
# None without pytest-xdist, and in the process that the workers report to
WORKER = os.environ.get("PYTEST_XDIST_WORKER")
STACKS = "stacks-of-{}"  # of a worker that hung

# The files that take longest, in order: a long one at the end would leave a worker idle.
LONGEST = (
    *("test_faults", "test_interrupts", "test_contract_rounds", "test_report", "test_full_disk"),
    *(
        "test_on_failure",
        "test_report_browser",
        "test_limits",
        "test_small_data",
        "test_process",
        "test_advise",
        "test_shm",
    ),
    *("test_contract_bits", "test_contract_failures", "test_contract_exchange"),
    *(
        "test_command_line",
        "test_sweeps",
        "test_sweep_report",
        "test_disk_troubles",
        "test_disk_files",
        "test_small_data",
    ),
    *("test_worker_processes", "test_shm_failures", "test_thread_late"),
    *("test_resume", "test_account", "test_leaks", "test_fused", "test_movielens"),
    *("test_saved_model", "test_before_the_move", "test_tensorboard", "test_bits"),
    *("test_manager", "test_calibration", "test_config", "test_fuzz_report"),
)

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
    # where tmp_path stays to be looked at
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


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """pytest-xdist gives whole files to its workers in this order."""
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


# --- a test that hangs ---


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
    """pytest-xdist says which worker ended in which test; this adds the reason if the watchdog
    ended it.
    """
    for file in _shared.glob(STACKS.format("*")):
        if stacks := file.read_text():
            report.longrepr = f"{report.longrepr}\n{file.name.replace('-', ' ')}:\n{stacks}"
            file.write_text("")


# --- a test that leaves something behind (leaks.py) ---


@pytest.fixture(scope="session", autouse=True)
def _warm_up():
    """Starts the things that Python starts once and keeps: the tracker of shared resources, and a
    process with a pipe to it.
    """
    from ddp.machine.sockets import make_folder

    resource_tracker.ensure_running()
    make_folder()
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)  # as a run does: several threads only slow these small jobs down


@pytest.fixture(scope="module", autouse=True)
def _module_leaves_nothing():
    """Fixtures leave nothing either. (Fixtures of the session may open descriptors meanwhile.)"""
    with check_leaks(descriptors=False):
        yield


@pytest.fixture(autouse=True)
def _nothing_left(request):
    directory = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    with check_leaks(directory, thorough=False):
        yield


@pytest.fixture(scope="session")
def fonts():
    """matplotlib keeps the files of its fonts open."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure()
    figure.text(0, 0, "text")
    FigureCanvasSVG(figure).print_svg(os.devnull)


@pytest.fixture(scope="session")
def leaks() -> Callable[..., object]:
    """`check_leaks`, for fixtures of a wider scope and for its own tests."""
    return check_leaks


# --- programs (programs.py) ---


@pytest.fixture(scope="session")
def programs():
    """A server that has imported everything: `programs.run(*arguments, cwd=...)`."""
    with Programs(*EVERYTHING) as server:
        yield server


@pytest.fixture(scope="session")
def light_programs():
    """The same without torch and pandas: for programs that must not import them."""
    with Programs(*LIGHT) as server:
        yield server


@pytest.fixture(scope="session")
def start(programs):
    """`start(directory, *arguments)`: a `Program` that runs `python train.py` there."""

    def start(directory, *arguments, environment=None, **options):
        environment = environment or own_environment(directory)
        return programs.start(TRAIN, *arguments, cwd=directory, environment=environment, **options)

    return start


@pytest.fixture(scope="session")
def train(programs):
    """`train(directory, *arguments)`: the same, to its end."""

    def train(directory, *arguments, **options):
        return programs.run(
            TRAIN, *arguments, cwd=directory, environment=own_environment(directory), **options
        )

    return train


@pytest.fixture(scope="session")
def started(start):
    """`started(directory, *arguments)`: a run that has finished its first round."""

    def started(directory, *arguments):
        program = start(directory, *DATA, *TYPED, "display=lines", *arguments)
        assert next(line for line in program.stdout if line.startswith("round 1/"))
        return program

    return started


@pytest.fixture(scope="module")
def server_of_programs():
    """The fork server of workers, which here imports all that a main process needs too: a start
    takes milliseconds.

    It is the same for both trainers, and need not begin anew where they take turns. Its forks know
    nothing of this.
    """
    from ddp.backends import forkserver as ours

    everything = [*ours.PRELOAD["autograd"], *ours.PRELOAD["fused"], "ddp.experiment"]
    with pytest.MonkeyPatch.context() as patched:
        for trainer in ours.PRELOAD:
            patched.setitem(ours.PRELOAD, trainer, everything)
        ours.ensure_server("fused")
        yield


# --- jobs ---


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
    """`make_config(*overrides)`: the checked config of a job that takes some milliseconds, from the
    files in conf/.
    """
    from composing import composed

    from ddp.launch.composed import load_config

    @cache
    def compose_once(*overrides):
        given = any(override.startswith("trainer=") for override in overrides)
        return load_config(composed(*SMALL, *(() if given else SMALL_TRAINER), *overrides))

    return lambda *overrides: deepcopy(compose_once(*overrides))  # some tests change theirs


class Driven:
    """A run whose every step can be looked at. `look(moment, round_index, backend)` is called after
    gather, broadcast, evaluate (in the middle of the round) and finish; `prepare(backend)`
    before the start.
    """

    def __init__(self, config, *, look=None, evaluate=None, prepare=None, jobs=None):
        from ddp.backends.make import make_backend
        from ddp.tracking.history import History

        self.config, self.look, self.history = config, look or (lambda *_: None), History()
        self.prepared = prepared_of(config)
        self.jobs = jobs(self.prepared.make_jobs()) if jobs else self.prepared.make_jobs()
        if self.prepared.strata is not None:  # all workers train in one vector
            self.prepared.vector = self.jobs[0].vector
        self.evaluate = evaluate or self._evaluate
        self.aggregated = self.jobs[0].make_aggregate()
        self.vectors = []
        self.messages = []
        self.backend = make_backend(self.prepared, self.jobs, self._listen)
        if prepare:
            prepare(self.backend)

    def _listen(self, message):
        self.messages.append(message)
        self.history.on(message)
        self.look("message", getattr(message, "round_index", None), self.backend)

    def _evaluate(self, vector):
        self.aggregated.vector[:] = vector
        return tuple(
            self.jobs[0].evaluate(self.aggregated, part)
            for part in (self.prepared.valid, self.prepared.test)
        )

    def run(self):
        from ddp.aggregation.aggregator import Aggregator
        from ddp.aggregation.combine import make_combine

        combine = make_combine(self.prepared)
        backend = self.backend
        self._watch(backend, "gather")
        self._watch(backend, "broadcast")
        try:
            backend.start()
            backend.spans.take()
            for done in Aggregator(backend, combine, self.prepared.vector, self.evaluate).rounds():
                self.vectors.append(done.vector.copy())
                self.history.on(done.row)
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
        """All that must not depend on the backend: the workers' rows without their times, in
        order.
        """
        rows = sorted(self.history.worker_rounds, key=lambda row: (row.round_index, row.worker))
        return [
            (
                r.round_index,
                r.worker,
                r.train_loss,
                r.valid,
                r.test,
                r.best_epoch,
                r.aggregate_received,
            )
            for r in rows
        ]

    def aggregates(self):
        """The same of the aggregator."""
        return [(r.round_index, r.valid, r.test, r.weights) for r in self.history.aggregate_rounds]


@pytest.fixture(scope="session")
def drive():
    """`drive(config, ...)`: a `Driven` that was run to its end."""
    return lambda config, **options: Driven(config, **options).run()


@pytest.fixture(scope="session")
def driven():
    """The class `Driven`, for a run that the test starts itself."""
    return Driven


@pytest.fixture(scope="session")
def train_alone():
    """`train_alone(job, rounds)`: the state of a worker that never hears of the others."""

    def train(job, rounds):
        from jobs import make_trainer

        from ddp.config import seeding

        model = job.make_parameters()
        trainer = make_trainer(job.config.trainer, model, job.shard.train)
        for round_index in range(rounds):
            order = seeding.stream(job.config.seed, "order", job.worker, round_index)
            for _ in range(job.config.local_epochs):
                trainer.epoch(order)
        return model.vector

    return train
