"""Paths of the command line: from the directory of the start, with ~, and with any character."""

import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from commands import SPYING, jobs_of, read_json
from jobs import BACKENDS, TYPED
from programs import REPOSITORY, TIMEOUT_S, own_environment

from ddp.config.command import quoted

WEIRD = 'it\'s a "run" of $HOME\\ (1), [2] {x}=ü#~ !a'
CSV = ("data=csv", "split.holdout=files", *TYPED, "display=lines")
FILES = ("data.path=in/r.csv", "data.cache=cache", "split.test_file=in/t.csv")

SPY = """
from pathlib import Path
from hydra.experimental.callback import Callback

class Spy(Callback):
    def on_job_end(self, config, job_return, **kwargs):
        Path("here.txt").touch()
"""


@pytest.fixture
def home(tmp_path):
    """A directory with ratings below in/."""
    rows = [f"{user},{item},{user * item % 5 + 1}" for user in range(40) for item in range(30)]
    (tmp_path / "in").mkdir()
    for name, chosen in {"r.csv": rows, "t.csv": rows[::9]}.items():
        (tmp_path / "in" / name).write_text("\n".join(["userId,movieId,rating", *chosen]))
    return tmp_path


def folders(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir() if path.is_dir()}


def test_a_run_that_changes_the_directory_reads_and_keeps_files_where_it_was_started(train, home):
    (home / "spying.py").write_text(SPY)
    job = (*CSV, *FILES, "reference=true", "hydra.job.chdir=true", "hydra.run.dir=runs/a")
    run = train(home, *job, SPYING)
    assert (run.returncode, run.stderr) == (0, "")
    assert folders(home) >= {"in", "cache", "outputs", "runs"}
    assert [path.name for path in (home / "outputs").iterdir()] == ["references"]
    assert folders(home / "runs" / "a") == {".hydra", "checkpoints"}
    # the directory of a job's end is Hydra's choice
    assert (home / "runs" / "a" / "here.txt").exists()
    assert read_json(home / "runs" / "a")["config"]["data"]["path"] == "in/r.csv"
    again = train(home, "resume=runs/a", "rounds=3", "hydra.job.chdir=true")
    assert (again.returncode, again.stderr) == (0, "")
    assert read_json(home / "runs" / "a")["rounds_completed"] == 3


@pytest.mark.parametrize(
    "backend",
    [
        "thread",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("process spawned", "shm")),
    ],
)
def test_so_does_a_sweep(train, home, backend):
    job = (*CSV, *FILES, *BACKENDS[backend], "hydra.job.chdir=true", "hydra.sweep.dir=sweep")
    run = train(home, "-m", *job, "seed=0,1")
    assert (run.returncode, run.stderr) == (0, "")
    jobs = jobs_of(home / "sweep")
    assert [read_json(job)["status"] for job in jobs] == ["ok", "ok"]
    assert folders(home) >= {"in", "cache", "sweep"}
    assert all(folders(job) == {".hydra", "checkpoints"} for job in jobs)


def test_a_tilde_is_the_home_directory_in_every_path(start, home):
    def run(*arguments):
        program = start(home, *arguments, environment=own_environment(home, HOME=str(home)))
        shown, said = program.communicate(TIMEOUT_S)
        assert (program.returncode, said) == (0, ""), shown

    paths = ("data.paths=[~/in/r.csv]", "data.cache='~/cache'", "split.test_file=~/in/t.csv")
    run(*CSV, *paths, "hydra.run.dir=~/run")
    assert folders(home) >= {"in", "cache", "run"}
    assert not (home / "~").exists()
    config = read_json(home / "run")["config"]
    assert config["data"]["paths"] == [str(home / "in" / "r.csv")]
    assert config["split"]["test_file"] == str(home / "in" / "t.csv")
    run("resume=~/run", "rounds=3")
    assert read_json(home / "run")["rounds_completed"] == 3
    run("-m", *CSV, *paths, "hydra.sweep.dir='~/sweep'", "seed=0,1")
    assert len(jobs_of(home / "sweep")) == 2
    assert not (home / "~").exists()


def test_the_line_that_continues_a_run_works_in_a_shell(start, home):
    job = (*CSV, *FILES, "rounds=100000", f"hydra.run.dir={quoted(f'runs/{WEIRD}')}")
    program = start(home, *job)
    assert next(line for line in program.stdout if line.startswith("round 1/"))
    program.send_signal(signal.SIGTERM)
    _, said = program.communicate(TIMEOUT_S)
    (line,) = [line for line in said.splitlines() if line.startswith("to go on from where it was")]
    command = line.partition(": ")[2].replace("python", shlex.quote(sys.executable), 1)
    shown = subprocess.run(
        ["bash", "-c", f"{command} rounds=7 --cfg job"],
        cwd=REPOSITORY, env=own_environment(home), capture_output=True, text=True, check=True,
    )  # fmt: skip
    config = yaml.safe_load(shown.stdout)
    assert config["resume"] == str(home / "runs" / WEIRD)
    assert (config["rounds"], config["data"]["path"]) == (7, "in/r.csv")
