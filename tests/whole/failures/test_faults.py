"""Every fault at every moment on every backend: the run names it and keeps each finished round."""

from itertools import cycle

import pytest
from faults import CULPRIT, DEADLY, DEEDS, MOMENTS, STATES, Fault, infect, run_infected
from faulty_jobs import JOB, ROUNDS, SPLITS, bits, outcome, possible, timeout
from jobs import BACKENDS, QUICK, USUAL, in_a_child

from ddp.errors import WorkerError
from ddp.experiment import run
from ddp.results.run_directory import find_checkpoints

pytestmark = pytest.mark.usefixtures("server_of_programs")
# moment -> the number of rounds that are finished by then
FINISHED = {"start": 0, "first epoch": 0, "publishing": 1, "waiting": 1, "last round": 3}
PHASES = {"start": {"start"}, "publishing": {"publish"}, "waiting": {"wait"}}
CODES = {"os._exit": 3, "SIGKILL": -9, "SIGSEGV": -11}
SAID = {
    "exception": "RuntimeError: a fault",
    "sys.exit": "SystemExit: 3",
    "hang": "round_timeout",
    "NaN": "NaN or infinity",
}
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
    rows = [
        (name, *fault, split)
        for split, names in (("stratified", CONCURRENT), ("gibbs", ("shm", "thread", "process")))
        for name, fault in zip(cycle(names), MOST_USUAL)
    ]
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


@pytest.fixture
def removes_parts(tmp_path):
    """Removes the half-written file of a killed program before the leak check looks."""
    yield
    for part in tmp_path.rglob("*.part"):
        part.unlink()


def same_as_uninterrupted(directory, config, expected):
    """Goes on from the checkpoint, without the fault."""
    result = run(config, directory, [], resume=True)
    assert result.status == "ok"
    assert bits(directory) == expected
    assert [row.round_index for row in result.history.aggregate_rounds] == list(range(ROUNDS))


def check_error(error, kind, moment, split):
    """The error names the worker, its round, its phase and the fault."""
    assert error.worker == CULPRIT
    finished = FINISHED[moment]
    ahead = {finished + 1} if moment == "waiting" and split != "iid" else set()
    assert error.round_index in ({None} if moment == "start" else {finished} | ahead)
    assert error.phase in PHASES.get(moment, {"compute", "evaluate", "publish", "other"})
    assert error.exit_code == CODES.get(kind)
    assert SAID.get(kind, kind if kind.startswith("SIG") else "") in str(error)
    if kind in ("exception", "sys.exit", "unpicklable"):
        assert error.remote_traceback.startswith("Traceback")


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
    check_error(error, kind, moment, split)
    result = outcome(directory)
    assert result["status"] == "failed"
    [failure] = result["failures"]
    assert (failure["worker"], failure["action"], failure["phase"]) == (
        CULPRIT,
        "abort",
        error.phase,
    )
    completed, finished = result["rounds_completed"], FINISHED[moment]
    # The aggregate may have a state that a worker published before it failed; with iid a worker
    # cannot be ahead of the others.
    assert completed in (
        {finished, finished + 1} if moment == "waiting" or split != "iid" else {finished}
    )
    if completed:
        assert bits(directory) == whole(split)[completed - 1]
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
    assert code == CODES[kind]
    assert not (directory / "result.json").exists()
    if name == "serial":
        assert bool(find_checkpoints(directory)) == (FINISHED[moment] > 0)
    # a thread may be at the next round before the last one's checkpoint is written
    if find_checkpoints(directory):
        same_as_uninterrupted(directory, config, whole("iid")[-1])
