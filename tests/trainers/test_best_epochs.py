"""Local epochs in one compiled loop equal single epochs; their number follows the clock."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jobs import prepare

from ddp.backends.serial import Serial, SerialExchange
from ddp.config import seeding
from ddp.errors import Diverged
from ddp.timing.spans import Spans
from ddp.trainers.epochs_per_call import TOGETHER_S, EpochsPerCall
from ddp.workers.worker import Worker

FUSED = (
    *("trainer=fused", "split=iid", "local_epochs=12", "trainer.lr=0.15"),
    *("trainer.lr_decay=0.9", "trainer.reg_factors=0"),
)


def worker_of(config):
    prepared = prepare(config)
    jobs = prepared.make_jobs()
    backend = Serial(None, prepared, jobs, lambda message: None)
    return Worker(jobs[1], SerialExchange(backend, Spans()))


@pytest.fixture
def together(monkeypatch):
    """Makes a trainer do so many epochs at a time."""
    return lambda number: monkeypatch.setattr(
        EpochsPerCall, "choose", lambda self, left: min(left, number)
    )


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
        *("trainer=fused", "split=iid", "local_epochs=12", "trainer.lr=0.5"),
        *("trainer.lr_decay=1", "trainer.reg_factors=0"),
    )
    alone = worker_of(make_config(*growing))
    order, losses = seeding.stream(alone.job.config.seed, "order", 1, 0), []
    while all(map(math.isfinite, losses)):
        losses.append(alone.trainer.epoch(order))
    assert 1 < len(losses) <= 12
    together(number)
    with pytest.raises(Diverged, match=f"^diverged in epoch {len(losses)} "):
        worker_of(make_config(*growing)).train_round(0)


def test_an_index_out_of_range_is_refused_before_anything_is_read(make_config):
    prepared = prepare(make_config(*FUSED))
    jobs = prepared.make_jobs()
    jobs[1].shard.valid.items[0] = 10**8
    with pytest.raises(IndexError, match=r"item .*100000000 is out of range"):
        Worker(jobs[1], SerialExchange(Serial(None, prepared, jobs, lambda message: None), Spans()))


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
    chosen = EpochsPerCall()
    assert chosen.choose(left) == 1  # before anything is known
    chosen.took(number, seconds)
    many = chosen.choose(left)
    assert 1 <= many <= left
    if many > 1:
        assert many * seconds / number <= TOGETHER_S * (1 + 1e-9)
    if many < left:
        assert (many + 1) * seconds / number > TOGETHER_S * (1 - 1e-9)
