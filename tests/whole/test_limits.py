"""Too little data, and too many, too long or too large runs: each works, or ends with a message
that says why.
"""

import gc
import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from composing import composed
from jobs import BACKENDS, USUAL

import ddp.backends.worker_processes
import ddp.experiment
from ddp.backends.forkserver import ensure_server
from ddp.backends.process_memory import FORKED_BYTES, SPAWNED_BYTES, check_memory
from ddp.errors import ConfigError, UserError
from ddp.experiment import run
from ddp.launch.composed import load_config
from ddp.machine.memory import available_bytes
from ddp.tracking.messages import AggregateRound
from ddp.tracking.tracker import Tracker

REPOSITORY = Path(__file__).parent.parent.parent
TIMEOUT_S = 100
SPLITS = ("stratified", "iid")
QUIET = (
    "display=none",
    "tensorboard=false",
    "reference=false",
    "round_timeout=100",
    "agg_timeout=100",
)
JOB = ("trainer=fused", "model=tiny", "rounds=2", "local_epochs=2", "aggregation=uniform", *QUIET)
WITHOUT_VALIDATION = ("split.valid_fraction=0", "select_on=last")


@pytest.fixture(scope="module", autouse=True)
def _server():
    ensure_server("fused")


# --- small data ---

# 12 users, 8 items, 48 ratings: without validation 38 of them are for training.
GRID = [
    (user, item, 1 + (user * 3 + item * 5) % 5)
    for user in range(12)
    for item in range(8)
    if (user + item) % 2
]
ONE_USER = [(0, item, 1 + item % 5) for item in range(20)]
ONE_ITEM = [(item, user, rating) for user, item, rating in ONE_USER]
# every user and item has one rating; 8 are for training
SQUARE = [(each, each, 1 + each % 5) for each in range(10)]
FEW = [(0, 0, 3), (1, 1, 4)]
TOO_MANY = "workers={}: must be at most {}: there are {} training ratings"
WHOLE = (
    "workers={}: split=stratified deals whole {kind}, and only {} {kind} have training ratings:"
    " use at most {} workers"
)

# ratings, workers, the reasons of a refusal with split=stratified and with iid (None: it works)
SMALL = {
    "more workers than ratings": (
        GRID,
        39,
        TOO_MANY.format(39, 38, 38),
        TOO_MANY.format(39, 38, 38),
    ),
    "more workers than users": (GRID, 20, WHOLE.format(20, 12, 12, kind="users"), None),
    "more workers than items": (GRID, 10, WHOLE.format(10, 8, 8, kind="items"), None),
    "as many workers as items": (GRID, 8, None, None),
    "one training rating per worker": (SQUARE, 8, None, None),
    "a user with one rating": ([*GRID, (99, 0, 3)], 3, None, None),
    "an item with one rating": ([*GRID, (0, 99, 3)], 3, None, None),
    "one user": (ONE_USER, 1, None, None),
    "one user, three workers": (ONE_USER, 3, WHOLE.format(3, 1, 1, kind="users"), None),
    "one item": (ONE_ITEM, 1, None, None),
    "one item, three workers": (ONE_ITEM, 3, WHOLE.format(3, 1, 1, kind="items"), None),
    "two ratings": (FEW, 1, None, None),
    "two ratings, two workers": (FEW, 2, TOO_MANY.format(2, 1, 1), TOO_MANY.format(2, 1, 1)),
    "one rating": (
        FEW[:1],
        1,
        *["csv holds 1 ratings: a training and a test part need at least 2"] * 2,
    ),
}


@pytest.fixture
def of_ratings(tmp_path):
    """`of_ratings(rows, *overrides)`: the config of a small job on them."""

    def make(rows, *overrides):
        file = tmp_path / "ratings.csv"
        file.write_text(
            "user,item,rating\n"
            + "".join(f"{user},{item},{rating}\n" for user, item, rating in rows)
        )
        data = (
            "data=csv",
            f"data.path='{file}'",
            "data.user=user",
            "data.item=item",
            "data.rating=rating",
            "data.cache=null",
        )
        return load_config(composed(*JOB, *data, *overrides))

    return make


@pytest.fixture(scope="module")
def backends(make_config):
    """The options of each backend."""
    return {name: make_config(*BACKENDS[name]).backend for name in USUAL}


EVERYWHERE = ("as many workers as items", "one training rating per worker")


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(
    ("case", "names"),
    [
        *((case, USUAL if case in EVERYWHERE else ("serial",)) for case in SMALL),
        *(
            pytest.param(case, ("serial", "thread", "shm"), marks=pytest.mark.slow)
            for case in SMALL
            if case not in EVERYWHERE
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_small_data_works_on_every_backend_or_is_refused(
    of_ratings, backends, tmp_path, case, names, split
):
    rows, workers, *reasons = SMALL[case]
    composed = of_ratings(rows, f"workers={workers}", f"split={split}", *WITHOUT_VALIDATION)
    reason = reasons[SPLITS.index(split)]
    vectors = {}
    for name in names:
        config = replace(composed, backend=backends[name])
        if reason is not None:
            with pytest.raises(UserError) as caught:
                run(config, tmp_path / name, [])
            assert str(caught.value).startswith(reason)
            assert json.loads((tmp_path / name / "result.json").read_text())["status"] == "failed"
            continue
        result = run(config, tmp_path / name, [])
        assert (result.status, len(result.history.aggregate_rounds)) == ("ok", 2)
        assert result.history.aggregate_rounds[-1].test.count == max(1, round(len(rows) * 0.2))
        vectors[name] = result.state.vector
        assert np.isfinite(vectors[name]).all()
        assert vectors[name].tobytes() == vectors["serial"].tobytes()


@pytest.mark.parametrize("name", USUAL)
def test_a_worker_without_validation_ratings_is_refused_where_it_would_choose_by_them(
    of_ratings, tmp_path, name
):
    config = of_ratings(SQUARE, "workers=7", "split=iid", *BACKENDS[name])
    told = (
        r"^workers=7: worker 1's shard has 1 training ratings but none in its valid part;"
        " use fewer workers, "
    )
    with pytest.raises(ConfigError, match=told):
        run(config, tmp_path / "run", [])


# --- many workers ---

MANY = (
    "data.num_users=300",
    "data.num_items=300",
    "data.num_ratings=9000",
    "trainer=fused",
    "aggregation=uniform",
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
    """Descriptors, threads and children of this process; and the descriptors and threads of its
    children, but for `others` (the browser and the servers of the suite change theirs at will).
    """
    gc.collect()  # garbage in cycles is no leak
    process = psutil.Process()
    children = [child for child in process.children(recursive=True) if child.pid not in others]
    of_children = sorted((child.num_fds(), child.num_threads()) for child in children)
    return process.num_fds(), threading.active_count(), process.num_threads(), of_children


class Watch(Tracker):
    """Looks at a run after some of its rounds, counted from 1."""

    def __init__(self, look, *rounds):
        self.look, self.rounds, self.seen = look, rounds, []

    def on(self, event):
        if isinstance(event, AggregateRound) and event.round_index + 1 in self.rounds:
            self.seen.append(self.look())


LONG = (
    "data.num_users=1500",
    "data.num_items=1500",
    "data.num_ratings=6000",
    "model=small",
    "trainer=fused",
    "workers=2",
)
LEAK_BYTES = 40e6  # of 900 models of 400 kB each a few


@pytest.mark.slow
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", USUAL)
def test_1000_rounds_hold_no_more_than_100(make_config, monkeypatch, tmp_path, name, split):
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
            held(),
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
    # after the first four, for each of which something is started that stays
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


# --- memory ---


def write(folder, **files):
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content)


def test_what_is_free_is_what_the_machine_and_the_container_have(tmp_path):
    meminfo, nothing = tmp_path / "meminfo", tmp_path / "nothing"
    meminfo.write_text(
        "MemTotal:       16000 kB\nMemFree:          500 kB\nMemAvailable:    8000 kB\n"
    )
    assert available_bytes(nothing, nothing) is None
    assert available_bytes(meminfo, nothing) == 8000 * 1024
    write(tmp_path, memory_max="max\n", memory_current="1000\n")
    assert available_bytes(meminfo, tmp_path) == 8000 * 1024
    write(tmp_path, memory_max="5000000\n", memory_current="3000000\n")
    assert available_bytes(meminfo, tmp_path) == 2_000_000
    write(
        tmp_path,
        memory_stat="anon 1000000\nfile 2000000\ninactive_file 300000\nactive_file 40000\nshmem"
        " 5\n",
    )
    assert available_bytes(meminfo, tmp_path) == 2_340_000
    assert available_bytes(nothing, tmp_path) == 2_340_000
    write(tmp_path, memory_max="900000000\n")
    assert available_bytes(meminfo, tmp_path) == 8000 * 1024


def test_so_many_processes_as_do_not_fit_into_memory_are_refused(
    make_config, monkeypatch, tmp_path
):
    config = make_config("backend=shm", "workers=24", *WITHOUT_VALIDATION, "aggregation=uniform")
    monkeypatch.setattr(ddp.backends.worker_processes, "available_bytes", lambda: 2**29)
    children = psutil.Process().children(recursive=True)
    told = (
        r"^workers=24: so many processes need about 0.8 GiB, and 0.5 GiB are free;"
        " use fewer workers, or backend=thread, "
    )
    with pytest.raises(ConfigError, match=told):
        run(config, tmp_path / "run", [])
    assert psutil.Process().children(recursive=True) == children


def test_workers_that_are_forked_share_what_spawned_ones_have_each(make_config):
    config = make_config("workers=10")
    check_memory(config, "spawn", None)
    check_memory(config, "forkserver", 2**29)
    with pytest.raises(ConfigError, match=r"about 2\.2 GiB"):
        check_memory(config, "spawn", 2**29)
    check_memory(config, "spawn", 10 * SPAWNED_BYTES[False])


@pytest.mark.slow
@pytest.mark.parametrize("trainer", ["autograd", "fused"])
def test_a_worker_takes_as_much_memory_as_is_claimed(make_config, tmp_path, trainer):
    """The memory of the process alone, without shared pages.

    Of a spawned worker that is all but a few MB.
    """
    for start_method, claimed in (("spawn", SPAWNED_BYTES), ("forkserver", FORKED_BYTES)):

        def look():
            workers = [
                child
                for child in psutil.Process().children(recursive=True)
                if len(child.children()) == 0
            ]
            return [child.memory_full_info().uss for child in workers]

        watch = Watch(look, 3)
        options = (
            f"trainer={trainer}",
            "backend=shm",
            f"backend.start_method={start_method}",
            "workers=3",
            "rounds=30",
        )
        run(make_config(*options), tmp_path / start_method, [watch])
        own = (
            sorted(watch.seen[0])[-2]
            if start_method == "spawn"
            else max(sorted(watch.seen[0])[:-1])
        )
        assert claimed[trainer == "fused"] / 4 < own < claimed[trainer == "fused"]
