"""Each kind of command, and each kind of worker, loads only the packages that it needs.

Every process of a command writes down the packages that it has loaded when it ends.
"""

import json
import subprocess
import sys

import pytest
from jobs import DATA, FORKSERVER, FUSED, SMALL, SPAWN, STRATIFIED, SWEEPING
from programs import REPOSITORY, TIMEOUT_S, TRAIN, own_environment

# Packages that take 20 ms and more. Of these each process has loaded exactly those of the tables.
HEAVY = {
    *("hydra", "omegaconf", "yaml", "rich", "numpy", "numba", "llvmlite", "torch", "pandas"),
    *("scipy", "matplotlib", "PIL", "tensorboard", "google", "safetensors", "fsspec"),
}
# of the library of a run and a worker
COMPILED = {"numpy", "numba", "llvmlite", "yaml"}  # numba has a file of settings
TORCH = {"numpy", "torch"}
CONFIG = {"hydra", "omegaconf", "yaml"}
RUN = CONFIG | {"rich", "safetensors"}
GIBBS = (*SWEEPING["gibbs"], "tensorboard=false", "reference=false", "display=none")
TENSORBOARD = {"tensorboard", "google", "PIL"}

# Python imports it at the start of each process. A worker runs the callbacks of `after_fork`.
RECORDER = """
import json, os, sys
from multiprocessing import process, util
from pathlib import Path

def record():
    name = process.current_process().name
    loaded = sorted({module.partition(".")[0] for module in sys.modules})
    Path(FOLDER, f"{os.getpid()}.json").write_text(json.dumps([name, loaded]))

def at_end(_=None):
    util.Finalize(None, record, exitpriority=1)

FOLDER = os.environ["RECORDS"]
at_end()
util.register_after_fork(util, at_end)
"""


@pytest.fixture
def packages(tmp_path):
    """`packages(*arguments)`: runs Python and gives process -> the HEAVY packages it has loaded."""
    records = tmp_path / "records"
    records.mkdir()
    (tmp_path / "sitecustomize.py").write_text(RECORDER)

    def packages(*arguments, code=0):
        environment = own_environment(tmp_path, RECORDS=str(records))
        environment["PYTHONPATH"] += f":{REPOSITORY}"
        command = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=tmp_path, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        _, errors = command.communicate(timeout=TIMEOUT_S)
        assert command.returncode == code, errors
        found = {}
        for path in records.iterdir():
            name, loaded = json.loads(path.read_text())
            if path.stem == str(command.pid) or name != "MainProcess":  # Python's own servers
                found[name] = set(loaded) & HEAVY
            path.unlink()
        return found

    return packages


def job(*options):
    return TRAIN, *SMALL, "workers=1", "hydra.run.dir=run", *options


@pytest.mark.parametrize(
    ("loads", "code", "arguments"),
    [
        ({"yaml"}, 0, (TRAIN, "--help")),
        (CONFIG, 2, (TRAIN, "workers=0")),
        (CONFIG | {"numpy", "rich"}, 0, (*job(), "inspect=true")),
        (RUN | COMPILED, 0, job(*FUSED, "backend=serial")),
        (RUN | COMPILED | TENSORBOARD, 0, job(*FUSED, "backend=thread", "tensorboard=true")),
        (RUN | COMPILED, 0, job(*FUSED, "backend=thread", *STRATIFIED, "display=bars")),
        (RUN | TORCH, 0, job("trainer=autograd", "backend=serial", *STRATIFIED)),
        (RUN | COMPILED, 0, (TRAIN, *DATA, *GIBBS, "workers=1", "hydra.run.dir=run")),
    ],
    ids=["help", "a refusal", "inspect", "fused", "TensorBoard", "stratified", "autograd", "gibbs"],
)  # fmt: skip
def test_a_command_loads_what_it_needs(packages, loads, code, arguments):
    assert packages(*arguments, code=code) == {"MainProcess": loads}


def test_results_and_report_load_no_trainer(packages):
    packages(*job(*FUSED, "backend=serial"))
    assert packages("-m", "ddp.results", "run") == {"MainProcess": {"yaml", "rich"}}
    report = {"yaml", "numpy", "matplotlib", "PIL"}
    assert packages("-m", "ddp.report", "run")["MainProcess"] - {"fsspec"} == report
    assert packages("-m", "ddp.report", "--help")["MainProcess"] <= {"yaml", "rich"}


@pytest.mark.parametrize(
    ("trainer", "backend", "loads"),
    [
        ("fused", ("backend=process", SPAWN), COMPILED),
        ("fused", ("backend=shm", FORKSERVER), COMPILED),
        ("fused", ("backend=shm", SPAWN), COMPILED),
        pytest.param("autograd", ("backend=process", SPAWN), TORCH, marks=pytest.mark.slow),
        pytest.param("autograd", ("backend=shm", FORKSERVER), TORCH, marks=pytest.mark.slow),
    ],
    ids=["process", "shm", "shm spawned", "process autograd", "shm autograd"],
)
def test_a_worker_loads_its_trainer_and_nothing_else(packages, trainer, backend, loads):
    found = packages(*job(f"trainer={trainer}", *backend))
    assert found["worker-0"] == loads
    assert found["MainProcess"] == RUN | COMPILED | loads
    assert not any(found[name] for name in found if "Manager" in name)
