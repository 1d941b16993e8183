"""Same seed, same bits: every backend computes the vectors and errors of the serial one."""

import pytest
import torch
from contract import CONCURRENT, SPAWNED, same
from jobs import BACKENDS, IN_PROCESS, prepare
from torch.nn import functional

from ddp.config import seeding
from ddp.experiment import run
from ddp.model.torch_module import CollabFiltering
from ddp.results.saved_model import load_model

pytestmark = pytest.mark.usefixtures("server_of_programs")

VARIANTS = {
    "defaults": ("rounds=3",),
    "another choice of everything": (
        *("split=user", "select_on=test", "aggregation=softmax_loss"),
        *("trainer.optimizer=sgd", "trainer.lr=0.1"),
        *("rounds=4", "local_epochs=3", "workers=4", "seed=7", "model.biases=false"),
    ),
    "last": (
        *("select_on=last", "aggregation=samples", "split=dirichlet"),
        *("split.alpha=1", "workers=2", "seed=1"),
    ),
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", ["thread", "thread polling"])
def test_threads_compute_the_bits_of_serial(make_config, drive, reference, name, variant):
    same(drive(make_config(*VARIANTS[variant], *BACKENDS[name])), reference(*VARIANTS[variant]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["process spawned", "shm spawned"])
def test_workers_that_begin_anew_compute_the_bits_of_serial(make_config, drive, reference, name):
    same(drive(make_config("workers=2", *BACKENDS[name])), reference("workers=2"))


# of all tests here only this one starts workers anew in the default suite: without torch
@pytest.mark.parametrize("name", ["thread", "process", "shm", "process spawned"])
def test_the_compiled_trainer_computes_the_bits_of_serial_too(make_config, drive, reference, name):
    variant = ("trainer=fused", "trainer.lr_decay=0.9", "workers=2", "rounds=3", "local_epochs=3")
    same(drive(make_config(*variant, *BACKENDS[name])), reference(*variant))


STRATIFIED = {
    "compiled": (
        *("trainer=fused", "trainer.lr_decay=0.9"),
        *("workers=3", "rounds=20", "local_epochs=3"),
    ),
    "autograd, no biases": (
        *("trainer=autograd", "workers=4", "model.biases=false"),
        *("local_epochs=1", "rounds=3", "select_on=test"),
    ),
}


@pytest.mark.parametrize("variant", STRATIFIED)
@pytest.mark.parametrize("name", CONCURRENT)
def test_rows_that_go_from_worker_to_worker_compute_the_bits_of_serial(
    make_config, drive, reference, name, variant
):
    """Nobody averages or waits for an aggregate: workers are up to a round ahead of it."""
    options = ("split=stratified", "aggregation=none", *STRATIFIED[variant])
    same(drive(make_config(*options, *BACKENDS[name])), reference(*options))


@pytest.mark.parametrize("name", ["thread", "process", "shm", SPAWNED])
def test_a_mean_by_row_and_an_outer_step_are_the_same_everywhere(
    make_config, drive, reference, name
):
    options = (
        *("trainer=fused", "aggregation=rows", "aggregation.power=0.5"),
        *("aggregation.outer=nesterov", "workers=2", "rounds=3"),
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
