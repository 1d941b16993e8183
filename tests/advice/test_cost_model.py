"""Predictions of runs: laws, and cases that a person can work out by hand."""

import dataclasses
import statistics
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jobs import USUAL, prepare
from machines import constants

from ddp.advice.constants import Exchange, spilled_bytes
from ddp.advice.cost_model import Costs
from ddp.advice.kinds import COMPUTE, EXCHANGE, GIL, QUEUE, RECORD, START, WAIT
from ddp.advice.prediction import Surroundings, predict
from ddp.advice.sizes import Sizes, sizes_of
from ddp.ratings.load import load_ratings


@pytest.fixture(scope="session")
def of(make_config):
    """`of(*overrides)`: a config and its sizes."""

    @cache
    def make(*overrides):
        config = make_config(*overrides)
        return config, sizes_of(config, load_ratings(config.data, config.seed))

    return make


def wall(config, sizes, machine, **around):
    return predict(config, sizes, machine, Surroundings(**around)).wall_s


# --- how much there is to do ---


@pytest.mark.parametrize("split", ["iid", "user", "stratified", "copies"])
def test_the_sizes_are_those_of_the_jobs_that_a_run_would_have(make_config, split):
    config = make_config(f"split={split}", "aggregation=uniform")
    prepared = prepare(config)
    sizes = sizes_of(config, prepared.ratings)
    for job in prepared.make_jobs():
        shard = job.shard
        assert (sizes.train[job.worker], sizes.valid[job.worker], sizes.test[job.worker]) == tuple(
            len(part) for part in (shard.train, shard.valid, shard.test)
        )
        if split == "stratified":
            assert sizes.blocks[job.worker] == tuple(
                block.train.stop - block.train.start for block in shard.blocks
            )
            assert (
                sizes.users[job.worker] == shard.blocks[0].users.stop - shard.blocks[0].users.start
            )
            assert sizes.items == tuple(
                block.items.stop - block.items.start for block in shard.blocks
            )
    assert (sizes.whole_valid, sizes.whole_test) == (len(prepared.valid), len(prepared.test))


@pytest.mark.parametrize("trainer", ["fused", "autograd"])
@pytest.mark.parametrize("split", ["iid", "stratified"])
@pytest.mark.parametrize("num_ratings", [1200, 30])  # of which some blocks have none
def test_what_is_published_is_as_long_as_the_workers_update_and_memory(
    make_config, split, trainer, num_ratings
):
    job = (
        f"split={split}",
        f"trainer={trainer}",
        "aggregation=uniform",
        f"data.num_ratings={num_ratings}",
        "select_on=last",
    )
    config = make_config(*job, "checkpoint_every=1", "workers=5")
    prepared = prepare(config)
    machine = constants("adam" if trainer == "autograd" else "fused")
    costs = Costs(config, sizes_of(config, prepared.ratings), machine, copies_count=True)
    for job in prepared.make_jobs():
        floats = costs.publish(job.worker).num_bytes / 8  # counted if memory is shared
        # a step count each
        assert floats == pytest.approx(job.update_length + job.state_length, abs=config.workers)


# --- by hand ---

PLAIN = Sizes(
    num_users=10,
    num_items=10,
    train=(1000, 1000),
    valid=(0, 0),
    test=(0, 0),
    whole_valid=0,
    whole_test=0,
)


def free(trainer="fused", **changed):
    """A machine on which only the `changed` constants cost anything."""
    nothing = dict.fromkeys((field.name for field in dataclasses.fields(constants().training)), 0.0)
    machine = constants(trainer, **nothing | changed)
    none = {field.name: 0.0 for field in dataclasses.fields(machine.exchanges)}
    exchange = Exchange(message_s=0.0, vector_s=0.0, float_s=0.0, epoch_s=0.0)
    backends = dict.fromkeys(USUAL, exchange)
    return dataclasses.replace(
        machine, exchanges=dataclasses.replace(machine.exchanges, **none | backends)
    )


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
    # 8 messages: 2 s
    config = make_config("backend=shm", "workers=2", "trainer=fused", "rounds=1", "local_epochs=3")
    assert wall(config, PLAIN, machine, cores=2) == pytest.approx(4.0)
    assert wall(config, PLAIN, machine, cores=3) == pytest.approx(3.0)


@pytest.mark.parametrize("workers", [1, 3])
def test_turns_in_one_loop_cost_a_call_an_epoch_and_others_one_a_turn(of, workers):
    job = ("trainer=fused", "split=stratified", f"workers={workers}", "rounds=2", "local_epochs=4")
    machine = free()
    # of an epoch of two turns
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


def test_the_main_process_hears_of_all_rows_that_are_handed_on(of):
    job = ("trainer=fused", "split=stratified", "workers=3", "rounds=1", "local_epochs=4")
    machine = free(rating_s=0.001)  # epochs so long that each has a message
    machine = dataclasses.replace(
        machine, exchanges=dataclasses.replace(machine.exchanges, heard_s=0.25)
    )
    heard = {
        backend: Costs(*of(*job, f"backend={backend}"), machine).read_messages().seconds
        for backend in ("process", "shm")
    }
    assert heard == pytest.approx(
        {"process": 3 * (4 + 4 * 3 + 1) * 0.25, "shm": 3 * (4 + 1) * 0.25}
    )


@pytest.mark.parametrize(("epoch_s", "messages"), [(0.0, 1), (0.001, 3), (0.004, 10), (0.02, 24)])
@pytest.mark.parametrize("backend", ["serial", "thread", "shm"])
def test_short_compiled_epochs_are_told_of_together(make_config, epoch_s, messages, backend):
    """The number of epochs that take a hundredth of a second together."""
    job = ("workers=2", "rounds=1", "local_epochs=24", f"backend={backend}")
    machine = free("fused", rating_s=epoch_s / PLAIN.train[0])
    machine = dataclasses.replace(
        machine, exchanges=dataclasses.replace(machine.exchanges, heard_s=1.0)
    )
    assert Costs(
        make_config(*job, "trainer=fused"), PLAIN, machine
    ).read_messages().seconds == pytest.approx(2 * (messages + 1))
    assert Costs(
        make_config(*job, "trainer=autograd"), PLAIN, machine
    ).read_messages().seconds == pytest.approx(2 * (24 + 1))


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
    # the largest of five uniform ones
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
    # which was measured with batches, not with copies
    assert wall(config, PLAIN, measured) == wall(config, PLAIN, machine)


def test_an_ensembles_aggregate_is_as_many_times_as_wide(make_config):
    job = (
        "workers=4",
        "trainer=fused",
        "split=copies",
        "aggregation=ensemble",
        "checkpoint_every=2",
        "backend=shm",
    )
    whole = dataclasses.replace(
        PLAIN, train=(1000,) * 4, valid=(0,) * 4, test=(0,) * 4, whole_test=100
    )
    machine = constants()
    costs, alone = (
        Costs(make_config(*job, f"aggregation={name}"), whole, machine)
        for name in ("ensemble", "uniform")
    )
    floats, exchanges = costs.num_floats, machine.exchanges
    # with each worker's own state
    saved = exchanges.checkpoint_s + exchanges.checkpoint_float_s * (4 + 4) * floats
    assert costs.record_s() == pytest.approx(exchanges.log_s + saved / 2)
    assert costs.save_s() == pytest.approx(exchanges.save_s + exchanges.save_float_s * 4 * floats)
    wider_s = 100 * machine.training.evaluated_element_s * 3 * costs.config.model.dim
    assert costs.evaluate_aggregate().seconds - alone.evaluate_aggregate().seconds == pytest.approx(
        wider_s
    )
    assert costs.receive().seconds == 0 < alone.receive().seconds


@pytest.mark.parametrize("backend", USUAL)
def test_with_stratified_shards_there_is_no_ensemble(of, backend):
    job = ("split=stratified", f"backend={backend}", "checkpoint_every=1", "rounds=3")
    ensemble, rows = (
        predict(*of(*job, f"aggregation={name}"), constants()) for name in ("ensemble", "rows")
    )
    assert ensemble == rows


def test_without_checkpoints_only_telling_is_left(make_config):
    costs = Costs(
        make_config("workers=2", "checkpoint_every=0", "on_failure=restart"), PLAIN, constants()
    )
    assert costs.record_s() == constants().exchanges.log_s


# --- laws ---

JOBS = st.tuples(
    st.sampled_from(USUAL),
    st.sampled_from(["fused", "autograd"]),
    st.sampled_from(["iid", "user", "stratified"]),
    st.integers(1, 5),
    st.integers(1, 12),
    st.integers(1, 9),
)


def made(of, job):
    backend, trainer, split, workers, rounds, epochs = job
    options = (
        f"backend={backend}",
        f"trainer={trainer}",
        f"split={split}",
        f"workers={workers}",
        f"rounds={rounds}",
    )
    more = ("checkpoint_every=1", "aggregation=uniform", f"local_epochs={epochs}")
    return *of(*options, *more), constants("adam" if trainer == "autograd" else "fused")


@settings(max_examples=25, deadline=None)
@given(job=JOBS, cores=st.integers(1, 8))
def test_any_job_has_a_prediction_whose_kinds_are_no_less_than_nothing_and_the_same_each_time(
    of, job, cores
):
    config, sizes, machine = made(of, job)
    first, second = (predict(config, sizes, machine, Surroundings(cores=cores)) for _ in range(2))
    assert first == second
    assert all(value >= 0 for value in first.seconds.values())
    assert first.wall_s > 0
    assert first.seconds[RECORD] > 0
    if config.workers == 1 or config.backend.name != "thread":
        assert first.seconds.get(GIL, 0.0) == pytest.approx(0.0, abs=1e-12)
    if cores > config.workers + 2:  # the aggregator's, and for listening
        assert first.seconds.get(QUEUE, 0.0) == pytest.approx(0.0, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(job=JOBS)
def test_no_run_is_shorter_than_its_work_over_the_cores(of, job):
    config, sizes, machine = made(of, job)
    alone = predict(
        dataclasses.replace(config, backend=of("backend=serial")[0].backend), sizes, machine
    )
    for backend in ("process", "shm"):
        other = predict(
            dataclasses.replace(config, backend=of(f"backend={backend}")[0].backend), sizes, machine
        )
        cores = min(machine.cores, config.workers)
        # up to the luck of the draw, which makes work uneven
        assert other.wall_s > 0.95 * alone.seconds[COMPUTE] / cores


@settings(max_examples=30, deadline=None)
@given(job=JOBS, cores=st.integers(1, 6), more=st.integers(1, 58))
def test_processes_are_not_slower_on_more_cores(of, job, cores, more):
    config, sizes, machine = made(of, job)
    if config.backend.name != "thread":
        machine = dataclasses.replace(
            machine, exchanges=dataclasses.replace(machine.exchanges, jitter=0.0)
        )
        few, many = (wall(config, sizes, machine, cores=number) for number in (cores, cores + more))
        assert many <= few * (1 + 1e-9)
