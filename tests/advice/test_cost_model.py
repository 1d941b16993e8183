"""The costs of one part of a run: what is published, told, saved and evaluated."""

import dataclasses

import pytest
from jobs import prepare
from machines import constants
from plain_jobs import PLAIN, free

from ddp.advice.cost_model import Costs
from ddp.advice.sizes import sizes_of


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
@pytest.mark.parametrize("num_ratings", [1200, 30])  # with 30 some blocks are empty
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
        # up to the step count of each optimizer state
        assert floats == pytest.approx(job.update_length + job.state_length, abs=config.workers)


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
    """A message covers the epochs of a hundredth of a second."""
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
    # the aggregate, and the state of each worker
    saved = exchanges.checkpoint_s + exchanges.checkpoint_float_s * (4 + 4) * floats
    assert costs.record_s() == pytest.approx(exchanges.log_s + saved / 2)
    assert costs.save_s() == pytest.approx(exchanges.save_s + exchanges.save_float_s * 4 * floats)
    wider_s = 100 * machine.training.evaluated_element_s * 3 * costs.config.model.dim
    assert costs.evaluate_aggregate().seconds - alone.evaluate_aggregate().seconds == pytest.approx(
        wider_s
    )
    assert costs.receive().seconds == 0 < alone.receive().seconds


def test_without_checkpoints_only_telling_is_left(make_config):
    costs = Costs(
        make_config("workers=2", "checkpoint_every=0", "on_failure=restart"), PLAIN, constants()
    )
    assert costs.record_s() == constants().exchanges.log_s
