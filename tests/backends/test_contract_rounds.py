"""Twelve rounds on each concurrent backend: its bits, its store, its rows and their accounts."""

import math

import numpy as np
import pytest
import torch
from contract import CONCURRENT, SPAWNED, WITH_STORE, same, store_of
from jobs import BACKENDS

from ddp.backends.process import ManagedProcesses
from ddp.backends.store import FIELDS, Readers, aggregate_key, worker_key
from ddp.timing.kinds import EXCHANGE_KINDS, OFF_CORE_KINDS
from ddp.timing.paths import WORKER_PHASES
from ddp.tracking.messages import EpochDone, Finished, Started

pytestmark = pytest.mark.usefixtures("server_of_programs")

# One run of each kind serves many tests. 12 rounds: enough to see a store grow.
LONG = {
    "process": ("workers=2", "rounds=12", "select_on=test", "split=user", "aggregation=samples"),
    "process polling": ("workers=2", "rounds=12", "local_epochs=3"),
    "process spawned": ("workers=2", "rounds=12", "local_epochs=3"),
    "shm": (
        *("workers=2", "rounds=12", "split=dirichlet", "split.alpha=1"),
        *("aggregation=softmax_loss", "local_epochs=3"),
    ),
    "thread": ("workers=2", "rounds=12"),
    "thread polling": ("workers=2", "rounds=12"),
}


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


@pytest.mark.parametrize("name", CONCURRENT)
def test_long_runs_compute_the_bits_of_serial(long, reference, name):
    same(long(name).run, reference(*LONG[name]))


# --- the store ---


def round_keys(num_workers, round_index):
    return {
        worker_key(worker, round_index, name) for worker in range(num_workers) for name in FIELDS
    }


def test_a_dropped_worker_keeps_no_aggregate_in_the_store():
    readers = Readers()
    readers.done({0: 0, 1: 0}, workers=[0], round_index=0)  # worker 1 published, and was dropped
    assert aggregate_key(0) in readers.done({0: 1}, workers=[0], round_index=1)


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


COPIED = {"evaluate/copy", "publish/copy", "receive/copy"}


def worker_kinds(name):
    """The kinds of cost that a worker of that backend has, as paths."""
    polling = name.endswith("polling")
    if name == "shm":
        return COPIED
    if name.startswith("thread"):
        locked = {"publish", "receive", "wait"} if polling else {"publish", "receive"}
        return COPIED | {
            f"{phase}/{kind}" for phase in locked for kind in ("lock_wait", "lock_hold")
        }
    pickled = {
        *("publish/serialise", "publish/transfer"),
        *("receive/transfer", "receive/deserialise"),
    }
    return pickled | ({"wait/transfer"} if polling else set())


@pytest.mark.parametrize("name", CONCURRENT)
def test_kinds_of_cost_appear_where_they_arise(long, name):
    run = long(name).run
    num_bytes = 4 * len(run.vectors[-1])
    for row in run.history.worker_rounds:
        account = row.account
        kinds = {
            path
            for path in account.seconds
            if "/" in path and path.split("/")[1] not in OFF_CORE_KINDS
        }
        assert account.num_copied["receive"] == num_bytes
        # the best state of a round is kept, not exchanged
        assert "evaluate" not in account.num_copied
        if name == "shm" or name.startswith("thread"):
            assert (account.num_bytes, kinds) == ({}, worker_kinds(name))
            assert account.num_copied["publish"] == num_bytes
            continue
        assert account.num_bytes.keys() == {"publish", "receive"}
        assert all(num_bytes <= size < num_bytes + 1000 for size in account.num_bytes.values())
        assert kinds - COPIED == worker_kinds(name)
    for row in run.history.aggregate_rounds:
        check_aggregator(name, row.account, num_bytes)


def check_aggregator(name, account, num_bytes):
    """The aggregator of a backend pays for the same kinds as its workers."""
    if name == "shm":
        assert account.num_bytes == {}
        kinds = {path.split("/")[1] for path in account.seconds if "/" in path}
        assert kinds <= set(OFF_CORE_KINDS)
    elif name.startswith("thread"):
        assert account.num_bytes == {}
        assert account.kind_s("lock_hold") > 0
    else:
        assert num_bytes <= account.num_bytes["broadcast"] < num_bytes + 1000
        assert 2 * num_bytes <= account.num_bytes["gather"] < 2 * (num_bytes + 1000)


def test_serial_pickles_and_locks_nothing(reference):
    rows = reference(*LONG["thread"]).history
    for row in [*rows.worker_rounds, *rows.aggregate_rounds]:
        assert row.account.num_bytes == {}
        kinds = {path.split("/")[1] for path in row.account.seconds if "/" in path}
        assert kinds <= {"copy", *OFF_CORE_KINDS} - {"gil_wait"}


@pytest.mark.parametrize("name", ["process", "shm", SPAWNED])
def test_processes_leave_torchs_threads_alone(long, name):
    assert long(name).torch_threads_kept
