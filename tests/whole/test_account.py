"""The account closes: of every worker and of the aggregator, on every backend, with both
trainers.
"""

import json
import time
from itertools import pairwise, product

import pytest
from faults import Fault, infect
from jobs import BACKENDS, QUICK, USUAL
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ddp.advice.measuring.pilot import THREAD
from ddp.experiment import run
from ddp.results.accounts import NO_MEMORY, aggregator_lane, worker_lane
from ddp.timing.account import Account
from ddp.timing.kinds import KINDS, summary
from ddp.timing.paths import PATHS, kind_of
from ddp.timing.spans import Span
from ddp.tracking.history import History
from ddp.tracking.messages import AggregateRound, Started, WorkerRound
from ddp.tracking.metrics import SquaredError
from ddp.tracking.tensorboard import TensorBoard

TRAINERS = {
    "autograd": ("trainer=autograd", "trainer.batch_size=64"),
    "fused": ("trainer=fused",),
    "stratified autograd": (
        "split=stratified",
        "aggregation=rows",
        "trainer=autograd",
        "trainer.batch_size=64",
    ),
    "stratified fused": ("split=stratified", "aggregation=rows", "trainer=fused"),
}
# A copy of a state takes some time, and so on: these kinds cannot be zero.
CERTAIN = {"compute", "evaluate", "copy", "wait", "startup", "log"}
ALSO_CERTAIN = {
    "thread": {"lock_wait", "lock_hold"},
    "process": {"data", "exit", "serialise", "transfer", "deserialise"},
    "shm": {"data", "exit"},
}


# The default suite has every backend with one trainer, and every trainer with one backend.
DEFAULT = {
    *((backend, "fused") for backend in (*QUICK, "process spawned")),
    *(("thread", trainer) for trainer in TRAINERS),
    ("shm", "stratified fused"),
}
RUNS = [
    pytest.param(run, id=", ".join(run), marks=() if run in DEFAULT else pytest.mark.slow)
    for run in product(BACKENDS, TRAINERS)
    # Those workers take seconds to import torch.
    if not ("spawned" in run[0] and "autograd" in run[1])
]


@pytest.fixture(scope="module", params=RUNS)
def accounted(request, make_config, tmp_path_factory):
    """A run's backend, config, result.json and trace.json."""
    backend, trainer = request.param
    config = make_config(*BACKENDS[backend], *TRAINERS[trainer], "checkpoint_every=1")
    directory = tmp_path_factory.mktemp("run") / "run"
    run(config, directory, [])
    files = [json.loads((directory / name).read_text()) for name in ("result.json", "trace.json")]
    return backend.split()[0], config, *files


def test_every_second_is_accounted_for(accounted):
    backend, config, result, _ = accounted
    lanes = result["account"]
    assert [lane["who"] for lane in lanes] == [
        *(f"worker_{worker}" for worker in range(config.workers)),
        "aggregator",
    ]
    for lane in lanes:
        assert lane["closed"]
        assert set(lane["seconds"]) <= set(KINDS)
        assert min(lane["seconds"].values()) >= -1e-5
        assert sum(lane["seconds"].values()) == pytest.approx(lane["wall_s"], rel=0.02)
    for lane in lanes[:-1]:
        positive = {kind for kind, seconds in lane["seconds"].items() if seconds > 0}
        assert positive >= CERTAIN | ALSO_CERTAIN.get(backend, set())
    aggregator = lanes[-1]["seconds"]
    assert all(
        aggregator[kind] > 0
        for kind in ("startup", "data", "average", "evaluate", "checkpoint", "log", "wait")
    )


def test_whom_a_worker_waited_for_is_known(accounted):
    backend, config, result, _ = accounted
    # An aggregator that polls may find all workers ready at once, and then knows of no last one.
    polls = getattr(config.backend, "poll_interval_s", None) is not None
    for lane in result["account"][:-1]:
        waits_for = lane["waits_for"]
        assert all(seconds >= 0 for seconds in waits_for.values())
        assert sum(waits_for.values()) == pytest.approx(lane["seconds"]["wait"], abs=1e-4)
        assert backend == "serial" or set(waits_for) <= {
            "aggregator",
            "worker_0",
            "worker_1",
            "worker_2",
        }
    assert (
        backend == "serial"
        or polls
        or any("worker_" in who for lane in result["account"][:-1] for who in lane["waits_for"])
    )


def test_bytes_are_those_that_the_backend_moves(accounted):
    backend, _, result, _ = accounted
    for lane in result["account"][:-1]:
        assert lane["bytes"]["copied"] > 0
        assert (lane["bytes"]["pickled"] > 0) == (backend == "process")
    assert (result["memory"]["shared_bytes"] > 0) == (backend == "shm")


def test_memory_is_that_of_each_process(accounted):
    backend, config, result, _ = accounted
    processes = {process["who"] for process in result["memory"]["processes"]}
    assert processes >= {"main"} | ({"manager"} if backend == "process" else set())
    own = backend in ("process", "shm")
    for lane in result["account"][:-1]:
        assert (lane["peak_rss_bytes"] is not None) == own
        if lane["pss_bytes"] is not None:
            assert own
            assert 0 < lane["pss_bytes"] <= lane["peak_rss_bytes"]
    assert result["account"][-1]["peak_rss_bytes"] > 0
    assert config.account


def slices_of(trace):
    """Lane -> its slices, in order."""
    names = {
        event["tid"]: event["args"]["name"]
        for event in trace["traceEvents"]
        if event["name"] == "thread_name"
    }
    lanes = {name: [] for name in names.values()}
    for event in trace["traceEvents"]:
        if event["ph"] == "X":
            lanes[names[event["tid"]]].append(event)
    return lanes


def test_the_lanes_of_the_trace_do_not_overlap(accounted):
    for slices in slices_of(accounted[-1]).values():
        for one, following in pairwise(slices):
            assert one["dur"] > 0
            assert one["ts"] >= 0
            assert one["ts"] + one["dur"] <= following["ts"] + 0.002  # printed to the nanosecond


def test_the_trace_sums_up_to_the_table(accounted):
    *_, result, trace = accounted
    lanes = slices_of(trace)
    assert set(lanes) == {lane["who"] for lane in result["account"]}
    for lane in result["account"]:
        sums = dict.fromkeys(KINDS, 0.0)
        for event in lanes[lane["who"]]:
            sums[event["name"]] += event["dur"] / 1e6
        for kind in KINDS:
            assert sums[kind] == pytest.approx(lane["seconds"].get(kind, 0.0), abs=2e-5), kind


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
    """Worker 0 had been ready for 0.4 s when worker 1 was, and then waited for the aggregate for
    0.1 s.
    """
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


def test_without_it_there_are_the_phases_only(make_config, tmp_path):
    result = run(make_config("backend=thread", "account=false"), tmp_path / "run", [])
    read = json.loads((tmp_path / "run" / "result.json").read_text())
    assert read["account"] == []
    assert not (tmp_path / "run" / "trace.json").exists()
    row = result.history.worker_rounds[0]
    assert row.account.phase_s("compute") > 0
    assert row.account.kind_s("lock_wait") > 0
    assert {"gil_wait", "run_queue", "off_cpu"}.isdisjoint(
        path.split("/")[-1] for path in row.account.seconds
    )


def test_without_it_tensorboard_has_no_picture(make_config, tmp_path):
    run(
        make_config("backend=thread", "account=false"),
        tmp_path,
        [TensorBoard(tmp_path, {"workers": 3})],
    )
    accumulator = EventAccumulator(str(tmp_path)).Reload()
    assert "rmse/test/aggregated" in accumulator.Tags()["scalars"]
    assert accumulator.Tags()["images"] == []


def test_nothing_is_measured_per_batch(make_config, tmp_path, monkeypatch):
    """Batches of 4 make as many spans as one batch an epoch."""
    opened = []
    enter = Span.__enter__

    def counted(span):
        opened[-1] += 1
        enter(span)

    monkeypatch.setattr(Span, "__enter__", counted)
    for batch_size in (4, 10_000):
        opened.append(0)
        config = make_config(
            "backend=serial",
            "select_on=last",
            "aggregation=uniform",
            f"trainer.batch_size={batch_size}",
        )
        run(config, tmp_path / str(batch_size), [])
    assert opened[0] == opened[1] > 0


def test_a_run_that_fails_has_an_account_that_is_not_closed(make_config, tmp_path):
    config = make_config("backend=thread", "max_norm=1e-3", "trainer=fused")
    with pytest.raises(Exception, match="max_norm"):
        run(config, tmp_path / "run", [])
    read = json.loads((tmp_path / "run" / "result.json").read_text())
    assert not any(lane["closed"] for lane in read["account"])
    assert (tmp_path / "run" / "trace.json").exists()


def test_every_path_has_a_kind():
    assert {kind_of(path) for path in PATHS} <= set(KINDS)
    account = Account(
        seconds={
            "compute": 1.0,
            "compute/gil_wait": 0.5,
            "receive/gil_wait": 0.25,
            "start/kernel": 2.0,
        }
    )
    assert account.by_kind() == {"startup": 2.0, "compute": 1.0, "gil_wait": 0.75}


def test_the_summary_names_what_matters():
    assert (
        summary({"compute": 6.0, "gil_wait": 3.0, "log": 0.001, "wait": 1.0})
        == "compute 60%  gil wait 30%  wait 10%"
    )
    assert summary({}) == ""
