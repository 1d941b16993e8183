"""`python train.py ...` as a person runs it, in a directory of its own, everything real."""

import os
import pty
import re
import shutil
import subprocess
import sys

import pytest
from commands import SMALL, SPYING, contents, only_message, read_csv, read_json
from jobs import TYPED
from programs import TIMEOUT_S, TRAIN, own_environment

RESULT_FILES = {
    *("config.yaml", "result.json", "rounds.csv"),
    *("trace.json", "model.safetensors", "catalogue.npz"),
}


def train_for_real(directory, *arguments, flags=()):
    """Runs `python train.py` without a fork."""
    return subprocess.run(
        [sys.executable, *flags, TRAIN, *arguments],
        cwd=directory, env=own_environment(directory), capture_output=True, text=True,
        timeout=TIMEOUT_S, check=False,
    )  # fmt: skip


# --- one run ---


@pytest.fixture(scope="module")
def single(home):
    return train_for_real(home, *SMALL, "tensorboard=true", "hydra.run.dir=runs/one", SPYING)


def test_a_run_ends_well_and_leaves_its_files(home, single):
    assert (single.returncode, single.stderr) == (0, "")
    directory = home / "runs" / "one"
    names = {path.name for path in directory.iterdir()}
    (events,) = {name for name in names if "tfevents" in name}
    assert names == {
        *RESULT_FILES,
        "ddp_thread_results.pkl",
        events,
        "checkpoints",
        ".hydra",
        "returned.txt",
    }
    result = read_json(directory)
    assert (result["status"], result["error"], result["rounds_completed"]) == ("ok", None, 2)
    assert result["config"]["workers"] == 3
    assert result["command"][1:] == [*SMALL, "tensorboard=true", "hydra.run.dir=runs/one", SPYING]
    assert {path.name for path in home.iterdir()} - {"__pycache__"} == {"runs", "spying.py"}


def test_the_score_is_the_last_aggregates(home, single):
    directory = home / "runs" / "one"
    last = [row for row in read_csv(directory / "rounds.csv") if row["who"] == "aggregated"][-1]
    assert read_json(directory)["rmse"]["test"] == float(last["test_rmse"])
    assert f"test {float(last['test_rmse']):.4f}" in single.stdout


def test_the_score_is_what_hydra_is_given(home, single):
    assert (home / "runs" / "one" / "returned.txt").read_text() == repr(
        read_json(home / "runs" / "one")["rmse"]["valid"]
    )


def test_what_is_piped_has_one_line_a_round_and_no_escape_codes(single):
    assert re.findall(r"^round (\d+)/2 .*\d s$", single.stdout, re.MULTILINE) == ["1", "2"]
    assert not re.search(r"[\x1b\r\x08]", single.stdout + single.stderr)
    for name in ("worker_0", "worker_1", "worker_2", "runs/one"):
        assert name in single.stdout


def test_a_directory_that_holds_a_run_is_refused_and_left_alone(train, home, single):
    directory = home / "runs" / "one"
    before = contents(directory)
    message = only_message(train(home, *SMALL, "seed=1", "hydra.run.dir=runs/one"))
    assert "runs/one" in message
    assert "hydra.run.dir" in message
    assert contents(directory) == before


def test_a_refusal_on_a_terminal_gives_the_cursor_back(start, home, single):
    ours, theirs = pty.openpty()
    try:
        terminal = {
            "environment": own_environment(home, TERM="xterm"),
            "stdin": theirs,
            "stdout": theirs,
            "stderr": theirs,
        }
        process = start(home, *SMALL, "hydra.run.dir=runs/one", **terminal)
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 65536):
                shown += part
        except OSError:  # a terminal ends so on Linux
            pass
        assert process.wait(TIMEOUT_S) == 2
    finally:
        os.close(ours)
    assert b"holds a run already" in shown
    assert shown.count(b"\x1b[?25l") == shown.count(b"\x1b[?25h")


# --- mistakes ---

MISTAKES = [
    (("worker=3",), "worker: ", "did you mean workers"),
    (("trainer.learning_rate=3",), "trainer.learning_rate: ", "no such setting"),
    (("backend=foo",), "backend=foo: ", "serial", "thread", "process"),
    (("experiment=foo",), "experiment=foo: ", "seed_thread", "seed_process"),
    (("workers=two",), "workers=two: ", "expected int"),
    (("workers=0",), "workers=0: ", "at least 1"),
    (("workers=1,2",), "workers=1,2", "--multirun"),
    (("workers=[",), "'['"),
    (("data=csv",), "data.path=null: ", "data.path=FILE"),
    (("-m", "workers=1,2", "worker=3"), "worker: ", "did you mean workers"),
    (("-m", "backend=serial,foo"), "backend=foo: ", "serial", "thread", "process"),
    (("-m", "workers=glob(*)"), "no job"),
]


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: " ".join(case[0]))
def test_a_mistake_is_one_message(light_programs, tmp_path, case):
    arguments, *fragments = case
    environment = own_environment(tmp_path)
    # It answers at once: it does not wait for the import of torch.
    ended = light_programs.run(
        TRAIN, *arguments, cwd=tmp_path, environment=environment, without=["torch"]
    )
    if "-m" in arguments:
        ended.stdout = re.sub(r"^\[.*\]\[HYDRA\] .*\n", "", ended.stdout, flags=re.MULTILINE)
    message = only_message(ended)
    assert [fragment for fragment in fragments if fragment not in message] == [], message


def test_a_mistake_is_found_without_torch(tmp_path):
    ended = train_for_real(tmp_path, "workers=0", flags=("-X", "importtime"))
    lines = ended.stderr.splitlines(keepends=True)
    imported = {line.split("|")[-1].strip() for line in lines if line.startswith("import time:")}
    assert "hydra.main" in imported
    assert "torch" not in imported
    ended.stderr = "".join(line for line in lines if not line.startswith("import time:"))
    assert "workers=0: " in only_message(ended)


def test_a_group_that_is_null_is_one_message(train, tmp_path):
    assert "backend" in only_message(train(tmp_path, "backend=null"))


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        ((*SMALL, "workers=1300"), ("workers=1300", "912")),
        (("data=csv", "data.path=nowhere.csv"), ("nowhere.csv", "no such file")),
    ],
    ids=["more workers than ratings", "no such file"],
)
def test_a_mistake_that_only_the_data_shows_is_one_message_too(
    train, tmp_path, arguments, fragments
):
    message = only_message(train(tmp_path, *arguments, "hydra.run.dir=run"))
    assert [fragment for fragment in fragments if fragment not in message] == [], message
    result = read_json(tmp_path / "run")
    assert result["status"] == "failed"
    assert message in result["error"]


# --- going on ---


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (("resume=nowhere",), ("resume=nowhere: is not the directory of a run",)),
        (("-m", "resume=one", "seed=0,1"), ("continues one run", "sweep_resume=true")),
        (("resume=one", "seed=5"), ("is of a run with other settings: seed was 0, not 5",)),
        (("resume=one", "model=small"), ("model was tiny, not small",)),
        (("resume=one", "rounds=1"), ("has more rounds (2) than rounds=1",)),
    ],
)
def test_what_cannot_be_gone_on_with_is_one_message_and_nothing_is_touched(
    train, home, single, tmp_path, arguments, fragments
):
    shutil.copytree(home / "runs" / "one", tmp_path / "one")
    before = contents(tmp_path)
    message = only_message(train(tmp_path, *arguments))
    assert all(fragment in message for fragment in fragments), message
    assert contents(tmp_path) == before


# --- the server that workers are forked from ---

SERVER_SPY = """
from multiprocessing import forkserver
from pathlib import Path
from hydra.experimental.callback import Callback

class Spy(Callback):
    def on_job_end(self, config, job_return, **kwargs):
        pid = forkserver._forkserver._forkserver_pid
        Path("server.txt").write_text("none" if pid is None else "started")
"""


@pytest.mark.parametrize(
    ("backend", "server"),
    [
        (("backend=shm",), "started"),
        (("backend=process", "backend.start_method=forkserver"), "started"),
        (("backend=shm", "backend.start_method=spawn"), "none"),
        (("backend=thread",), "none"),
    ],
)
def test_the_server_starts_before_anything_is_read(train, tmp_path, backend, server):
    """The server's imports run beside those of the main process.

    Reading the ratings fails here, so nobody asks for a worker.
    """
    (tmp_path / "spying.py").write_text(SERVER_SPY)
    run = train(tmp_path, "-m", *TYPED, "data=csv", "data.path=nowhere.csv", *backend, SPYING)
    assert run.returncode == 2
    assert "no such file" in run.stderr
    assert (tmp_path / "server.txt").read_text() == server
