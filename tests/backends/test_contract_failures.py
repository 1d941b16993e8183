"""Failures, interruptions and torch's threads: every backend names and leaves the same."""

import dataclasses
import time

import numpy as np
import pytest
import torch
from contract import SPAWNED
from jobs import BACKENDS, IN_PROCESS, SWEEPING, USUAL, prepare

from ddp.errors import WorkerError
from ddp.experiment import run, train
from ddp.tracking.messages import AggregateRound, EpochDone
from ddp.tracking.metrics import SquaredError
from ddp.tracking.tracker import Tracker

pytestmark = pytest.mark.usefixtures("server_of_programs")


def with_bad_item(jobs):
    """Gives worker 1 an item that does not exist."""
    shard = jobs[1].shard
    items = shard.train.items.copy()
    items[-1] = 10**6
    bad = dataclasses.replace(shard, train=dataclasses.replace(shard.train, items=items))
    return [dataclasses.replace(job, shard=bad) if job.worker == 1 else job for job in jobs]


@pytest.mark.parametrize("name", [*USUAL, "thread polling", SPAWNED])
def test_a_worker_that_raises_is_named_with_its_traceback(make_config, driven, leaks, name):
    attempt = driven(make_config("workers=2", *BACKENDS[name]), jobs=with_bad_item)
    with leaks(), pytest.raises(WorkerError) as caught:
        attempt.run()
    error = caught.value
    assert (error.worker, error.round_index) == (1, 0)
    assert error.reason.startswith("IndexError: ")
    assert error.remote_traceback.startswith("Traceback (most recent call last)")
    assert "in train_round" in error.remote_traceback
    assert "worker 1 in round 1 (compute): IndexError: " in str(error)
    assert not error.diverged
    assert error.remote_traceback in str(error)
    assert attempt.vectors == []


DIVERGED = (
    r"^worker \d in round 1 \(compute\): diverged in epoch \d at learning rate 1e\+30: its"
    r" training loss is (nan|inf);"
    r" try a smaller trainer.lr$"
)


@pytest.mark.parametrize("aggregation", ["uniform", "inverse_loss"])
@pytest.mark.parametrize("name", IN_PROCESS)
def test_a_worker_that_diverges_is_named_with_its_round(make_config, drive, name, aggregation):
    with pytest.raises(WorkerError, match=DIVERGED) as caught:
        drive(make_config("trainer.lr=1e30", f"aggregation={aggregation}", *BACKENDS[name]))
    assert caught.value.diverged


@pytest.mark.parametrize("name", [*USUAL, SPAWNED])
def test_a_worker_that_diverges_on_its_rows_is_named_too(make_config, drive, name):
    with pytest.raises(WorkerError, match=DIVERGED) as caught:
        drive(
            make_config("split=stratified", "aggregation=none", "trainer.lr=1e30", *BACKENDS[name])
        )
    assert caught.value.diverged


def with_nan_in_an_item(jobs):
    """Puts a NaN into a row of the first job that nobody trains and no loss shows.

    With split=stratified all jobs have one state.
    """
    rated = [part.items for job in jobs for part in (job.shard.train, job.shard.valid)]
    unrated = np.setdiff1d(np.arange(jobs[0].num_items), np.concatenate(rated))[0]
    vector = jobs[0].vector.copy()
    jobs[0].parameters(vector).views["item_factors"][unrated] = np.nan
    same = jobs[0].vector if jobs[0].strata else None
    return [
        dataclasses.replace(job, vector=vector) if job.vector is same or job is jobs[0] else job
        for job in jobs
    ]


@pytest.mark.parametrize("aggregation", ["uniform", "inverse_loss"])
@pytest.mark.parametrize("name", IN_PROCESS)
def test_a_state_with_nan_is_refused_by_worker_and_round(make_config, drive, name, aggregation):
    config = make_config(
        "max_norm=null", f"aggregation={aggregation}", "data.num_items=300", *BACKENDS[name]
    )
    with pytest.raises(
        WorkerError,
        match=r"^worker 0 in round 1 \(publish\): published a state with NaN or infinity",
    ) as caught:
        drive(config, jobs=with_nan_in_an_item)
    assert caught.value.diverged


@pytest.mark.parametrize("name", [*USUAL, SPAWNED])
def test_rows_with_nan_are_refused_by_worker_and_round_too(make_config, drive, name):
    config = make_config(
        "split=stratified",
        "aggregation=none",
        "max_norm=null",
        "data.num_items=300",
        *BACKENDS[name],
    )
    with pytest.raises(
        WorkerError,
        match=r"^worker \d in round 1 \(publish\): published a state with NaN or infinity",
    ) as caught:
        drive(config, jobs=with_nan_in_an_item)
    assert caught.value.diverged


@pytest.mark.parametrize("name", ["thread", "thread polling", "shm"])
def test_a_worker_that_hands_rows_on_is_at_most_a_round_ahead_of_the_aggregate(
    make_config, drive, name
):
    """Updates that are published and not averaged yet take memory."""
    published, ahead = {}, []

    def look(moment, round_index, backend):
        if moment == "message":
            return
        published.update({worker: backend.peers[worker].published for worker in range(2)})
        if moment == "gather":
            ahead.append(max(published.values()) - round_index)

    def evaluate(vector):
        deadline = time.monotonic() + 0.02
        while time.monotonic() < deadline:  # an aggregator that is slower than its workers
            pass
        return SquaredError(1.0, 1), SquaredError(1.0, 1)

    options = (
        *("split=stratified", "aggregation=none", "trainer=fused"),
        *("workers=2", "rounds=20", "local_epochs=1"),
    )
    drive(make_config(*options, *BACKENDS[name]), look=look, evaluate=evaluate)
    assert len(ahead) == 20
    assert max(ahead) <= 1


class Interrupts(Tracker):
    def on(self, event):
        if isinstance(event, AggregateRound):
            raise KeyboardInterrupt


@pytest.mark.parametrize("options", [(), SWEEPING["gibbs"]], ids=["autograd", "gibbs"])
@pytest.mark.parametrize("name", IN_PROCESS)
def test_an_interrupted_run_leaves_nothing(make_config, tmp_path, name, options):
    config = make_config(*options, "rounds=1000", *BACKENDS[name])
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "run", [Interrupts()])
    assert '"status": "interrupted"' in (tmp_path / "run" / "result.json").read_text()


# --- torch's threads ---


@pytest.mark.parametrize("name", IN_PROCESS)
@pytest.mark.parametrize("overrides", [(), ("max_norm=1e-9",)], ids=["ends well", "fails"])
def test_torch_threads_are_set_for_the_run_only(make_config, name, overrides):
    config = make_config("torch_threads=3", *BACKENDS[name], *overrides)
    before, seen = torch.get_num_threads(), []

    class Looks(Tracker):
        def on(self, event):
            if isinstance(event, EpochDone):
                seen.append(torch.get_num_threads())

    try:
        list(train(prepare(config), tracker=Looks()))
        assert not overrides
    except WorkerError:
        assert overrides
    assert set(seen) == {3} != {before}
    assert torch.get_num_threads() == before
