"""Worker processes start without Hydra, and end when the main process is killed."""

import os
import pickle
import subprocess
import sys

import psutil
import pytest
from jobs import DEADLINE_S
from programs import REPOSITORY

from ddp.machine.sockets import remove_orphans

# An epoch of minutes: a worker in the middle of one has nothing to say, so it does not notice that
# nobody listens.
ENDLESS = (
    *("data.num_users=2000", "data.num_items=2000", "data.num_ratings=1000000"),
    *("trainer=autograd", "trainer.batch_size=1", "local_epochs=1"),
)


SCRIPT = """
import pickle, sys
from pathlib import Path


def main():
    from ddp.experiment import run
    from ddp.tracking.messages import Started
    from ddp.tracking.tracker import Tracker

    class Tells(Tracker):
        def on(self, event):
            if isinstance(event, Started):
                print("training", flush=True)

    with open(sys.argv[1], "rb") as file:
        config = pickle.load(file)
    result = run(config, Path(sys.argv[2]), [Tells()])
    assert "hydra" not in sys.modules and "omegaconf" not in sys.modules
    print(result.status, len(result.history.worker_rounds))


if __name__ == "__main__":
    main()
"""


def start_script(config, folder, poisoned=()):
    """Runs the job in a new Python that cannot import the `poisoned` packages."""
    (folder / "script.py").write_text(SCRIPT)
    (folder / "config.pickle").write_bytes(pickle.dumps(config))
    for package in poisoned:
        (folder / "poison" / package).mkdir(parents=True)
        (folder / "poison" / package / "__init__.py").write_text(
            f"raise ImportError('{package} must not be imported')"
        )
    path = os.pathsep.join([str(folder / "poison"), str(REPOSITORY)])
    return subprocess.Popen(
        [
            sys.executable,
            str(folder / "script.py"),
            str(folder / "config.pickle"),
            str(folder / "run"),
        ],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    "options",
    [
        ("backend=process", "trainer=fused"),
        *(
            pytest.param((f"backend={name}", "trainer=autograd"), marks=pytest.mark.slow)
            for name in ("process", "shm")
        ),
    ],
    ids=" ".join,
)
def test_a_run_needs_no_hydra(make_config, tmp_path, options):
    config = make_config("workers=1", *options)
    with start_script(config, tmp_path, ("hydra", "omegaconf")) as script:
        output, errors = script.communicate(timeout=DEADLINE_S)
    assert output.endswith("ok 2\n"), errors
    assert (script.returncode, errors) == (0, "")


def test_poison_works(tmp_path):
    with start_script(None, tmp_path, ("hydra", "ddp")) as script:
        errors = script.communicate(timeout=DEADLINE_S)[1]
    assert "ddp must not be imported" in errors


def test_a_worker_process_imports_only_what_it_needs():
    """Each import is paid by every worker, at its start."""
    unwanted = {
        *("hydra", "omegaconf", "pandas", "rich", "yaml"),
        *("tensorboard", "ddp.launch.command", "ddp.experiment"),
    }
    code = (
        "import sys, ddp.backends.process, ddp.workers.worker;"
        f" print(sorted({unwanted} & set(sys.modules)))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "[]"


# The processes besides the tracker of shared resources: a manager, a server that forks workers,
# and the worker.
FAMILIES = {
    "process": (("backend=process",), 2),
    "process forkserver": (("backend=process", "backend.start_method=forkserver"), 3),
    "shm": (("backend=shm",), 2),
    "shm spawn": (("backend=shm", "backend.start_method=spawn"), 1),
}


@pytest.mark.parametrize(
    "name",
    [
        "shm",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("process", "process forkserver", "shm spawn")
        ),
    ],
)
def test_everybody_ends_when_the_main_process_is_killed(make_config, tmp_path, name):
    overrides, size = FAMILIES[name]
    (tmp_path / "memory").mkdir()
    directory = (f"backend.directory={tmp_path / 'memory'}",) if name.startswith("shm") else ()
    config = make_config("workers=1", *ENDLESS, *overrides, *directory)
    with start_script(config, tmp_path) as script:
        assert script.stdout.readline() == "training\n", script.stderr.read()
        family = psutil.Process(script.pid).children(recursive=True)
        try:
            assert (
                len(
                    [
                        process
                        for process in family
                        if "resource_tracker" not in " ".join(process.cmdline())
                    ]
                )
                == size
            )
            script.kill()
            _, alive = psutil.wait_procs(family, timeout=DEADLINE_S)
            assert alive == []
        finally:
            for process in family:
                if process.is_running():
                    process.kill()
            psutil.wait_procs(family, timeout=DEADLINE_S)
    assert list((tmp_path / "memory").iterdir()) == []
    remove_orphans()  # of sockets: the next run removes the folder of a killed one
