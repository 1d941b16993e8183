"""Accounts of runs whose workers fail, start again or wait: each second has its owner."""

import json
import time

import pytest
from faults import Fault, infect
from jobs import BACKENDS, USUAL

from ddp.advice.measuring.pilot import THREAD
from ddp.experiment import run
from ddp.results.accounts import NO_MEMORY, aggregator_lane, worker_lane
from ddp.timing.account import Account
from ddp.tracking.history import History
from ddp.tracking.messages import AggregateRound, Started, WorkerRound
from ddp.tracking.metrics import SquaredError


def lanes_of(directory):
    """The lanes of result.json, by name."""
    return {
        lane["who"]: lane for lane in json.loads((directory / "result.json").read_text())["account"]
    }


def closes(lane):
    return lane["closed"] and sum(lane["seconds"].values()) == pytest.approx(
        lane["wall_s"], rel=0.02
    )


@pytest.mark.parametrize("backend", USUAL)
@pytest.mark.parametrize("split", ["iid", "stratified"])
def test_it_closes_after_a_round_that_began_again(
    make_config, monkeypatch, tmp_path, backend, split
):
    """A worker's account begins with its last start, the aggregator's with the run."""
    infect(
        monkeypatch,
        Fault(kind="exception", moment="last round", marker=tmp_path / "marker", last_round=2),
    )
    job = ("trainer=fused", f"split={split}", "aggregation=rows", "rounds=3", "on_failure=restart")
    result = run(make_config(*BACKENDS[backend], *job), tmp_path / "run", [])
    assert len(result.history.failures) == 1
    assert all(closes(lane) for lane in lanes_of(tmp_path / "run").values())


def test_a_worker_that_is_dropped_has_an_account_that_is_not_closed_and_the_others_close(
    make_config, monkeypatch, tmp_path
):
    infect(
        monkeypatch,
        Fault(kind="exception", moment="last round", marker=tmp_path / "marker", last_round=2),
    )
    config = make_config(
        "backend=shm", "trainer=fused", "rounds=3", "on_failure=drop", "min_workers=1"
    )
    run(config, tmp_path / "run", [])
    lanes = lanes_of(tmp_path / "run")
    assert {who for who, lane in lanes.items() if not lane["closed"]} == {"worker_1"}
    assert all(closes(lane) for who, lane in lanes.items() if who != "worker_1")


@pytest.mark.parametrize("backend", USUAL)
def test_the_account_of_a_run_that_goes_on_is_that_of_its_second_part(
    make_config, tmp_path, backend
):
    job = (*BACKENDS[backend], "trainer=fused", "checkpoint_every=1")
    run(make_config(*job, "rounds=2"), tmp_path / "run", [])
    began = time.perf_counter()
    run(make_config(*job, "rounds=4"), tmp_path / "run", [], resume=True)
    lived_s = time.perf_counter() - began
    lanes = lanes_of(tmp_path / "run")
    assert all(closes(lane) for lane in lanes.values())
    assert all(lane["wall_s"] < lived_s for lane in lanes.values())


def test_waits_are_blamed_on_the_last_one():
    """Worker 0 waits 0.4 s for worker 1, and then 0.1 s for the aggregate."""
    history = History()
    error = SquaredError(1.0, 1)
    for worker, wait_s in ((0, 0.5), (1, 0.1)):
        history.on(Started(worker=worker, startup_s=0.0, account=Account()))
        history.on(
            WorkerRound(
                worker=worker, round_index=0, train_loss=1.0, valid=error, test=error, best_epoch=0,
                aggregate_received=True,
                account=Account(seconds={"compute": 1.0, "wait": wait_s}),
            )
        )  # fmt: skip
    history.on(
        AggregateRound(
            round_index=0, elapsed_s=1.5, weights=(0.5, 0.5), valid=error, test=error,
            ready_s=(0.4, 0.0),
            account=Account(seconds={"wait": 1.4, "average": 0.1}),
        )
    )  # fmt: skip
    lanes = [worker_lane(history, worker, THREAD).waits_for for worker in (0, 1)]
    assert lanes == [
        {"worker_1": pytest.approx(0.4), "aggregator": pytest.approx(0.1)},
        {"aggregator": pytest.approx(0.1)},
    ]
    after = Account(seconds={"wait": 0.2})  # for the workers to end
    aggregator = aggregator_lane(history, after, 2.0, NO_MEMORY, closed=True)
    assert aggregator.waits_for == {"worker_1": pytest.approx(1.4), "workers": pytest.approx(0.2)}


def test_a_run_that_fails_has_an_account_that_is_not_closed(make_config, tmp_path):
    config = make_config("backend=thread", "max_norm=1e-3", "trainer=fused")
    with pytest.raises(Exception, match="max_norm"):
        run(config, tmp_path / "run", [])
    read = json.loads((tmp_path / "run" / "result.json").read_text())
    assert not any(lane["closed"] for lane in read["account"])
    assert (tmp_path / "run" / "trace.json").exists()
