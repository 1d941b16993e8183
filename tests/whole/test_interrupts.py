"""Ctrl-C, SIGTERM and SIGHUP end every process of a run, and the run goes on where it was."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest
from commands import SMALL, contents, job_of, read_csv, read_json
from consoles import on_screen
from jobs import BACKENDS, DATA, SWEEPING, USUAL
from programs import TIMEOUT_S, TRAIN, own_environment
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ddp.results.run_directory import find_checkpoints
from ddp.results.saved_model import load_model


def survivors(processes: list[psutil.Process]) -> list[psutil.Process]:
    """The processes that still run after ten seconds.

    A zombie has ended: it waits for the init of this machine, not for us.
    """

    def runs(process: psutil.Process) -> bool:
        try:
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    deadline = time.monotonic() + 10
    while (
        running := [process for process in processes if runs(process)]
    ) and time.monotonic() < deadline:
        psutil.wait_procs(running, timeout=0.05)
    return running


def start_for_real(directory, *arguments):
    """Starts `python train.py` without a fork."""
    return subprocess.Popen(
        [sys.executable, TRAIN, *arguments],
        cwd=directory, env=own_environment(directory), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("case", "number"),
    [
        *((case, signal.SIGINT) for case in ("thread", "process spawned", "shm", "sweep", "gibbs")),
        *((case, signal.SIGTERM) for case in ("process", "shm")),
        ("shm", signal.SIGHUP),
        pytest.param("process", signal.SIGHUP, marks=pytest.mark.slow),
        pytest.param("sweep", signal.SIGHUP, marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_everything_and_the_result_says_so(start, tmp_path, case, number):
    job = (*DATA, *SWEEPING["gibbs"], "tensorboard=false") if case == "gibbs" else SMALL
    arguments = [*job, "workers=2", "rounds=100000", "display=lines"]
    if case == "sweep":
        arguments = ["-m", *arguments, "backend=thread", "seed=0,1", "hydra.sweep.dir=run"]
    else:
        arguments += [*BACKENDS.get(case, BACKENDS["shm"]), "hydra.run.dir=run"]
    process = (start_for_real if case == "process spawned" else start)(tmp_path, *arguments)
    try:
        assert next(line for line in process.stdout if line.startswith("round 1/"))
        descendants = psutil.Process(process.pid).children(recursive=True)
        # two workers, and the manager or the server
        assert len(descendants) >= (0 if case in ("thread", "sweep") else 3)
        # A terminal sends to the whole group, a scheduler SIGTERM to the main process.
        (os.kill if number == signal.SIGTERM else os.killpg)(process.pid, number)
        _, errors = process.communicate(timeout=TIMEOUT_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == 128 + number
    assert "Traceback" not in errors
    assert errors.splitlines()[0].startswith(
        "error: interrupted" if number == signal.SIGINT else "error: terminated"
    )
    if case == "sweep":
        assert "error: 0 of 2 jobs ended well, 1 did not, 1 never began" in errors
        assert f"to go on with the sweep: python train.py {' '.join(arguments)[:40]}" in errors
        assert errors.endswith(" hydra.sweep.dir=run sweep_resume=true\n")
    else:
        assert errors.splitlines()[1].startswith("to go on from where it was: python train.py")
    assert survivors(descendants) == []
    directory = job_of(tmp_path / "run", 0) if case == "sweep" else tmp_path / "run"
    result = read_json(directory)
    assert (result["status"], result["error"]) == ("interrupted", None)
    aggregates = [row for row in read_csv(directory / "rounds.csv") if row["who"] == "aggregated"]
    assert result["rounds_completed"] == len(aggregates) >= 1
    assert not list((tmp_path / "run").glob("1*"))
    assert find_checkpoints(directory)


def test_ctrl_c_during_bars_leaves_a_clean_terminal(start, tmp_path):
    ours, theirs = os.openpty()
    terminal = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
    environment = own_environment(tmp_path, TERM="xterm")
    process = start(
        tmp_path, *SMALL, "workers=2", "rounds=100000", "display=auto", "hydra.run.dir=run",
        environment=environment, **terminal,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # a terminal ends so on Linux
        while part := os.read(ours, 65536):
            seen, shown = b"RMSE valid" in shown, shown + part
            if not seen and b"RMSE valid" in shown:
                process.send_signal(signal.SIGINT)
    os.close(ours)
    assert process.wait(TIMEOUT_S) == 128 + signal.SIGINT
    assert shown.count(b"\x1b[?25l") == shown.count(b"\x1b[?25h") == 1
    *aggregated, workers, error, hint, cursor = on_screen(shown.decode())[-6:]
    words = " ".join(" ".join(aggregated).split())  # in two lines
    pattern = r"aggregated ━+ round \d+/100000 RMSE valid \d\.\d{4} \S+ ratings/s \d+\.\d s"
    assert re.fullmatch(pattern, words)
    assert workers.startswith("workers 0-1: ")
    assert error.startswith("error: interrupted")
    assert hint.startswith("to go on from where it was: python train.py resume=")
    assert cursor == ""


@pytest.mark.slow
@pytest.mark.parametrize("nohup", [False, True], ids=["", "nohup"])
@pytest.mark.parametrize("case", [*USUAL, "process spawned", "shm spawned"])
def test_a_terminal_that_goes_ends_a_run_unless_nohup_keeps_it(tmp_path, case, nohup):
    """It sends SIGHUP to the group of the session's leader, and takes no output any more."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", *["nohup"] * nohup, sys.executable, TRAIN, *SMALL, *BACKENDS[case],
         "hydra.run.dir=run", "workers=2", f"rounds={20 if nohup else 100_000}", "display=lines"],
        cwd=tmp_path, env=own_environment(tmp_path), stdin=theirs, stderr=theirs,
        stdout=subprocess.PIPE if nohup else theirs, text=True,
    )  # fmt: skip
    os.close(theirs)
    try:
        with os.fdopen(ours, encoding="utf-8") as terminal:
            assert next(line for line in process.stdout or terminal if "round 1/" in line)
            descendants = psutil.Process(process.pid).children(recursive=True)
        process.communicate(timeout=TIMEOUT_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == (0 if nohup else 128 + signal.SIGHUP)
    assert survivors(descendants) == []
    result = read_json(tmp_path / "run")
    assert (result["status"], result["error"]) == ("ok" if nohup else "interrupted", None)
    assert nohup or find_checkpoints(tmp_path / "run")


@pytest.mark.parametrize("backend", ["process", "shm"])
def test_a_second_ctrl_c_ends_everything_at_once(started, tmp_path, backend):
    """The first Ctrl-C still waits for workers that react to nothing but SIGKILL."""
    process = started(
        tmp_path, "workers=2", "rounds=100000", *BACKENDS[backend], "hydra.run.dir=run"
    )
    try:
        descendants = psutil.Process(process.pid).children(recursive=True)
        (tmp_path / "run" / "result.json").mkdir()  # the ordinary end would fail on this
        for child in descendants:
            if child.ppid() != process.pid or not re.search(
                "resource_tracker|forkserver import main", " ".join(child.cmdline())
            ):
                child.suspend()
        deadline = time.monotonic() + TIMEOUT_S
        # two signals that come before it looks count as one
        while process.poll() is None and time.monotonic() < deadline:
            os.kill(process.pid, signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.2)
        _, errors = process.communicate(timeout=TIMEOUT_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == 128 + signal.SIGINT
    assert "Traceback" not in errors
    assert survivors(descendants) == []


def test_an_interrupted_run_goes_on_where_it_was(train, started, tmp_path):
    one, whole = tmp_path / "one", tmp_path / "whole"
    arguments = ("backend=thread", "workers=2", "local_epochs=1", "tensorboard=true")
    process = started(tmp_path, *arguments, "rounds=100000", f"hydra.run.dir={one}")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=TIMEOUT_S)
    before = read_json(one)
    assert before["status"] == "interrupted"
    rounds = before["rounds_completed"] + 2
    ended = train(tmp_path, f"resume={one}", f"rounds={rounds}")
    assert ended.returncode == 0, ended
    files = contents(one)
    again = train(tmp_path, f"resume={one}", f"rounds={rounds}")
    assert again.returncode == 0, again
    assert f"ended well after {rounds} rounds (rounds={rounds})" in again.stdout
    assert f"to train on: python train.py resume={one} rounds={2 * rounds}" in again.stdout
    assert contents(one) == files
    train(tmp_path, *SMALL, *arguments, f"rounds={rounds}", f"hydra.run.dir={whole}")
    assert load_model(one).model.vector.tobytes() == load_model(whole).model.vector.tobytes()
    told, expected = read_json(one), read_json(whole)
    assert (told["status"], told["rounds_completed"], told["rmse"]["test"]) == (
        "ok",
        rounds,
        expected["rmse"]["test"],
    )
    assert [
        row["round"] for row in read_csv(one / "rounds.csv") if row["who"] == "aggregated"
    ] == list(map(str, range(1, rounds + 1)))
    assert scalars(one, "rmse/test/aggregated") == scalars(whole, "rmse/test/aggregated")


def scalars(directory, tag):
    """Reads as TensorBoard does: of two events of one step the later one counts."""
    events = EventAccumulator(str(directory), size_guidance={"scalars": 0}).Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]
