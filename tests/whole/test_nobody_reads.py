"""A run whose output nobody reads goes on without a word, and writes all its files."""

import os
import subprocess
import sys
from contextlib import nullcontext

import pytest
from commands import SMALL, read_json, statuses
from jobs import BACKENDS, USUAL
from programs import REPOSITORY, TIMEOUT_S, TRAIN, own_environment

from ddp.results.saved_model import load_model


@pytest.fixture
def unread():
    """A pipe whose reader is gone."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.fixture
def dead_terminal():
    ours, theirs = os.openpty()
    os.close(ours)
    yield theirs
    os.close(theirs)


def ended(program):
    """The exit code, and the text on standard error."""
    with program.stderr or nullcontext():
        said = program.stderr.read() if program.stderr else ""
    return program.wait(), said


@pytest.mark.parametrize("backend", USUAL)
def test_a_closed_pipe_ends_no_run(start, unread, tmp_path, backend):
    program = start(
        tmp_path, *SMALL, *BACKENDS[backend], "tensorboard=true", "hydra.run.dir=run", stdout=unread
    )
    assert ended(program) == (0, "")
    assert read_json(tmp_path / "run")["status"] == "ok"
    assert load_model(tmp_path / "run").model
    assert list((tmp_path / "run").glob("events*"))


@pytest.mark.parametrize(
    "display", ["bars", *(pytest.param(name, marks=pytest.mark.slow) for name in ("lines", "none"))]
)
def test_nor_does_a_terminal_that_is_gone(start, dead_terminal, tmp_path, display):
    program = start(
        tmp_path, *SMALL, "backend=thread", f"display={display}", "hydra.run.dir=run",
        stdout=dead_terminal, stderr=dead_terminal,
    )  # fmt: skip
    assert program.wait() == 0
    assert read_json(tmp_path / "run")["status"] == "ok"


@pytest.mark.parametrize("errors_too", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_sweep_ends_with_its_table_and_report(start, unread, tmp_path, errors_too):
    """Also where a job fails, and so has something to say."""
    program = start(
        tmp_path, "-m", *SMALL, "backend=thread", "local_epochs=1,0", "hydra.sweep.dir=sweep",
        stdout=unread, stderr=unread if errors_too else None,
    )  # fmt: skip
    code, said = ended(program)
    assert code == 2
    assert errors_too or said.splitlines()[0].startswith("error: local_epochs=0: ")
    assert statuses(tmp_path / "sweep") == ["ok", "no result"]
    assert (tmp_path / "sweep" / "report.html").exists()


def test_other_commands_end_quietly_and_write_their_files(train, programs, tmp_path, unread):
    train(tmp_path, *SMALL, "backend=serial", "hydra.run.dir=run")
    written = {"ddp.results": "results.csv", "ddp.report": "report.html", "ddp.clean": "run"}
    for command, name in written.items():
        program = programs.start("-m", command, tmp_path, cwd=REPOSITORY, stdout=unread)
        assert ended(program) == (0, ""), command
        assert (tmp_path / name).exists()


@pytest.mark.slow
@pytest.mark.parametrize("backend", [*USUAL, "process spawned", "shm spawned"])
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_an_output_that_was_never_open_ends_no_run(tmp_path, closed, backend):
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, TRAIN, *SMALL, *BACKENDS[backend],
         "hydra.run.dir=run"],
        cwd=tmp_path, env=own_environment(tmp_path), capture_output=True, text=True,
        timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert read_json(tmp_path / "run")["status"] == "ok"
