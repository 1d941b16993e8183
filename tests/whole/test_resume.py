"""A run that was killed at any moment goes on to the same bits, on every backend."""

import json
import os
import random
import signal
from itertools import product

import pytest
from dying import ended, run_and_die, run_and_die_while_writing, with_deadline
from jobs import BACKENDS, USUAL, in_a_child

from ddp.errors import ConfigError
from ddp.experiment import run
from ddp.machine.sockets import remove_orphans
from ddp.results.run_directory import find_checkpoints
from ddp.results.run_file import read_run_file
from ddp.results.saved_model import load_model
from ddp.tracking.messages import AggregateRound
from ddp.tracking.tracker import Tracker

pytestmark = pytest.mark.usefixtures("server_of_programs")

JOBS = {
    "stratified, fused": (
        "split=stratified",
        "trainer=fused",
        "trainer.lr_decay=0.9",
        "aggregation=rows",
    ),
    "stratified, Adam": ("split=stratified", "trainer=autograd", "aggregation=rows"),
    "averaged, fused, outer": (
        "trainer=fused",
        "trainer.lr_decay=0.9",
        "aggregation=rows",
        "aggregation.outer=nesterov",
    ),
    "averaged, Adam, outer": (
        "trainer=autograd",
        "aggregation=inverse_loss",
        "aggregation.outer=adam",
        "select_on=valid",
    ),
    "ensemble, Adam": ("trainer=autograd", "split=copies", "aggregation=ensemble"),
    "averaged, SGD": (
        "trainer=autograd",
        "trainer.optimizer=sgd",
        "trainer.lr=0.1",
        "aggregation=uniform",
    ),
}
SIZE = ("workers=2", "rounds=5", "local_epochs=2", "checkpoint_every=1")
# The events of a run before its last one. Each of 2 workers starts, ends, and has 2 epochs and a
# row in each of 5 rounds; each round has an aggregate. The 2 epochs of a compiled round may be one
# event.
NUM_STEPS = {job: 28 if "trainer=fused" in options else 38 for job, options in JOBS.items()}
# The default suite has each backend, trainer, split and outer optimizer once or more.
DEFAULT = {
    ("serial", "averaged, SGD"),
    ("serial", "averaged, Adam, outer"),
    ("thread", "averaged, fused, outer"),
    ("thread", "ensemble, Adam"),
    ("process", "stratified, fused"),
    ("process", "stratified, Adam"),
    ("shm", "averaged, Adam, outer"),
    ("shm", "stratified, fused"),
}


def cases():
    """Each job on each backend, and the step at which it is killed: drawn once for all."""
    for name, job in product(USUAL, JOBS):
        step = random.Random(f"{name}, {job}").randrange(NUM_STEPS[job])
        marks = () if (name, job) in DEFAULT else pytest.mark.slow
        yield pytest.param(name, job, step, marks=marks)


@pytest.fixture(scope="module")
def whole(make_config, tmp_path_factory):
    """The serial run of a job without a fault."""
    runs = {}

    def of(job):
        if job not in runs:
            directory = tmp_path_factory.mktemp("whole") / "run"
            runs[job] = run(make_config(*JOBS[job], *SIZE, "backend=serial"), directory, [])
        return runs[job]

    return of


def rows(result):
    """The figures that do not depend on time."""
    workers = sorted(result.history.worker_rounds, key=lambda row: (row.round_index, row.worker))
    return (
        [
            (row.round_index, row.worker, row.train_loss, row.valid, row.test, row.best_epoch)
            for row in workers
        ],
        [
            (row.round_index, row.valid, row.test, row.weights)
            for row in result.history.aggregate_rounds
        ],
    )


@pytest.mark.parametrize(("name", "job", "step"), list(cases()))
def test_a_killed_run_goes_on_to_the_same_bits(make_config, tmp_path, whole, name, job, step):
    config = make_config(*JOBS[job], *SIZE, *BACKENDS[name])
    directory, note = tmp_path / "run", tmp_path / "note"
    code = in_a_child(run_and_die, config, directory, step, note)
    assert code == -signal.SIGKILL
    noted = json.loads(note.read_text())
    for pid in noted["orphans"]:
        with_deadline(lambda pid=pid: ended(pid))
    # The killed run has left the folder of its sockets; the next program removes it at its start.
    remove_orphans()
    # Workers of a stratified split may be rounds ahead of the aggregator: the number of steps does
    # not tell whether there is a checkpoint.
    assert bool(find_checkpoints(directory)) == (noted["rounds"] > 0)
    if noted["rounds"] == 0:
        return
    result = run(config, directory, [], resume=True)
    assert result.status == "ok"
    assert result.state.vector.tobytes() == whole(job).state.vector.tobytes()
    assert load_model(directory).model.vector.tobytes() == whole(job).state.vector.tobytes()
    assert rows(result)[1] == rows(whole(job))[1]
    # the last rows of workers that were killed may be missing
    assert set(rows(result)[0]) <= set(rows(whole(job))[0])


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("nth", [1, 2, 3, 4, 5])
def test_a_run_that_is_killed_while_it_writes_a_checkpoint_goes_on_from_the_one_before(
    make_config, tmp_path, whole, call, nth
):
    job = "averaged, fused, outer"
    config = make_config(*JOBS[job], *SIZE, "backend=serial")
    directory = tmp_path / "run"
    assert in_a_child(run_and_die_while_writing, config, directory, call, nth) == -signal.SIGKILL
    if find_checkpoints(directory):
        result = run(config, directory, [], resume=True)
        assert result.state.vector.tobytes() == whole(job).state.vector.tobytes()
    for part in directory.rglob("*.part"):
        assert not find_checkpoints(directory)
        part.unlink()


def test_another_backend_and_more_rounds_may_go_on(make_config, tmp_path, whole):
    job = "averaged, Adam, outer"
    shorter = make_config(*JOBS[job], *SIZE, "rounds=2", "backend=thread")
    run(shorter, tmp_path / "run", [])
    result = run(
        make_config(*JOBS[job], *SIZE, "backend=serial"), tmp_path / "run", [], resume=True
    )
    assert result.state.vector.tobytes() == whole(job).state.vector.tobytes()
    assert rows(result) == rows(whole(job))
    assert (
        result.history.aggregate_rounds[-1].elapsed_s > result.history.aggregate_rounds[1].elapsed_s
    )


def test_a_run_that_has_come_to_its_end_has_nothing_left_to_do(make_config, tmp_path, whole):
    job = "stratified, fused"
    config = make_config(*JOBS[job], *SIZE, "backend=serial")
    run(config, tmp_path / "run", [])
    result = run(config, tmp_path / "run", [], resume=True)
    assert result.status == "ok"
    assert result.state.vector.tobytes() == whole(job).state.vector.tobytes()
    assert rows(result) == rows(whole(job))


def test_a_run_with_a_dropped_worker_goes_on_without_it(make_config, monkeypatch, tmp_path):
    from faults import Fault, infect

    for split in ("split=iid", "split=stratified"):
        options = (
            split,
            "trainer=fused",
            "workers=3",
            "rounds=4",
            "checkpoint_every=1",
            "on_failure=drop",
            "backend=serial",
        )
        with monkeypatch.context() as patched:
            infect(
                patched, Fault("exception", "publishing", tmp_path / f"done {split}", last_round=3)
            )
            expected = run(make_config(*options), tmp_path / f"{split} whole", [])
        with monkeypatch.context() as patched:
            infect(
                patched, Fault("exception", "publishing", tmp_path / f"again {split}", last_round=1)
            )
            run(make_config(*options, "rounds=2"), tmp_path / split, [])
        result = run(make_config(*options), tmp_path / split, [], resume=True)
        assert result.state.dropped == (1,)
        assert result.state.vector.tobytes() == expected.state.vector.tobytes()
        assert [failure.worker for failure in result.history.failures] == [1]


def test_a_living_run_is_left_alone(make_config, tmp_path):
    refused = rf"a run is going on in there \(process {os.getpid()}\)"

    class Resumes(Tracker):
        def on(self, event):
            if isinstance(event, AggregateRound):
                with pytest.raises(ConfigError, match=refused):
                    run(config, tmp_path / "run", [], resume=True)
                assert read_run_file(tmp_path / "run").status == "running"
                tried.append(event.round_index)

    tried, config = [], make_config("backend=serial", *SIZE)
    run(config, tmp_path / "run", [Resumes()])
    assert tried == list(range(5))
    assert read_run_file(tmp_path / "run").status == "ok"


def test_what_is_no_run_is_refused(make_config, tmp_path):
    with pytest.raises(
        ConfigError,
        match=r"resume=.*nowhere: is not the directory of a run: it has no config\.yaml",
    ):
        run(make_config("backend=serial"), tmp_path / "nowhere", [], resume=True)
    assert not (tmp_path / "nowhere").exists()
