"""No fault of a worker hangs a run, loses finished work, or leaves anything behind: the matrix, on
every backend.
"""

import json
import threading
from itertools import cycle

import pytest
from faults import CULPRIT, DEADLY, DEEDS, MOMENTS, RELEASED, STATES, Fault, infect, run_infected
from jobs import BACKENDS, IN_PROCESS, QUICK, USUAL, in_a_child

from ddp.errors import WorkerError
from ddp.experiment import run
from ddp.results.run_directory import find_checkpoints
from ddp.results.saved_model import load_model

pytestmark = pytest.mark.usefixtures("server_of_programs")

DEADLINE_S = 60.0
SPLITS = {
    "iid": ("split=iid", "aggregation=uniform"),
    "stratified": ("split=stratified", "aggregation=rows"),
}
JOB = ("trainer=fused", "workers=3", "rounds=4", "local_epochs=2", "checkpoint_every=1")
ROUNDS = 4
# moment -> the number of rounds that are finished by then
FINISHED = {"start": 0, "first epoch": 0, "publishing": 1, "waiting": 1, "last round": 3}
PHASES = {"start": {"start"}, "publishing": {"publish"}, "waiting": {"wait"}}

MATRIX = [
    *((kind, moment) for kind in DEEDS for moment in MOMENTS),
    *((kind, "publishing") for kind in STATES),
]
CONCURRENT = ("thread", "process", "shm")
MOST_USUAL = [
    ("exception", "first epoch"),
    ("hang", "publishing"),
    ("SIGKILL", "publishing"),
    ("NaN", "publishing"),
]


def possible(name, kind):
    """Whether the program of the test survives the fault."""
    return not (name in IN_PROCESS and kind in DEADLY)


def in_rotation():
    """Every fault once, each on another backend than the fault before."""
    for index, (kind, moment) in enumerate(MATRIX):
        names = [name for name in CONCURRENT if possible(name, kind)]
        yield names[index % len(names)], kind, moment, "iid"


def cases():
    """Every fault on every backend, and the backend that goes on after it.

    The default suite has each fault once and the most usual ones on every backend. There a serial
    run goes on after a fault, but for two cases; in the long suite the same backend goes on.
    """
    usual = [(name, *fault, "iid") for name in USUAL for fault in MOST_USUAL]
    rows = [(name, *fault, "stratified") for name, fault in zip(cycle(CONCURRENT), MOST_USUAL)]
    default = {*in_rotation(), *usual, *rows}
    own = {("shm", "SIGKILL", "publishing", "iid"), ("process", "exception", "last round", "iid")}
    every = []
    for name in QUICK:
        for split in SPLITS:
            for kind, moment in MATRIX if split == "iid" and "polling" not in name else MOST_USUAL:
                case = (name, kind, moment, split)
                if possible(name, kind):
                    again = "serial" if case in default - own else name
                    marks = () if case in default else pytest.mark.slow
                    every.append(pytest.param(*case, again, marks=marks, id=", ".join(case)))
    return every


def slow_unless(default, *values):
    """A parameter that only the long suite has, unless it is one of `default`."""
    marks = () if values[0] in default else pytest.mark.slow
    return pytest.param(*values, marks=marks, id=", ".join(values))


@pytest.fixture(autouse=True)
def _let_go(monkeypatch):
    """Threads that hang end with their test; until then the end of a run need not wait long for
    them.
    """
    monkeypatch.setattr("ddp.backends.thread.STOP_GRACE_S", 0.1)
    RELEASED.clear()
    yield
    RELEASED.set()
    for thread in threading.enumerate():
        if thread.name.startswith("worker-"):
            thread.join(DEADLINE_S)


def timeout(name, kind):
    """Options with which a hang ends soon. Any other fault must be noticed without a timeout.
    (Forked workers need 10 ms.)
    """
    seconds = 3600 if kind != "hang" else 0.3 if name in IN_PROCESS else 1
    return f"round_timeout={seconds}", "agg_timeout=3600"


@pytest.fixture(scope="module")
def whole(make_config, drive):
    """The aggregates of the run without a fault, round by round."""
    runs = {}

    def of(split):
        if split not in runs:
            done = drive(make_config("backend=serial", *JOB, *SPLITS[split]))
            runs[split] = [done.prepared.in_data_order(vector) for vector in done.vectors]
        return runs[split]

    return of


@pytest.fixture
def removes_parts(tmp_path):
    """Removes the half-written file of a killed program before the leak check looks."""
    yield
    for part in tmp_path.rglob("*.part"):
        part.unlink()


def outcome(directory):
    return json.loads((directory / "result.json").read_text())


def same_as_uninterrupted(directory, config, expected):
    """Goes on from the checkpoint, without the fault."""
    result = run(config, directory, [], resume=True)
    assert result.status == "ok"
    assert load_model(directory).model.vector.tobytes() == expected.tobytes()
    assert [row.round_index for row in result.history.aggregate_rounds] == list(range(ROUNDS))


@pytest.mark.parametrize(("name", "kind", "moment", "split", "again"), cases())
def test_a_fault_is_named_and_what_was_finished_is_kept(
    make_config, monkeypatch, tmp_path, whole, name, kind, moment, split, again
):
    fault = Fault(kind, moment, tmp_path / "done", last_round=ROUNDS - 1)
    config = make_config(*JOB, *SPLITS[split], *BACKENDS[name], *timeout(name, kind))
    directory = tmp_path / "run"
    with monkeypatch.context() as patched:
        infect(patched, fault)
        with pytest.raises(WorkerError) as caught:
            run(config, directory, [])
    error = caught.value
    assert error.worker == CULPRIT
    finished = FINISHED[moment]
    ahead = {finished + 1} if moment == "waiting" and split == "stratified" else set()
    assert error.round_index in ({None} if moment == "start" else {finished} | ahead)
    assert error.phase in PHASES.get(moment, {"compute", "evaluate", "publish", "other"})
    codes = {"os._exit": 3, "SIGKILL": -9, "SIGSEGV": -11}
    assert error.exit_code == codes.get(kind)
    told = {
        "exception": "RuntimeError: a fault",
        "sys.exit": "SystemExit: 3",
        "hang": "round_timeout",
        "NaN": "NaN or infinity",
    }
    assert told.get(kind, kind if kind.startswith("SIG") else "") in str(error)
    if kind in ("exception", "sys.exit", "unpicklable"):
        assert error.remote_traceback.startswith("Traceback")

    result = outcome(directory)
    assert result["status"] == "failed"
    [failure] = result["failures"]
    assert (failure["worker"], failure["action"], failure["phase"]) == (
        CULPRIT,
        "abort",
        error.phase,
    )
    completed = result["rounds_completed"]
    # The aggregate may have a state that a worker published before it failed; with iid a worker
    # cannot be ahead of the others.
    assert completed in (
        {finished, finished + 1} if moment == "waiting" or split == "stratified" else {finished}
    )
    if completed:
        assert load_model(directory).model.vector.tobytes() == whole(split)[completed - 1].tobytes()
        config = make_config(*JOB, *SPLITS[split], *BACKENDS[again])
        same_as_uninterrupted(directory, config, whole(split)[-1])


@pytest.mark.parametrize(
    ("name", "kind", "moment"),
    [
        *(("serial", kind, moment) for kind in DEADLY for moment in MOMENTS),
        *(("thread", "SIGKILL", moment) for moment in MOMENTS),
        *(
            pytest.param("thread", kind, moment, marks=pytest.mark.slow)
            for kind in DEADLY
            for moment in MOMENTS
            if kind != "SIGKILL"
        ),
    ],
)
@pytest.mark.usefixtures("removes_parts")
def test_a_fault_that_ends_the_program_leaves_a_checkpoint(
    make_config, tmp_path, whole, name, kind, moment
):
    config = make_config(*JOB, *SPLITS["iid"], *BACKENDS[name])
    fault = Fault(kind, moment, tmp_path / "done", last_round=ROUNDS - 1)
    directory = tmp_path / "run"
    code = in_a_child(run_infected, fault, config, directory)
    assert code == {"os._exit": 3, "SIGKILL": -9, "SIGSEGV": -11}[kind]
    assert not (directory / "result.json").exists()
    if name == "serial":
        assert bool(find_checkpoints(directory)) == (FINISHED[moment] > 0)
    # a thread may be at the next round before the last one's checkpoint is written
    if find_checkpoints(directory):
        same_as_uninterrupted(directory, config, whole("iid")[-1])


# --- on_failure ---

ON_FAILURE = [
    ("exception", "first epoch"),
    ("SIGKILL", "publishing"),
    ("hang", "waiting"),
    ("NaN", "publishing"),
    ("SIGKILL", "start"),
]


def on_failure_cases(default, names, faults):
    """The cases on other backends than `default` are slow."""
    return [
        slow_unless(default, name, *fault, split)
        for name in names
        for split in SPLITS
        for fault in faults
        if possible(name, fault[0])
    ]


@pytest.fixture(scope="module")
def dropped(make_config, tmp_path_factory):
    """The last aggregate of a serial run that loses its worker at that moment, by an exception."""
    vectors = {}

    def of(split, moment):
        if (split, moment) not in vectors:
            folder = tmp_path_factory.mktemp("dropped")
            fault = Fault("exception", moment, folder / "done", last_round=ROUNDS - 1)
            with pytest.MonkeyPatch.context() as monkeypatch:
                infect(monkeypatch, fault)
                config = make_config(*JOB, *SPLITS[split], "backend=serial", "on_failure=drop")
                vectors[split, moment] = run(config, folder / "run", []).state.vector
        return vectors[split, moment]

    return of


@pytest.mark.parametrize(
    ("name", "kind", "moment", "split"),
    on_failure_cases(("serial", "process", "shm"), QUICK, ON_FAILURE),
)
def test_the_others_go_on_without_a_worker_that_is_dropped(
    make_config, monkeypatch, tmp_path, whole, dropped, name, kind, moment, split
):
    infect(monkeypatch, Fault(kind, moment, tmp_path / "done", last_round=ROUNDS - 1))
    config = make_config(
        *JOB,
        *SPLITS[split],
        *BACKENDS[name],
        *timeout(name, kind),
        "on_failure=drop",
        "min_workers=2",
    )
    result = run(config, tmp_path / "run", [])
    assert result.status == "ok"
    assert result.state.dropped == (CULPRIT,)
    [failure] = outcome(tmp_path / "run")["failures"]
    assert (failure["worker"], failure["action"]) == (CULPRIT, "drop")
    weights = [row.weights for row in result.history.aggregate_rounds]
    assert len(weights) == ROUNDS
    assert all(sum(row) == pytest.approx(1) for row in weights)
    without = [row[CULPRIT] == 0 for row in weights]
    assert without == sorted(without)
    assert without[-1]
    if (moment, split) != ("waiting", "stratified"):  # where a worker may be a round ahead
        assert result.state.vector.tobytes() == dropped(split, moment).tobytes()
    assert result.state.vector.tobytes() != whole(split)[-1].tobytes()
    assert outcome(tmp_path / "run")["workers"][CULPRIT]["absent"] == sum(without)


@pytest.mark.parametrize(
    ("name", "kind", "moment", "split"),
    on_failure_cases(
        ("serial", "shm"), USUAL, [fault for fault in ON_FAILURE if fault[0] != "NaN"]
    ),
)
def test_a_round_that_begins_again_gives_the_numbers_of_one_without_a_fault(
    make_config, monkeypatch, tmp_path, whole, name, kind, moment, split
):
    infect(monkeypatch, Fault(kind, moment, tmp_path / "done", last_round=ROUNDS - 1))
    config = make_config(
        *JOB, *SPLITS[split], *BACKENDS[name], *timeout(name, kind), "on_failure=restart"
    )
    result = run(config, tmp_path / "run", [])
    assert (result.status, result.state.restarts) == ("ok", 1)
    assert result.state.vector.tobytes() == whole(split)[-1].tobytes()
    assert [row.round_index for row in result.history.aggregate_rounds] == list(range(ROUNDS))
    assert [failure.action for failure in result.history.failures] == ["restart"]


@pytest.mark.parametrize("name", ["serial", "thread", "shm"])
def test_adam_and_an_outer_optimizer_begin_a_round_again_with_what_they_remembered(
    make_config, monkeypatch, tmp_path, drive, name
):
    for split in ("split=iid", "split=stratified"):
        options = (
            split,
            "trainer=autograd",
            "aggregation=rows",
            "aggregation.outer=adam",
            "workers=2",
            "rounds=3",
        )
        options = options if split == "split=iid" else (*options[:3], "workers=2", "rounds=3")
        done = drive(make_config(*options, "backend=serial"))
        expected = done.prepared.in_data_order(done.vectors[-1])
        with monkeypatch.context() as patched:
            infect(
                patched, Fault("exception", "last round", tmp_path / f"done {split}", last_round=2)
            )
            config = make_config(*options, f"backend={name}", "on_failure=restart")
            result = run(config, tmp_path / split, [])
        assert result.state.restarts == 1
        assert result.state.vector.tobytes() == expected.tobytes()


def test_too_few_may_not_go_on(make_config, monkeypatch, tmp_path):
    infect(monkeypatch, Fault("exception", "publishing", tmp_path / "done", last_round=ROUNDS - 1))
    config = make_config(*JOB, *SPLITS["iid"], "backend=thread", "on_failure=drop", "min_workers=3")
    with pytest.raises(
        WorkerError, match=r"^worker 1 in round 1 \(publish\): RuntimeError: a fault"
    ):
        run(config, tmp_path / "run", [])
    assert [failure["action"] for failure in outcome(tmp_path / "run")["failures"]] == ["abort"]


def test_a_round_does_not_begin_again_for_ever(make_config, monkeypatch, tmp_path):
    fault = Fault("exception", "publishing", tmp_path / "done", last_round=ROUNDS - 1)
    monkeypatch.setattr(
        Fault, "due", lambda self, moment, round_index: (moment, round_index) == ("publishing", 1)
    )
    infect(monkeypatch, fault)
    config = make_config(
        *JOB, *SPLITS["iid"], "backend=thread", "on_failure=restart", "max_restarts=2"
    )
    with pytest.raises(WorkerError, match="a fault"):
        run(config, tmp_path / "run", [])
    assert [failure["action"] for failure in outcome(tmp_path / "run")["failures"]] == [
        "restart",
        "restart",
        "abort",
    ]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "shm" else pytest.mark.slow) for name in USUAL]
)
def test_a_worker_that_diverges_says_where_and_what_to_try(make_config, tmp_path, name, split):
    config = make_config(
        *JOB, *SPLITS[split], *BACKENDS[name], "trainer.lr=1e9", "on_failure=restart"
    )
    with pytest.raises(WorkerError) as caught:
        run(config, tmp_path / "run", [])
    assert caught.value.diverged
    assert str(caught.value).startswith(f"worker {caught.value.worker} in round 0 (")
    assert "diverged in epoch 0 at learning rate 1e+09" in str(caught.value)
    assert "try a smaller trainer.lr" in str(caught.value)
    assert "Traceback" not in str(caught.value)
    # it would do so again
    assert [failure["action"] for failure in outcome(tmp_path / "run")["failures"]] == ["abort"]


def test_a_state_that_is_too_long_has_diverged(make_config, tmp_path):
    config = make_config(*JOB, *SPLITS["iid"], "backend=thread", "max_norm=1")
    with pytest.raises(
        WorkerError, match=r"its state has norm [\d.]+, above max_norm=1 \(which can be set\)"
    ):
        run(config, tmp_path / "run", [])
