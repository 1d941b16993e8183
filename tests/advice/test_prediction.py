"""Predictions of runs that a person can work out by hand."""

import dataclasses
import statistics

import pytest
from jobs import USUAL
from machines import constants
from plain_jobs import PLAIN, free, wall

from ddp.advice.constants import spilled_bytes
from ddp.advice.kinds import COMPUTE, EXCHANGE, GIL, START, WAIT
from ddp.advice.prediction import predict


def test_serial_does_the_work_of_all_and_workers_share_it(make_config):
    machine = free(rating_s=0.001)  # 1000 ratings: a second an epoch
    job = ("workers=2", "rounds=2", "local_epochs=3", "trainer=fused")
    walls = {
        backend: wall(make_config(*job, f"backend={backend}"), PLAIN, machine) for backend in USUAL
    }
    assert walls == {
        "serial": pytest.approx(12.0),
        **{backend: pytest.approx(6.0) for backend in USUAL[1:]},
    }


def test_threads_that_only_hold_the_gil_are_as_slow_as_one_after_another(make_config):
    machine = free("adam", batch_s=0.1)  # 10 batches of 100
    job = ("workers=2", "rounds=1", "local_epochs=1", "trainer=autograd", "trainer.batch_size=100")
    walls = {
        backend: wall(make_config(*job, f"backend={backend}"), PLAIN, machine) for backend in USUAL
    }
    assert walls == pytest.approx({"serial": 2.0, "thread": 2.0, "process": 1.0, "shm": 1.0})
    without = free("adam", batch_s=0.1, gil_share=0.0)
    assert wall(make_config(*job, "backend=thread"), PLAIN, without) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("batch", "spilled"), [(100, 0), (550, 550_000 - 2**19), (2000, 1_000_000 - 2**19)]
)
def test_a_batch_that_is_large_costs_more_beyond_that(make_config, batch, spilled):
    job = ("workers=1", "rounds=1", "local_epochs=1", "trainer=autograd", "model.dim=1000")
    config = make_config(*job, f"trainer.batch_size={batch}")
    sizes = dataclasses.replace(PLAIN, train=(1000,), valid=(0,), test=(0,))
    assert wall(config, sizes, free("adam", spilled_element_s=1e-6)) == pytest.approx(
        spilled * 1e-6
    )


def test_large_batches_share_memory(make_config):
    job = (
        "workers=2",
        "rounds=1",
        "local_epochs=1",
        "trainer=autograd",
        "model.dim=1000",
        "trainer.batch_size=1000",
    )
    # both want 2 in a second
    limited = free("adam", batch_s=1.0, bandwidth=spilled_bytes(1_000_000) * 1.25)
    walls = {
        backend: wall(make_config(*job, f"backend={backend}"), PLAIN, limited)
        for backend in ("serial", "process", "shm")
    }
    assert walls == pytest.approx({"serial": 2.0, "process": 1.6, "shm": 1.6})


def test_the_main_process_listens_on_a_core_of_the_workers(make_config):
    machine = free(rating_s=0.001)
    machine = dataclasses.replace(
        machine, exchanges=dataclasses.replace(machine.exchanges, heard_s=0.25)
    )
    # 8 messages of 0.25 s: 2 s
    config = make_config("backend=shm", "workers=2", "trainer=fused", "rounds=1", "local_epochs=3")
    assert wall(config, PLAIN, machine, cores=2) == pytest.approx(4.0)
    assert wall(config, PLAIN, machine, cores=3) == pytest.approx(3.0)


@pytest.mark.parametrize("workers", [1, 3])
def test_turns_in_one_loop_cost_a_call_an_epoch_and_others_one_a_turn(of, workers):
    job = ("trainer=fused", "split=stratified", f"workers={workers}", "rounds=2", "local_epochs=4")
    machine = free()
    # an epoch has two turns here: 0.25 s each
    costs = dataclasses.replace(machine.exchanges.shm, message_s=0.001, epoch_s=0.5)
    exchanges = dataclasses.replace(machine.exchanges, **dict.fromkeys(USUAL, costs))
    machine = dataclasses.replace(machine, exchanges=exchanges, cores=workers)
    walls = {
        backend: predict(*of(*job, f"backend={backend}"), machine).seconds[COMPUTE]
        for backend in USUAL
    }
    epochs, turns = 2 * 4, 2 * 4 * workers
    # a worker that is alone only sends the message
    passed = turns * 0.25 if workers > 1 else turns * 0.001
    expected = {
        "serial": workers * turns * 0.25,
        "thread": epochs * 0.5,
        "process": passed,
        "shm": epochs * 0.5,
    }
    assert walls == pytest.approx(expected)


@pytest.mark.parametrize("split", ["iid", "stratified"])
def test_compiled_epochs_in_threads_wait_for_no_gil(of, split):
    machine = constants("fused", cores=64)
    config, sizes = of(
        "trainer=fused", f"split={split}", "workers=16", "local_epochs=20", "backend=thread"
    )
    assert GIL not in predict(config, sizes, machine).seconds


def test_interpreters_start_on_the_cores_that_there_are(make_config):
    job = ("workers=4", "backend=process", "trainer=fused", "rounds=1")
    sizes = dataclasses.replace(PLAIN, train=(1,) * 4, valid=(0,) * 4, test=(0,) * 4)
    prediction = predict(make_config(*job), sizes, free(spawn_s=3.0, exit_s=1.0))
    assert prediction.seconds[START] == pytest.approx(8.0)
    assert prediction.wall_s == pytest.approx(8.0)


def test_ratings_go_to_processes_and_threads_have_them(make_config):
    machine = free()
    slow = dataclasses.replace(machine.exchanges.shm, float_s=0.001)
    exchanges = dataclasses.replace(machine.exchanges, **dict.fromkeys(USUAL, slow))
    machine = dataclasses.replace(machine, exchanges=exchanges)
    starts = {
        backend: predict(
            make_config("workers=2", "trainer=fused", f"backend={backend}"), PLAIN, machine
        ).seconds.get(START, 0.0)
        for backend in USUAL
    }
    assert starts == pytest.approx({"serial": 0.0, "thread": 0.0, "process": 3.0, "shm": 3.0})


def test_a_server_starts_while_the_ratings_are_read(make_config):
    config = make_config("backend=shm", "workers=2", "trainer=fused")
    walls = [wall(config, PLAIN, free(server_s=2.0), data_s=data_s) for data_s in (0.0, 0.5, 3.0)]
    assert walls == pytest.approx([2.0, 1.5, 0.0])


def test_a_short_shard_waits_for_the_long_one(make_config):
    config = make_config("backend=shm", "workers=2", "trainer=fused", "rounds=1", "local_epochs=1")
    sizes = dataclasses.replace(PLAIN, train=(1000, 3000))
    prediction = predict(config, sizes, free(rating_s=0.001))
    assert prediction.wall_s == pytest.approx(3.0)
    assert prediction.seconds[WAIT] == pytest.approx(1.0)  # the mean of 2 and 0
    assert prediction.seconds[COMPUTE] == pytest.approx(2.0)


def test_a_straggler_holds_up_all(make_config):
    config = make_config("backend=shm", "workers=2", "trainer=fused", "rounds=1", "local_epochs=1")
    assert wall(config, PLAIN, free(rating_s=0.001), straggler=2.5) == pytest.approx(2.5)


def test_who_polls_learns_of_a_thing_later(make_config):
    job = ("workers=2", "trainer=fused", "rounds=3")
    sooner, later = (
        predict(
            make_config(*job, "backend=thread", f"backend.poll_interval_s={poll}"),
            PLAIN,
            free(rating_s=1e-5),
        )
        for poll in ("null", "0.2")
    )
    assert EXCHANGE not in sooner.seconds or sooner.seconds[EXCHANGE] == 0
    assert 0 < later.wall_s - sooner.wall_s < 3 * 2 * 0.2


def test_polling_costs_half_an_interval_for_the_aggregator_and_for_the_last_of_the_workers_more(
    make_config,
):
    job = (
        "workers=5",
        "trainer=fused",
        "rounds=4",
        "backend=thread",
        "backend.poll_interval_s=0.2",
        "local_epochs=1",
    )
    sizes = dataclasses.replace(PLAIN, train=(1,) * 5, valid=(0,) * 5, test=(0,) * 5)
    config, machine = make_config(*job), free()
    walls = [wall(dataclasses.replace(config, seed=seed), sizes, machine) for seed in range(200)]
    # 5/6: the mean of the largest of five uniform numbers
    assert statistics.mean(walls) / 4 == pytest.approx(0.2 * (1 / 2 + 5 / 6), rel=0.03)


def test_many_rounds_are_as_long_as_few_and_more_of_the_same(make_config):
    job = ("workers=2", "trainer=fused", "backend=shm", "local_epochs=1")
    few, some, many = (
        wall(make_config(*job, f"rounds={rounds}"), PLAIN, free(rating_s=0.001))
        for rounds in (3, 10, 1000)
    )
    assert (few, some, many) == pytest.approx((3.0, 10.0, 1000.0))


def test_memory_that_is_slow_makes_the_exchange_slow(make_config):
    machine = free()
    fast = dataclasses.replace(machine.exchanges.shm, float_s=1e-9)
    machine = dataclasses.replace(
        machine, exchanges=dataclasses.replace(machine.exchanges, shm=fast)
    )
    config = make_config("backend=shm", "workers=2", "trainer=fused", "rounds=1")
    assert wall(config, PLAIN, machine, bandwidth=1e6) > 10 * wall(config, PLAIN, machine)
    measured = dataclasses.replace(
        machine, training=dataclasses.replace(machine.training, bandwidth=1e6)
    )
    # this bandwidth is that of batches: copies do not count
    assert wall(config, PLAIN, measured) == wall(config, PLAIN, machine)
