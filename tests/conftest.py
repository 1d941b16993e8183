"""Fixtures for all tests: small jobs, runs step by step, programs, and a check for leaks."""

import gc
import os
import sys
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from multiprocessing import resource_tracker

import hypothesis
import pytest
from driven import Driven
from jobs import DATA, SMALL, SMALL_TRAINER, TYPED
from leaks import check_leaks
from programs import EVERYTHING, LIGHT, TRAIN, Programs, own_environment

pytest_plugins = ["hanging"]
# an example may take long on a machine that has other work
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")
# `assert` says as much in these helpers as in a test.
pytest.register_assert_rewrite("browsing", "commands", "contract", "disks")
# The files that take longest, in order: a long one at the end would leave a worker idle. Files with
# one server of workers follow one another.
LONGEST = (
    *("test_faults", "test_interrupts", "test_contract_rounds", "test_report_command"),
    *("test_full_disk", "test_on_failure", "test_report_browser", "test_limits", "test_process"),
    *("test_advise", "test_contract_bits", "test_contract_failures", "test_contract_exchange"),
    "test_small_data",
    *(
        "test_resume",
        "test_optuna",
        "test_command_line",
        "test_sweeps",
        "test_sweep_report",
        "test_shm",
    ),
    *("test_worker_processes", "test_account", "test_account_failures", "test_hanging"),
    *("test_kernel_cache", "test_fetch", "test_disk_troubles", "test_disk_files"),
    *("test_saved_model", "test_before_the_move", "test_tensorboard", "test_bits"),
    *("test_manager", "test_calibration", "test_config", "test_fuzz_report"),
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """pytest-xdist gives whole files to its workers in this order."""
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


# --- a test that leaves something behind (leaks.py) ---


@pytest.fixture(scope="session", autouse=True)
def _warm_up():
    """Starts the tracker of shared resources, a process that Python starts once and keeps."""
    from ddp.machine.sockets import make_folder

    resource_tracker.ensure_running()
    make_folder()
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)  # as a run does: several threads only slow these small jobs down


@pytest.fixture(scope="module", autouse=True)
def _module_leaves_nothing():
    """Fixtures leave nothing either.

    Fixtures of the session may open descriptors meanwhile.
    """
    gc.freeze()  # the checks collect garbage: they need not look at all that is imported
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
    """The fork server of workers imports all that a main process needs too: a start takes 10 ms.

    It serves all trainers, and need not begin anew where they take turns.
    """
    from ddp.backends import forkserver as ours

    everything = [*ours.PRELOAD["autograd"], *ours.PRELOAD["gibbs"], "ddp.experiment"]
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
    """`make_config(*overrides)`: the checked config of a job that takes some milliseconds.

    Its ratings are made up, unless data=csv names others.
    With split=stratified its aggregation is none: a test of several splits names the others'. With
    trainer=gibbs and trainer=als its split and its aggregation are those of the trainer.
    """
    from composing import composed

    from ddp.launch.composed import load_config

    @cache
    def compose_once(*overrides):
        given = any(override.startswith("trainer=") for override in overrides)
        job = [*SMALL, *(() if given else SMALL_TRAINER), *overrides]
        chosen = dict(override.split("=", 1) for override in job)
        left_out = ("data.num_", "data.popularity") if chosen["data"] == "csv" else ()
        if chosen["split"] == "stratified":
            left_out = (*left_out, "aggregation")
        if chosen["trainer"] in ("gibbs", "als"):
            left_out = (*left_out, "aggregation", "split=")
        return load_config(composed(*(each for each in job if not each.startswith(left_out))))

    return lambda *overrides: deepcopy(compose_once(*overrides))  # some tests change theirs


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
