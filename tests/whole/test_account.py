"""The accounts of all workers and of the aggregator close, on every backend and trainer."""

import json
from itertools import pairwise, product

import pytest
from jobs import BACKENDS, QUICK
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ddp.experiment import run
from ddp.timing.kinds import KINDS
from ddp.timing.spans import Span
from ddp.tracking.tensorboard import TensorBoard
from ddp.tracking.tracker import RunFacts

TRAINERS = {
    "autograd": ("trainer=autograd", "trainer.batch_size=64"),
    "fused": ("trainer=fused",),
    "stratified autograd": (
        "split=stratified",
        "aggregation=none",
        "trainer=autograd",
        "trainer.batch_size=64",
    ),
    "stratified fused": ("split=stratified", "aggregation=none", "trainer=fused"),
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
    # An aggregator that polls may find all workers ready at once: then none of them is the last.
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
        [TensorBoard(RunFacts(directory=tmp_path, settings={"workers": 3}))],
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
