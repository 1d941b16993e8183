"""The compiled loop over turns: its hand-overs and their moments, its counts, and its refusals."""

import threading

import numpy as np
import pytest
from jobs import prepare

from ddp.config import seeding
from ddp.errors import Stopped
from ddp.machine.compiled.gates import Gates
from ddp.model.rows import item_rows
from ddp.timing.spans import Spans
from ddp.workers.exchange import Exchange, RowPassing
from ddp.workers.stratified import StratifiedWorker

DEADLINE_S = 60.0
STRATIFIED = (
    *("split=stratified", "aggregation=none", "trainer=fused"),
    *("workers=2", "rounds=1", "local_epochs=1"),
)


class Recording(RowPassing):
    """Takes and hands on at once, and notes it."""

    def __init__(self, gates=None):
        self.gates = gates
        self.handed_on = []

    def working_vector(self, start):
        return start.copy()

    def take(self, group, turn, before, rows, timeout_s):
        return True

    def hand_on(self, group, turn, to, rows):
        self.handed_on.append((group, turn))


class Alone(Exchange):
    """Workers wait for nothing but rows."""

    def __init__(self, gates=None):
        super().__init__(Spans(), Recording(gates))

    def publish(self, update):
        pass

    def wait(self, round_index, timeout_s):
        return True

    def receive_into(self, out, round_index):
        raise AssertionError("it needs no aggregate")

    def tell(self, message):
        pass


def make_worker(config, gates):
    """The first of two workers, and the groups of items in the order in which it holds them."""
    job = prepare(config).make_jobs()[0]
    worker = StratifiedWorker(job, job.strata, Alone(gates))
    return worker, [job.strata.group(0, turn) for turn in range(2)]


def last_value(generator):
    """The value that a generator returns."""
    while True:
        try:
            next(generator)
        except StopIteration as end:
            return end.value


def epoch(worker, *, ends_round=True):
    """One epoch of two turns, of a round that has no more, or one more."""
    turns, order = range(2 if ends_round else 4), np.random.default_rng(0)
    return last_value(worker.trainer.turns(turns, order, worker.turns, worker.spans))


def test_rows_are_handed_on_when_they_are_done(make_config):
    """A worker that waits for the rows sees them in their final state."""
    gates = Gates(np.zeros(3, np.int64))
    big = (
        *("data.num_users=600", "data.num_items=400"),
        *("data.num_ratings=100000", "data.popularity=0", "model.dim=512"),
    )
    worker, (first, second) = make_worker(make_config(*STRATIFIED, *big), gates)
    worker.trainer.turn(first, np.random.default_rng(1))
    block = worker.job.shard.blocks[first]
    rows = item_rows(worker.parameters.block(block.users, block.items))
    seen = []

    def other():
        assert gates.wait(first, 1, DEADLINE_S)
        seen.extend(array.copy() for array in rows)
        gates.open(second, 1)

    thread = threading.Thread(target=other, daemon=True)
    thread.start()
    epoch(worker)
    thread.join(DEADLINE_S)
    assert [array.tobytes() for array in seen] == [array.tobytes() for array in rows]


@pytest.mark.parametrize("ends_round", [True, False])
def test_the_last_turn_of_a_round_is_not_handed_on_yet(make_config, ends_round):
    """The worker first has to keep these rows for publishing."""
    gates = Gates(np.array([0, 0, 0], np.int64))
    worker, (first, second) = make_worker(make_config(*STRATIFIED), gates)
    gates.open(second, 1)
    epoch(worker, ends_round=ends_round)
    assert (gates.counters[first], gates.counters[second]) == (1, 1 if ends_round else 2)


def test_turn_by_turn_the_last_one_of_a_round_waits_too(make_config, monkeypatch):
    worker, (first, second) = make_worker(make_config(*STRATIFIED, "rounds=2"), None)
    at_keeping = []
    monkeypatch.setattr(
        worker,
        "_keep",
        lambda turn, round_index: at_keeping.extend(
            [turn, round_index, *worker.exchange.rows.handed_on]
        ),
    )
    list(worker.round(0))
    assert at_keeping == [1, 0, (first, 1)]
    assert worker.exchange.rows.handed_on == [(first, 1), (second, 2)]


def test_it_computes_what_turns_one_by_one_do(make_config):
    """The errors include those of predictions far off the scale, which are clipped."""
    config = make_config(*STRATIFIED, "model.init_std=3", "trainer.lr=1e-4", "trainer.lr_decay=0.5")
    gates = Gates(np.zeros(3, np.int64))
    (looped, (_, second)), (stepped, _) = make_worker(config, gates), make_worker(config, None)
    gates.open(second, 1)
    rows = [last_value(worker.round(0)) for worker in (looped, stepped)]
    assert rows[0] == rows[1]
    assert looped.parameters.vector.tobytes() == stepped.parameters.vector.tobytes()
    assert (
        looped.trainer.lrs.tolist() == stepped.trainer.lrs.tolist() == [config.trainer.lr / 2] * 2
    )


def test_several_epochs_are_what_they_are_one_by_one(make_config, monkeypatch):
    """Each epoch has its own learning rate; held-out errors are those of the last one."""
    config = make_config(*STRATIFIED, "workers=1", "local_epochs=3", "trainer.lr_decay=0.5")

    def make(gates):
        job = prepare(config).make_jobs()[0]
        return StratifiedWorker(job, job.strata, Alone(gates))

    stepped, made = make(None), []
    row = last_value(stepped.round(0))
    for numbers in ([3], [1, 2], [1, 1, 1]):
        worker = make(Gates(np.zeros(2, np.int64)))
        order, turns, train = seeding.stream(config.seed, "order", 0, 0), range(3), []
        for number in numbers:
            monkeypatch.setattr(worker.trainer.per_call, "choose", lambda left, n=number: n)
            done = last_value(worker.trainer.turns(turns, order, worker.turns, worker.spans))
            assert len(done.train) == number
            turns = turns[number:]
            train += [error.total for error in done.train]
            valid, test = done.held_out
            assert (test.total > 0) == (not turns)
        assert worker.turns.gates.counters[0] == 2
        made.append(
            (
                worker.parameters.vector.tobytes(),
                train,
                valid,
                test,
                worker.trainer.lrs.tolist(),
            )
        )
    assert made[0] == made[1] == made[2]
    vector, train, valid, test, _ = made[0]
    assert vector == stepped.parameters.vector.tobytes()
    assert train[-1] / len(stepped.job.shard.train) == row.train_loss
    assert (valid, test) == (row.valid, row.test)


def test_seconds_are_told_apart(make_config):
    gates = Gates(np.zeros(3, np.int64))
    worker, (_, second) = make_worker(make_config(*STRATIFIED), gates)
    gates.open(second, 1)
    list(worker.round(0))
    account = worker.spans.take()
    assert all(account.phase_s(phase) > 0 for phase in ("compute", "evaluate", "wait"))


def test_a_run_that_is_over_stops_it(make_config):
    gates = Gates(np.zeros(3, np.int64))
    worker, _ = make_worker(make_config(*STRATIFIED), gates)
    gates.close()
    with pytest.raises(Stopped):
        list(worker.round(0))


@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_an_index_out_of_range_is_refused_before_anything_is_read(make_config, part):
    job = prepare(make_config(*STRATIFIED)).make_jobs()[0]
    getattr(job.shard, part).items[0] = 10**8
    with pytest.raises(IndexError, match=r"item .*100000000 is out of range"):
        StratifiedWorker(job, job.strata, Alone(Gates(np.zeros(3, np.int64))))
