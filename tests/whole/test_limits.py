"""Many workers, many rounds and many runs: each works, and holds no more than before."""

import gc
import json
import subprocess
import sys
import threading

import psutil
import pytest
from jobs import BACKENDS, USUAL
from limits import JOB, SPLITS, WITHOUT_VALIDATION, Watch
from programs import REPOSITORY

import ddp.backends.worker_processes
import ddp.experiment
from ddp.experiment import run

pytestmark = pytest.mark.usefixtures("server_of_programs")

TIMEOUT_S = 100


# --- many workers ---

MANY = (
    *("data.num_users=300", "data.num_items=300"),
    *("data.num_ratings=9000", "trainer=fused", "aggregation=uniform"),
)


@pytest.mark.parametrize("split", [pytest.param("stratified", marks=pytest.mark.slow), "iid"])
def test_200_threads(make_config, tmp_path, split):
    vectors = []
    for name in ("serial", "thread"):
        config = make_config(
            *MANY,
            f"split={split}",
            *WITHOUT_VALIDATION,
            "workers=200",
            "local_epochs=1",
            f"backend={name}",
        )
        result = run(config, tmp_path / name, [])
        assert len(result.history.worker_rounds) == 2 * 200
        vectors.append(result.state.vector.tobytes())
    assert vectors[0] == vectors[1]


@pytest.mark.parametrize("split", SPLITS)
def test_24_processes(make_config, tmp_path, split):
    vectors = []
    for name in ("serial", "shm"):
        config = make_config(
            *MANY, f"split={split}", *WITHOUT_VALIDATION, "workers=24", f"backend={name}"
        )
        result = run(config, tmp_path / name, [])
        assert len(result.history.worker_rounds) == 2 * 24
        vectors.append(result.state.vector.tobytes())
    assert vectors[0] == vectors[1]


# --- many rounds, many runs ---


def held(others=frozenset()):
    """Descriptors, threads and children of this process; descriptors and threads of its children.

    Not of `others`: the browser and the servers of the suite change theirs at will.
    """
    gc.collect()  # garbage in cycles is no leak
    process = psutil.Process()
    children = [child for child in process.children(recursive=True) if child.pid not in others]
    of_children = sorted((child.num_fds(), child.num_threads()) for child in children)
    return process.num_fds(), threading.active_count(), process.num_threads(), of_children


LONG = (
    *("data.num_users=1500", "data.num_items=1500", "data.num_ratings=6000"),
    *("model=small", "trainer=fused", "workers=2"),
)
LEAK_BYTES = 40e6  # a few of 900 models, each of 400 kB


@pytest.mark.slow
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", USUAL)
def test_1000_rounds_hold_no_more_than_100(make_config, monkeypatch, tmp_path, name, split):
    others = {child.pid for child in psutil.Process().children(recursive=True)}
    backends, make_backend = [], ddp.experiment.make_backend
    monkeypatch.setattr(
        ddp.experiment,
        "make_backend",
        lambda *given: backends.append(make_backend(*given)) or backends[0],
    )
    directory = tmp_path / "run"

    def look():
        files = sorted(path.name for path in (directory / "checkpoints").iterdir())
        return (
            held(others),
            len(getattr(backends[0], "shared", ())),
            psutil.Process().memory_info().rss,
            files,
        )

    watch = Watch(look, 100, 990)  # later a worker may have finished
    options = (
        *LONG,
        f"split={split}",
        "aggregation=uniform",
        *BACKENDS[name],
        "rounds=1000",
        "local_epochs=1",
    )
    result = run(make_config(*options, "checkpoint_every=1"), directory, [watch])
    assert (result.status, len(result.history.aggregate_rounds)) == ("ok", 1000)
    (early, early_store, early_rss, _), (late, late_store, late_rss, files) = watch.seen
    assert late == early
    assert late_store <= early_store + 4 * 2  # a worker may just have published its next update
    assert late_rss - early_rss < LEAK_BYTES
    assert files == ["round-000988.safetensors", "round-000989.safetensors", "rounds.jsonl"]
    files = sorted(path.name for path in (directory / "checkpoints").iterdir())
    assert files == ["round-000999.safetensors", "round-001000.safetensors", "rounds.jsonl"]


@pytest.mark.parametrize("number_of_runs", [8, pytest.param(20, marks=pytest.mark.slow)])
def test_runs_one_after_another_leave_nothing(make_config, tmp_path, number_of_runs):
    counts = []
    others = frozenset(child.pid for child in psutil.Process().children(recursive=True))
    for number in range(number_of_runs):
        name = USUAL[number % len(USUAL)]
        config = make_config(
            "trainer=fused",
            *BACKENDS[name],
            f"split={SPLITS[number // 4 % 2]}",
            "checkpoint_every=1",
        )
        run(config, tmp_path / str(number), [])
        counts.append(held(others))
    # each of the first four starts something that stays
    assert counts[4:] == [counts[3]] * (number_of_runs - 4)


@pytest.mark.slow
def test_four_commands_at_once_in_one_directory(tmp_path):
    """Each run has its own directory, and the result that it has alone."""
    data = ("data=synthetic", "data.num_users=60", "data.num_items=40", "data.num_ratings=1200")
    commands = [
        [sys.executable, str(REPOSITORY / "train.py"), *JOB, *data, "workers=2", f"backend={name}"]
        for name in ("thread", "shm", "process", "thread")
    ]
    running = [
        subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for command in commands
    ]
    outputs = [process.communicate(timeout=TIMEOUT_S) for process in running]
    assert [process.returncode for process in running] == [0] * 4, outputs
    results = [json.loads(path.read_text()) for path in tmp_path.glob("outputs/*/*/result.json")]
    assert sorted(result["config"]["backend"]["name"] for result in results) == [
        "process",
        "shm",
        "thread",
        "thread",
    ]
    assert [result["status"] for result in results] == ["ok"] * 4
    assert len({result["rmse"]["test"] for result in results}) == 1
