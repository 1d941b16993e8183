"""The command as a person runs it: `python train.py ...` in a directory of its own, everything
real.
"""

import csv
import itertools
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from jobs import BACKENDS, DATA, TYPED
from programs import TIMEOUT_S, TRAIN, own_environment
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ddp.config.options import OPTIONS
from ddp.results.run_directory import find_checkpoints
from ddp.results.saved_model import load_model

SMALL = (*DATA, *TYPED)
RESULT_FILES = {
    "config.yaml",
    "result.json",
    "rounds.csv",
    "trace.json",
    "model.safetensors",
    "catalogue.npz",
}
# A Hydra callback that writes down what each job returned to Hydra: that is what its sweepers
# optimise.
SPY = """
from pathlib import Path
from hydra.experimental.callback import Callback

class Spy(Callback):
    def on_job_end(self, config, job_return, **kwargs):
        directory = Path(config.hydra.runtime.output_dir)
        (directory / "returned.txt").write_text(repr(job_return.return_value))
"""
SPYING = "+hydra.callbacks.spy._target_=spying.Spy"


def read_json(path: Path) -> dict:
    return json.loads((path / "result.json").read_text(encoding="utf-8"))


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def contents(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def only_message(ended: subprocess.CompletedProcess[str]) -> str:
    """The one message of a refused command, on standard error, without a stack trace."""
    assert ended.returncode == 2, ended
    assert ended.stdout == ""
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("error: ") == 1
    assert "Traceback" not in ended.stderr
    assert 'File "' not in ended.stderr
    return ended.stderr.removeprefix("error: ").rstrip("\n")


def train_for_real(directory, *arguments, flags=()):
    """Runs `python train.py` without a fork."""
    return subprocess.run(
        [sys.executable, *flags, TRAIN, *arguments],
        cwd=directory, env=own_environment(directory), capture_output=True, text=True,
        timeout=TIMEOUT_S, check=False,
    )  # fmt: skip


# --- one run ---


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("home")
    (directory / "spying.py").write_text(SPY)
    return directory


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
        read_json(home / "runs" / "one")["rmse"]["test"]
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
        except OSError:  # how a terminal ends on Linux
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
    (("backend=foo",), "backend/foo", "serial", "thread", "process"),
    (("experiment=foo",), "experiment/foo", "seed_thread", "seed_process"),
    (("workers=two",), "workers=two: ", "expected int"),
    (("workers=0",), "workers=0: ", "at least 1"),
    (("workers=1,2",), "workers=1,2", "--multirun"),
    (("workers=[",), "'['"),
    (("data=csv",), "data.path=null: ", "data.path=FILE"),
    (("-m", "workers=1,2", "worker=3"), "worker: ", "did you mean workers"),
    (("-m", "backend=serial,foo"), "backend/foo", "serial", "thread", "process"),
    (("-m", "workers=glob(*)"), "no job"),
]


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: " ".join(case[0]))
def test_a_mistake_is_one_message(light_programs, tmp_path, case):
    arguments, *fragments = case
    environment = own_environment(tmp_path)
    # It answers at once.
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


# --- sweeps ---


def jobs_of(directory: Path) -> list[Path]:
    return sorted(
        (path.parent for path in directory.rglob("result.json")), key=lambda path: int(path.name)
    )


@pytest.fixture(scope="module")
def grid(train, home):
    return train(
        home,
        "-m",
        *SMALL,
        "backend=thread,serial",
        "workers=1,2",
        "display=none",
        "hydra.sweep.dir=sweeps/grid",
        SPYING,
    )


def test_a_sweep_runs_every_combination(home, grid):
    assert (grid.returncode, grid.stderr) == (0, "")
    jobs = [read_json(job) for job in jobs_of(home / "sweeps" / "grid")]
    told = [(job["config"]["backend"]["name"], job["config"]["workers"]) for job in jobs]
    assert sorted(told) == sorted(itertools.product(["thread", "serial"], [1, 2]))
    assert {job["status"] for job in jobs} == {"ok"}
    by_setting = dict(zip(told, (job["rmse"]["test"] for job in jobs), strict=True))
    for workers in (1, 2):
        assert by_setting["thread", workers] == by_setting["serial", workers]
    assert by_setting["serial", 1] != by_setting["serial", 2]


def test_a_sweep_ends_with_a_table_and_writes_it(home, grid):
    table = read_csv(home / "sweeps" / "grid" / "sweep.csv")
    jobs = [read_json(job)["config"] for job in jobs_of(home / "sweeps" / "grid")]
    assert len(table) == 4
    assert [(row["status"], row["backend"], int(row["workers"])) for row in table] == [
        ("ok", job["backend"]["name"], job["workers"]) for job in jobs
    ]
    end = grid.stdout[grid.stdout.index("4 runs") :]
    assert re.findall(r"sweeps/grid/(\d)\b", end) == ["0", "1", "2", "3"]
    for row in table:
        assert f"{float(row['test_rmse']):.4f}" in end
    assert "sweep.csv" in end


def test_every_job_of_a_sweep_returns_its_score(home, grid):
    for job in jobs_of(home / "sweeps" / "grid"):
        assert (job / "returned.txt").read_text() == repr(read_json(job)["rmse"]["test"])


def test_a_sweep_into_the_directory_of_another_is_refused_and_leaves_it_alone(train, home, grid):
    directory = home / "sweeps" / "grid"
    before = contents(directory)
    message = only_message(
        train(
            home,
            "-m",
            *SMALL,
            "backend=thread,serial",
            "workers=1,2",
            "hydra.sweep.dir=sweeps/grid",
        )
    )
    assert "sweeps/grid" in message
    assert "hydra.sweep.dir" in message
    assert contents(directory) == before


@pytest.fixture(scope="module")
def failing(train, home):
    """A job that diverges, one that is refused, one that is well."""
    return train(
        home,
        "-m",
        *SMALL,
        "trainer.lr=1e30,0,0.02",
        "display=none",
        "hydra.sweep.dir=sweeps/failing",
        SPYING,
    )


def test_a_job_that_fails_does_not_stop_the_others_and_the_sweep_says_so(home, failing):
    assert failing.returncode == 1
    assert "Traceback" not in failing.stdout + failing.stderr
    assert failing.stderr.splitlines()[-1] == "error: 2 of 3 jobs did not succeed"
    assert "trainer.lr=0: " in failing.stderr
    assert re.search(
        r"worker \d in round 0 \(compute\): diverged in epoch 0 at learning rate 1e\+30",
        failing.stderr,
    )
    table = read_csv(home / "sweeps" / "failing" / "sweep.csv")
    assert [row["status"] for row in table] == ["failed", "no result", "ok"]
    assert table[0]["error"].startswith("WorkerError: worker ")
    assert "WorkerError" in failing.stdout
    assert "3 runs" in failing.stdout


def test_a_failed_job_returns_nan(home, failing):
    directory = home / "sweeps" / "failing"
    assert [(directory / str(job) / "returned.txt").read_text() for job in range(2)] == [
        "nan",
        "nan",
    ]
    assert float((directory / "2" / "returned.txt").read_text()) > 0


def test_a_sweep_in_which_only_settings_were_wrong_is_the_users_mistake(train, tmp_path):
    ended = train(tmp_path, "-m", "workers=0,two", "hydra.sweep.dir=sweep")
    assert ended.returncode == 2
    assert "workers=0: " in ended.stderr
    assert "workers=two: " in ended.stderr
    assert [row["status"] for row in read_csv(tmp_path / "sweep" / "sweep.csv")] == [
        "no result"
    ] * 2


@pytest.fixture(scope="module")
def backends(train, home):
    return train(
        home,
        "sweep=backends",
        *SMALL,
        "workers=1",
        "rounds=1",
        "local_epochs=1",
        "display=none",
        "hydra.sweep.dir=sweeps/b",
    )


def test_a_named_sweep_is_a_multirun(home, backends):
    assert (backends.returncode, backends.stderr) == (0, "")
    jobs = [read_json(job) for job in jobs_of(home / "sweeps" / "b")]
    assert {job["config"]["backend"]["name"] for job in jobs} == set(OPTIONS["backend"])
    assert len(jobs) == len(OPTIONS["backend"])
    assert len({job["rmse"]["test"] for job in jobs}) == 1  # bit for bit
    for job in jobs_of(home / "sweeps" / "b"):
        assert (job / f"ddp_{read_json(job)['config']['backend']['name']}_results.pkl").exists()


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
        *(
            (("backend=shm",), "started"),
            (("backend=process", "backend.start_method=forkserver"), "started"),
        ),
        *((("backend=shm", "backend.start_method=spawn"), "none"), (("backend=thread",), "none")),
    ],
)
def test_the_server_starts_before_anything_is_read(train, tmp_path, backend, server):
    """The server's imports run beside those of the main process. Reading the ratings fails here, so
    nobody asks for a worker.
    """
    (tmp_path / "spying.py").write_text(SERVER_SPY)
    run = train(tmp_path, "-m", *TYPED, "data=csv", "data.path=nowhere.csv", *backend, SPYING)
    assert run.returncode == 2
    assert "no such file" in run.stderr
    assert (tmp_path / "server.txt").read_text() == server


# --- Ctrl-C ---


def survivors(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run after ten seconds. (A zombie has ended: it waits for the init of this
    machine, not for us.)
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


@pytest.mark.parametrize(
    ("case", "number"),
    [
        *(
            ("thread", signal.SIGINT),
            ("process spawned", signal.SIGINT),
            ("shm", signal.SIGINT),
            ("sweep", signal.SIGINT),
        ),
        *(("process", signal.SIGTERM), ("shm", signal.SIGTERM)),
    ],
)
def test_a_signal_ends_everything_and_the_result_says_so(start, tmp_path, case, number):
    arguments = [*SMALL, "workers=2", "rounds=100000", "display=lines"]
    if case == "sweep":
        arguments = ["-m", *arguments, "backend=thread", "seed=0,1", "hydra.sweep.dir=run"]
    else:
        arguments += [*BACKENDS[case], "hydra.run.dir=run"]
    if case == "process spawned":  # nothing here is forked
        process = subprocess.Popen(
            [sys.executable, TRAIN, *arguments],
            cwd=tmp_path, env=own_environment(tmp_path), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
    else:
        process = start(tmp_path, *arguments)
    try:
        assert next(line for line in process.stdout if line.startswith("round 1/"))
        descendants = psutil.Process(process.pid).children(recursive=True)
        # two workers, and the manager or the server
        assert len(descendants) >= (0 if case in ("thread", "sweep") else 3)
        # A terminal sends Ctrl-C to the whole group, a scheduler SIGTERM to the main process.
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
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
    assert errors.splitlines()[1].startswith("to go on from where it was: python train.py resume=")
    assert survivors(descendants) == []
    directory = tmp_path / "run" / "0" if case == "sweep" else tmp_path / "run"
    result = read_json(directory)
    assert (result["status"], result["error"]) == ("interrupted", None)
    aggregates = [row for row in read_csv(directory / "rounds.csv") if row["who"] == "aggregated"]
    assert result["rounds_completed"] == len(aggregates) >= 1
    assert not (tmp_path / "run" / "1").exists()
    assert find_checkpoints(directory)


@pytest.mark.parametrize("backend", ["process", "shm"])
def test_a_second_ctrl_c_ends_everything_at_once(started, tmp_path, backend):
    """The first Ctrl-C still waits for workers that react to nothing but SIGKILL."""
    process = started(
        tmp_path, "workers=2", "rounds=100000", *BACKENDS[backend], "hydra.run.dir=run"
    )
    try:
        descendants = psutil.Process(process.pid).children(recursive=True)
        (tmp_path / "run" / "result.json").mkdir()  # the ordinary end would have to fail on this
        for child in descendants:
            if child.ppid() != process.pid or not re.search(
                "resource_tracker|forkserver import main", " ".join(child.cmdline())
            ):
                child.suspend()
        deadline = time.monotonic() + TIMEOUT_S
        # two that come before it looks are one
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


# --- going on ---


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
    ] == list(map(str, range(rounds)))
    assert scalars(one, "rmse/test/aggregated") == scalars(whole, "rmse/test/aggregated")


def scalars(directory, tag):
    """Reads as TensorBoard does: of two events of one step the later one counts."""
    events = EventAccumulator(str(directory), size_guidance={"scalars": 0}).Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (("resume=nowhere",), ("resume=nowhere: is not the directory of a run",)),
        (("-m", "resume=one", "seed=0,1"), ("goes on with one run", "sweep_resume=true")),
        (("resume=one", "seed=5"), ("is of a run with other settings: seed was 0, not 5",)),
        (("resume=one", "model=small"), ("model was tiny, not small",)),
        (("resume=one", "rounds=1"), ("has 2 rounds, more than rounds=1",)),
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


def test_a_sweep_goes_on_with_what_it_has_not_finished(train, tmp_path):
    sweep = ("-m", *SMALL, "seed=0,1,2,3", "hydra.sweep.dir=sweep", "~hydra.callbacks.summary")
    assert train(tmp_path, *sweep).returncode == 0
    jobs = jobs_of(tmp_path / "sweep")
    scores = [read_json(job)["rmse"]["test"] for job in jobs]
    (jobs[1] / "result.json").unlink()  # killed before its end
    shutil.rmtree(jobs[2] / "checkpoints")  # failed before its first checkpoint
    (jobs[2] / "result.json").write_text('{"status": "failed"}')
    shutil.rmtree(jobs[3])  # not begun
    times = {job: (job / "model.safetensors").stat().st_mtime_ns for job in jobs[:3]}
    again = train(tmp_path, *sweep, "sweep_resume=true")
    assert again.returncode == 0, again
    assert again.stdout.count("has ended well before") == 1
    assert [read_json(job)["rmse"]["test"] for job in jobs] == scores
    assert [read_json(job)["status"] for job in jobs] == ["ok"] * 4
    assert [(job / "model.safetensors").stat().st_mtime_ns == times[job] for job in jobs[:3]] == [
        True,
        False,
        False,
    ]
    other = train(tmp_path, *sweep, "sweep_resume=true", "rounds=3")
    assert other.returncode == 2
    assert "holds a run with other settings: rounds was 2, not 3" in other.stderr
