"""Local epochs in one compiled loop: what several at once are, how many they are, and what their
seconds are called.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jobs import prepare

from ddp.backends.serial import Serial, SerialExchange
from ddp.config import seeding
from ddp.errors import Diverged
from ddp.timing.spans import Spans
from ddp.trainers import pace
from ddp.trainers.loop_times import spent_parts
from ddp.trainers.loops import ALL, COPYING, EVALUATING, ON_CORE, WAITING, WALL
from ddp.trainers.pace import Pace
from ddp.workers.worker import Worker

FUSED = (
    "trainer=fused",
    "split=iid",
    "local_epochs=12",
    "trainer.lr=0.15",
    "trainer.lr_decay=0.9",
    "trainer.reg_factors=0",
)


def worker_of(config):
    prepared = prepare(config)
    jobs = prepared.make_jobs()
    return Worker(jobs[1], SerialExchange(Serial(prepared, jobs, lambda message: None)), Spans())


@pytest.fixture
def together(monkeypatch):
    """Has epochs done so many at a time."""
    return lambda number: monkeypatch.setattr(Pace, "epochs", lambda self, left: min(left, number))


@pytest.mark.parametrize("select_on", ["valid", "test", "last"])
def test_a_round_is_the_same_however_many_epochs_are_done_at_once(make_config, together, select_on):
    made = []
    for number in (1, 5, 12):
        together(number)
        worker = worker_of(make_config(*FUSED, f"select_on={select_on}"))
        rows = [worker.train_round(round_index) for round_index in (0, 1)]
        made.append((rows, worker.live.vector.tobytes(), worker.best.vector.tobytes()))
    assert made[0] == made[1] == made[2]
    assert (made[0][0][0].best_epoch == 11) == (select_on == "last")


@pytest.mark.parametrize("number", [1, 12])
def test_it_names_the_epoch_that_diverges(make_config, together, number):
    together(1)
    growing = (
        "trainer=fused",
        "split=iid",
        "local_epochs=12",
        "trainer.lr=0.5",
        "trainer.lr_decay=1",
        "trainer.reg_factors=0",
    )
    alone = worker_of(make_config(*growing))
    order, losses = seeding.stream(alone.job.config.seed, "order", 1, 0), []
    while all(map(math.isfinite, losses)):
        losses.append(alone.trainer.epoch(order))
    assert 1 < len(losses) <= 12
    together(number)
    with pytest.raises(Diverged, match=f"^diverged in epoch {len(losses) - 1} "):
        worker_of(make_config(*growing)).train_round(0)


def test_an_index_out_of_range_is_refused_before_anything_is_read(make_config):
    prepared = prepare(make_config(*FUSED))
    jobs = prepared.make_jobs()
    jobs[1].shard.valid.items[0] = 10**8
    with pytest.raises(IndexError, match=r"item .*100000000 is out of range"):
        Worker(jobs[1], SerialExchange(Serial(prepared, jobs, lambda message: None)), Spans())


def test_computing_evaluating_and_copying_are_told_apart(make_config):
    worker = worker_of(make_config(*FUSED))
    worker.spans.take()
    worker.train_round(0)
    account = worker.spans.take()
    assert {"compute", "evaluate", "evaluate/copy"} <= account.seconds.keys()
    assert all(seconds > 0 for seconds in account.seconds.values())


# --- how many at once ---


@given(number=st.integers(1, 1000), seconds=st.floats(1e-7, 100), left=st.integers(1, 1000))
def test_as_many_as_fit_but_never_none_and_never_more_than_are_left(number, seconds, left):
    chosen = Pace()
    assert chosen.epochs(left) == 1  # before anything is known
    chosen.took(number, seconds)
    many = chosen.epochs(left)
    assert 1 <= many <= left
    if many > 1:
        assert many * seconds / number <= pace.TOGETHER_S * (1 + 1e-9)
    if many < left:
        assert (many + 1) * seconds / number > pace.TOGETHER_S * (1 - 1e-9)


# --- seconds ---


class Scheduler:
    """What a meter would say: so long on a core since the last time."""

    knows_queue = True

    def __init__(self, on_cpu_s):
        self.on_cpu = on_cpu_s

    def on_cpu_s(self):
        return self.on_cpu

    def queued_s(self):
        return 0.0


def spent(**rows):
    ns = np.zeros((4, 2), np.int64)
    names = {"all": ALL, "waiting": WAITING, "evaluating": EVALUATING, "copying": COPYING}
    for name, (wall, on_core) in rows.items():
        ns[names[name], WALL], ns[names[name], ON_CORE] = wall * 10**9, on_core * 10**9
    return ns


def test_what_a_loop_spent_adds_up_to_the_wall_around_it():
    ns = spent(all=(100, 70), waiting=(20, 5), evaluating=(30, 20), copying=(4, 0))
    assert spent_parts(ns, "gil_wait", 110.0, None) == {
        "compute": 60.0,
        "wait": 20.0,
        "evaluate": 26.0,
        "evaluate/copy": 4.0,
    }
    # Off its core: 15 waiting, 10 evaluating, and 5 of the rest; and of the 10 around the loop 7.
    parts = spent_parts(ns, "gil_wait", 110.0, Scheduler(73.0))
    assert parts == pytest.approx(
        {
            **{"compute": 48.0, "compute/gil_wait": 7.0, "compute/run_queue": 5.0, "wait": 20.0},
            **{"evaluate": 16.0, "evaluate/copy": 4.0, "evaluate/run_queue": 10.0},
        }
    )
    assert sum(parts.values()) == pytest.approx(110.0)


def test_a_copy_that_was_interrupted_leaves_nothing_below_zero():
    """Of evaluating 30 were 25 a copy, and 20 without a core: at least 15 of these in the copy."""
    ns = spent(all=(100, 80), evaluating=(30, 10), copying=(25, 0))
    parts = spent_parts(ns, "gil_wait", 100.0, Scheduler(80.0))
    assert parts == pytest.approx(
        {"compute": 70.0, "evaluate": 0.0, "evaluate/copy": 10.0, "evaluate/run_queue": 20.0}
    )
