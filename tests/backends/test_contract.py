"""One suite for all backends: they compute, keep and leave the same."""

import dataclasses
import math
import time
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from jobs import BACKENDS, IN_PROCESS, QUICK, USUAL, backend_of, prepare
from torch.nn import functional

from ddp.backends.process import ManagedProcesses
from ddp.backends.serial import SerialExchange
from ddp.backends.store import FIELDS, aggregate_key, worker_key
from ddp.backends.thread import ThreadExchange, Threads
from ddp.backends.worker_processes import WorkerProcesses
from ddp.config import seeding
from ddp.errors import Stopped, WorkerError
from ddp.experiment import run, train
from ddp.model.torch_module import CollabFiltering
from ddp.results.saved_model import load_model
from ddp.timing.kinds import EXCHANGE_KINDS, OFF_CORE_KINDS
from ddp.timing.paths import WORKER_PHASES
from ddp.timing.spans import Spans
from ddp.tracking.messages import AggregateRound, EpochDone, Finished, Started
from ddp.tracking.metrics import SquaredError
from ddp.tracking.tracker import Tracker
from ddp.workers.exchange import Update

pytestmark = pytest.mark.usefixtures("server_of_programs")

# Its workers take seconds to begin anew. One test of the default suite has it, the long suite all.
SPAWNED = pytest.param("process spawned", marks=pytest.mark.slow)
WITH_STORE = ("thread", "thread polling", "process", "process polling", SPAWNED)
CONCURRENT = (*WITH_STORE, "shm")

VARIANTS = {
    "defaults": ("rounds=3",),
    "another choice of everything": (
        *(
            "split=user",
            "select_on=test",
            "aggregation=softmax_loss",
            "trainer.optimizer=sgd",
            "trainer.lr=0.1",
        ),
        *("rounds=4", "local_epochs=3", "workers=4", "seed=7", "model.biases=false"),
    ),
    "last": (
        "select_on=last",
        "aggregation=samples",
        "split=dirichlet",
        "split.alpha=1",
        "workers=2",
        "seed=1",
    ),
}
# One run of each kind serves many tests. 12 rounds: enough to see a store grow.
LONG = {
    "process": ("workers=2", "rounds=12", "select_on=test", "split=user", "aggregation=samples"),
    "process polling": ("workers=2", "rounds=12", "local_epochs=3"),
    "process spawned": ("workers=2", "rounds=12", "local_epochs=3"),
    "shm": (
        "workers=2",
        "rounds=12",
        "split=dirichlet",
        "split.alpha=1",
        "aggregation=softmax_loss",
        "local_epochs=3",
    ),
    "thread": ("workers=2", "rounds=12"),
    "thread polling": ("workers=2", "rounds=12"),
}


def store_of(backend):
    return getattr(backend, "shared", {})


def same(run, reference):
    """The two results agree bit for bit."""
    assert len(run.vectors) == len(reference.vectors) > 0
    for vector, expected in zip(run.vectors, reference.vectors, strict=True):
        assert vector.dtype == np.float32
        assert vector.tobytes() == expected.tobytes()
    assert run.rows() == reference.rows()
    assert run.aggregates() == reference.aggregates()


# --- same seed, same bits ---


@pytest.fixture(scope="module")
def reference(make_config, drive):
    """The serial run of a variant."""
    runs = {}

    def of(*overrides):
        if overrides not in runs:
            runs[overrides] = drive(make_config(*overrides, "backend=serial"))
        return runs[overrides]

    return of


class Long:
    """A long run, and the keys of its store as (moment, round, keys)."""

    def __init__(self, drive, config):
        self.keys = []
        self.types = {}
        torch_threads = torch.get_num_threads()
        self.run = drive(config, look=self._look)
        self.torch_threads_kept = torch.get_num_threads() == torch_threads

    def _look(self, moment, round_index, backend):
        if moment == "message" or (moment == "stop" and isinstance(backend, ManagedProcesses)):
            return  # the manager is gone by then
        store = store_of(backend)
        self.keys.append((moment, round_index, set(store.keys())))
        if moment == "gather":
            self.types = {
                key.partition("_")[2].partition("_")[2]: type(store[key])
                for key in store.keys()  # noqa: SIM118
            }


@pytest.fixture(scope="module")
def long(make_config, drive, leaks):
    """`long(name)`: the long run of a concurrent backend; a leak of it fails here."""
    runs = {}

    def of(name):
        if name not in runs:
            with leaks():
                runs[name] = Long(drive, make_config(*LONG[name], *BACKENDS[name]))
        return runs[name]

    return of


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", ["thread", "thread polling"])
def test_threads_compute_the_bits_of_serial(make_config, drive, reference, name, variant):
    same(drive(make_config(*VARIANTS[variant], *BACKENDS[name])), reference(*VARIANTS[variant]))


@pytest.mark.parametrize("name", CONCURRENT)
def test_long_runs_compute_the_bits_of_serial(long, reference, name):
    same(long(name).run, reference(*LONG[name]))


@pytest.mark.parametrize(
    "name", ["process spawned", pytest.param("shm spawned", marks=pytest.mark.slow)]
)
def test_workers_that_begin_anew_compute_the_bits_of_serial(make_config, drive, reference, name):
    same(drive(make_config("workers=2", *BACKENDS[name])), reference("workers=2"))


@pytest.mark.parametrize("name", ["thread", "process", "shm", SPAWNED])
def test_the_compiled_trainer_computes_the_bits_of_serial_too(make_config, drive, reference, name):
    variant = ("trainer=fused", "trainer.lr_decay=0.9", "workers=2", "rounds=3", "local_epochs=3")
    same(drive(make_config(*variant, *BACKENDS[name])), reference(*variant))


STRATIFIED = {
    "compiled": (
        "trainer=fused",
        "trainer.lr_decay=0.9",
        "workers=3",
        "rounds=20",
        "local_epochs=3",
    ),
    "autograd, no biases": (
        "trainer=autograd",
        "workers=4",
        "model.biases=false",
        "local_epochs=1",
        "rounds=3",
        "select_on=test",
    ),
}


@pytest.mark.parametrize("variant", STRATIFIED)
@pytest.mark.parametrize("name", CONCURRENT)
def test_rows_that_go_from_worker_to_worker_compute_the_bits_of_serial(
    make_config, drive, reference, name, variant
):
    """Nobody averages or waits for an aggregate: workers are up to a round ahead of it."""
    options = ("split=stratified", "aggregation=rows", *STRATIFIED[variant])
    same(drive(make_config(*options, *BACKENDS[name])), reference(*options))


@pytest.mark.parametrize("name", ["thread", "process", "shm", SPAWNED])
def test_a_mean_by_row_and_an_outer_step_are_the_same_everywhere(
    make_config, drive, reference, name
):
    options = (
        "trainer=fused",
        "aggregation=rows",
        "aggregation.power=0.5",
        "aggregation.outer=nesterov",
        "workers=2",
        "rounds=3",
    )
    same(drive(make_config(*options, *BACKENDS[name])), reference(*options))


@pytest.mark.parametrize("name", CONCURRENT)
def test_an_ensemble_is_the_same_everywhere(make_config, drive, reference, name):
    """The aggregate is wider than a worker's state, and no worker reads it."""
    options = ("split=copies", "aggregation=ensemble", "workers=2", "rounds=3", "local_epochs=1")
    same(drive(make_config(*options, *BACKENDS[name])), reference(*options))


def test_serial_repeats_itself_and_follows_its_seed(make_config, drive, reference):
    same(drive(make_config("backend=serial")), reference())
    assert reference("seed=5").vectors[-1].tobytes() != reference().vectors[-1].tobytes()


@pytest.mark.parametrize("name", IN_PROCESS)
def test_run_saves_the_last_aggregate(make_config, reference, tmp_path, name):
    result = run(make_config(*BACKENDS[name]), tmp_path / "run", [])
    assert result.status == "ok"
    saved = load_model(tmp_path / "run")
    assert saved.model.vector.tobytes() == reference().vectors[-1].tobytes()
    assert result.test_rmse == reference().history.aggregate_rounds[-1].test.rmse


def plain_training(config):
    """One worker must equal torch in one loop, with nothing exchanged."""
    job = prepare(config).make_jobs()[0]
    model = CollabFiltering(
        job.num_users, job.num_items, config.model.dim, vector=job.vector.copy()
    )
    options = config.trainer
    optimizer = torch.optim.Adam(
        list(model.parameters()), lr=options.lr, weight_decay=options.weight_decay, fused=True
    )
    users, items, ratings = (
        torch.from_numpy(x)
        for x in (job.shard.train.users, job.shard.train.items, job.shard.train.ratings)
    )
    for round_index in range(config.rounds):
        order = seeding.stream(config.seed, "order", 0, round_index)
        for _ in range(config.local_epochs):
            permutation = order.permutation(len(ratings))
            for start in range(0, len(ratings), options.batch_size):
                batch = torch.from_numpy(permutation[start : start + options.batch_size])
                loss = functional.mse_loss(model(users[batch], items[batch]), ratings[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return model.vector


@pytest.mark.parametrize("name", IN_PROCESS)
def test_one_worker_equals_plain_training(make_config, drive, name):
    config = make_config(
        "workers=1", "rounds=4", "select_on=last", "aggregation=uniform", *BACKENDS[name]
    )
    assert drive(config).vectors[-1].tobytes() == plain_training(config).tobytes()


# --- copies ---


@contextmanager
def unstarted(config):
    """A backend without its workers, and worker 0's end of it."""
    config.account = False  # the meter knows only spans inside those of a worker
    backend = backend_of(config)
    if not isinstance(backend, WorkerProcesses):
        yield (
            backend,
            ThreadExchange(backend, 0, Spans())
            if isinstance(backend, Threads)
            else SerialExchange(backend, Spans()),
        )
        backend.stop()
        return
    connect = backend._open()[0]
    ours, theirs = backend.context.Pipe()
    backend.pipes[0] = ours
    backend._admit(0)
    _, exchange = connect(theirs, time.perf_counter())
    try:
        yield backend, exchange
    finally:
        theirs.close()
        vars(exchange).clear()  # what it holds of the manager, or of the segment
        backend.stop()


def gathered(backend, round_index):
    """The updates in the backend, without running workers."""
    if hasattr(backend, "updates"):
        return [backend.updates[0]]
    return backend._read_updates({0: round_index})


@pytest.fixture(params=[*QUICK, SPAWNED])
def ends(request, make_config):
    with unstarted(make_config("workers=1", *BACKENDS[request.param])) as both:
        yield both


def test_vectors_are_copied_on_both_ways(ends):
    backend, exchange = ends
    length = len(backend.task.vector)
    live = np.arange(length, dtype=np.float32)
    exchange.publish(Update(worker=0, round_index=0, vector=live, rmse=1.5, loss=2.5))
    live[:] = -1  # the worker trains on
    [update] = gathered(backend, 0)
    assert (update.worker, update.round_index, update.rmse, update.loss) == (0, 0, 1.5, 2.5)
    assert update.vector.tolist() == list(range(length))
    assert not np.shares_memory(update.vector, live)

    backend.broadcast(0, np.full(length, 7, np.float32))
    assert exchange.wait(0, 60)
    exchange.receive_into(live, 0)
    assert live.tolist() == [7] * length
    live[:] = -2
    again = np.zeros(length, np.float32)
    exchange.receive_into(again, 0)
    assert again.tolist() == [7] * length


@pytest.mark.parametrize("ends", CONCURRENT, indirect=True)
def test_an_aggregate_that_came_too_late_is_not_taken_for_the_next(ends):
    backend, exchange = ends
    length = len(backend.task.vector)
    publish = {"worker": 0, "vector": np.zeros(length, np.float32), "rmse": 1.0, "loss": 1.0}
    assert not exchange.wait(0, 0.01)
    exchange.publish(Update(round_index=1, **publish))
    backend.broadcast(0, np.full(length, 5, np.float32))
    assert not exchange.wait(1, 0.01)
    if hasattr(backend, "shared"):
        assert set(store_of(backend).keys()) == {
            aggregate_key(0),
            *(worker_key(0, 1, name) for name in FIELDS),
        }
    backend.broadcast(1, np.full(length, 6, np.float32))
    backend.broadcast(2, np.full(length, 7, np.float32))
    assert exchange.wait(2, 60)
    out = np.zeros(length, np.float32)
    exchange.receive_into(out, 2)
    assert out.tolist() == [7] * length


# --- the store ---


def round_keys(num_workers, round_index):
    return {
        worker_key(worker, round_index, name) for worker in range(num_workers) for name in FIELDS
    }


@pytest.mark.parametrize("name", WITH_STORE)
def test_store_holds_the_keys_of_the_seed_systems_at_every_moment(long, name):
    run, keys = long(name).run, long(name).keys
    workers, rounds = run.config.workers, run.config.rounds
    assert worker_key(1, 3, "test_loss") == "w1_r3_test_loss"
    assert aggregate_key(3) == "agg_r3_state"
    for moment, round_index, held in keys:
        if moment == "gather":  # everybody has published and waits
            before = {aggregate_key(round_index - 1)} if round_index else set()
            assert held == round_keys(workers, round_index) | before
        elif moment == "broadcast":  # some may have published again
            assert aggregate_key(round_index) in held
            assert held <= {aggregate_key(round_index)} | round_keys(workers, round_index + 1)
        elif moment == "finish":
            assert held == {aggregate_key(rounds - 1)}
    assert [moment for moment, _, _ in keys if moment != "stop"] == [
        "gather",
        "broadcast",
    ] * rounds + ["finish"]


@pytest.mark.parametrize("name", WITH_STORE)
def test_store_holds_arrays_for_threads_and_pickles_for_processes(long, name):
    vector = bytes if name.startswith("process") else np.ndarray
    assert long(name).types == {
        "best": vector,
        "state": vector,
        "rmse": float,
        "test_loss": float,
        "ready": bool,
    }


@pytest.mark.parametrize("rounds", [200, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["thread", "thread polling"])
def test_store_does_not_grow_from_round_to_round(make_config, drive, name, rounds):
    sizes, last = [], []

    def look(moment, round_index, backend):
        sizes.append(len(backend.shared))
        if moment == "finish":
            last.append(
                (
                    backend.mailbox.qsize(),
                    [peer.news.qsize() for peer in backend.peers.values()],
                )
            )
        if moment == "stop":
            last.append(len(backend.shared))

    quick = (
        *(
            "data.num_users=10",
            "data.num_items=10",
            "data.num_ratings=50",
            "split.valid_fraction=0",
            "select_on=last",
        ),
        *(
            "aggregation=uniform",
            "trainer.optimizer=sgd",
            "trainer.batch_size=99",
            "model.biases=false",
            "model.dim=1",
        ),
    )
    run = drive(
        make_config(f"rounds={rounds}", "local_epochs=1", "workers=2", *quick, *BACKENDS[name]),
        look=look,
    )
    assert len(run.vectors) == rounds
    assert max(sizes) <= 2 * len(FIELDS) + 2
    assert last == [(0, [0, 0]), 0]


# --- rows ---


@pytest.mark.parametrize("name", CONCURRENT)
def test_every_worker_reports_every_round_once_and_in_order(long, name):
    run = long(name).run
    for worker in range(run.config.workers):
        told = [message for message in run.messages if message.worker == worker]
        rows = run.history.worker(worker)
        assert isinstance(told[0], Started)
        assert [row.round_index for row in rows] == list(range(run.config.rounds))
        assert all(row.aggregate_received for row in rows)
        epochs = [(m.round_index, m.epoch) for m in told if isinstance(m, EpochDone)]
        assert epochs == [
            (r, e) for r in range(run.config.rounds) for e in range(run.config.local_epochs)
        ]
        assert run.history.startup_s[worker] > 0
        assert [message for message in told if isinstance(message, Finished)] == [told[-1]]
    elapsed = [row.elapsed_s for row in run.history.aggregate_rounds]
    assert elapsed == sorted(elapsed)


@pytest.mark.parametrize("name", CONCURRENT)
def test_every_second_belongs_to_one_phase(long, name):
    for row in long(name).run.history.worker_rounds:
        account = row.account
        assert {path.split("/")[0] for path in account.seconds} <= set(WORKER_PHASES)
        assert {path.split("/")[1] for path in account.seconds if "/" in path} <= {
            *EXCHANGE_KINDS,
            *OFF_CORE_KINDS,
        }
        assert all(seconds >= 0 for seconds in account.seconds.values())
        assert account.wall_s == sum(account.seconds.values())
        assert math.isclose(sum(account.phase_s(phase) for phase in WORKER_PHASES), account.wall_s)
        assert all(account.phase_s(phase) > 0 for phase in WORKER_PHASES)


@pytest.mark.parametrize("name", CONCURRENT)
def test_kinds_of_cost_appear_where_they_arise(long, name):
    run = long(name).run
    num_bytes = 4 * len(run.vectors[-1])
    aggregator = run.history.aggregate_rounds
    polling = name.endswith("polling")
    copied = {"evaluate/copy", "publish/copy", "receive/copy"}
    for row in run.history.worker_rounds:
        kinds = {
            path
            for path in row.account.seconds
            if "/" in path and path.split("/")[1] not in OFF_CORE_KINDS
        }
        assert row.account.num_copied["receive"] == num_bytes
        # the best state of a round is kept, not exchanged
        assert "evaluate" not in row.account.num_copied
        if name == "shm":
            assert (row.account.num_bytes, kinds) == ({}, copied)
            assert row.account.num_copied["publish"] == num_bytes
            continue
        if name.startswith("thread"):
            assert row.account.num_bytes == {}
            assert row.account.num_copied["publish"] == num_bytes
            locked = {"publish", "receive", "wait"} if polling else {"publish", "receive"}
            assert kinds == copied | {
                f"{phase}/{kind}" for phase in locked for kind in ("lock_wait", "lock_hold")
            }
            continue
        kinds -= copied
        assert row.account.num_bytes.keys() == {"publish", "receive"}
        assert all(
            num_bytes <= pickled < num_bytes + 1000 for pickled in row.account.num_bytes.values()
        )
        waited = {"wait/transfer"} if polling else set()
        assert (
            kinds
            == {"publish/serialise", "publish/transfer", "receive/transfer", "receive/deserialise"}
            | waited
        )
    for row in aggregator:
        if name == "shm":
            assert row.account.num_bytes == {}
            kinds = {path.split("/")[1] for path in row.account.seconds if "/" in path}
            assert kinds <= set(OFF_CORE_KINDS)
            continue
        if name.startswith("thread"):
            assert row.account.num_bytes == {}
            assert row.account.kind_s("lock_hold") > 0
            continue
        assert num_bytes <= row.account.num_bytes["broadcast"] < num_bytes + 1000
        gathered_bytes = row.account.num_bytes["gather"]
        assert 2 * num_bytes <= gathered_bytes < 2 * (num_bytes + 1000)


def test_serial_pickles_and_locks_nothing(reference):
    rows = reference(*LONG["thread"]).history
    for row in [*rows.worker_rounds, *rows.aggregate_rounds]:
        assert row.account.num_bytes == {}
        kinds = {path.split("/")[1] for path in row.account.seconds if "/" in path}
        assert kinds <= {"copy", *OFF_CORE_KINDS} - {"gil_wait"}


# --- failures ---


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
    assert "worker 1 in round 0 (compute): IndexError: " in str(error)
    assert not error.diverged
    assert error.remote_traceback in str(error)
    assert attempt.vectors == []


DIVERGED = (
    r"^worker \d in round 0 \(compute\): diverged in epoch \d at learning rate 1e\+30: its"
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
            make_config("split=stratified", "aggregation=rows", "trainer.lr=1e30", *BACKENDS[name])
        )
    assert caught.value.diverged


def with_nan_in_an_item(jobs):
    """Puts a NaN into a row of the first job that nobody trains and no loss shows. (With
    split=stratified all jobs have one state.)
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
        match=r"^worker 0 in round 0 \(publish\): published a state with NaN or infinity",
    ) as caught:
        drive(config, jobs=with_nan_in_an_item)
    assert caught.value.diverged


@pytest.mark.parametrize("name", [*USUAL, SPAWNED])
def test_rows_with_nan_are_refused_by_worker_and_round_too(make_config, drive, name):
    config = make_config(
        "split=stratified",
        "aggregation=rows",
        "max_norm=null",
        "data.num_items=300",
        *BACKENDS[name],
    )
    with pytest.raises(
        WorkerError,
        match=r"^worker \d in round 0 \(publish\): published a state with NaN or infinity",
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
        "split=stratified",
        "aggregation=rows",
        "trainer=fused",
        "workers=2",
        "rounds=20",
        "local_epochs=1",
    )
    drive(make_config(*options, *BACKENDS[name]), look=look, evaluate=evaluate)
    assert len(ahead) == 20
    assert max(ahead) <= 1


class Interrupts(Tracker):
    def on(self, event):
        if isinstance(event, AggregateRound):
            raise KeyboardInterrupt


@pytest.mark.parametrize("name", IN_PROCESS)
def test_an_interrupted_run_leaves_nothing(make_config, tmp_path, name):
    config = make_config("rounds=1000", *BACKENDS[name])
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


@pytest.mark.parametrize("name", ["process", "shm", SPAWNED])
def test_processes_leave_torchs_threads_alone(long, name):
    assert long(name).torch_threads_kept


def test_stopping_ends_a_worker_at_its_next_word(make_config):
    with unstarted(make_config("workers=1", "backend=thread")) as (backend, exchange):
        backend.stop()
        with pytest.raises(Stopped):
            exchange.tell(EpochDone(worker=0, round_index=0, epoch=0))
