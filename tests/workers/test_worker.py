"""A worker's round: the state that it publishes, and the epoch that it chooses."""

import numpy as np
import pytest
from jobs import make_trainer, prepare

from ddp.aggregation.weights import worker_weights
from ddp.config import seeding
from ddp.errors import Diverged
from ddp.tracking.messages import EpochDone
from ddp.workers.worker import Worker

OVERFITS = {  # so fast that the best epoch is not the last one
    "autograd": ("trainer=autograd", "trainer.batch_size=64", "trainer.lr=0.15"),
    "fused": ("trainer=fused", "trainer.lr=0.15", "trainer.lr_decay=0.9", "trainer.reg_factors=0"),
}


def trained_states(job, round_index=0):
    """The state after each epoch, and the RMSE on the worker's own validation and test part."""
    model = job.make_parameters()
    trainer = make_trainer(job.config.trainer, model, job.shard.train)
    order = seeding.stream(job.config.seed, "order", job.worker, round_index)
    states = []
    for _ in range(job.config.local_epochs):
        loss = trainer.epoch(order)
        errors = [job.evaluate(model, part) for part in (job.shard.valid, job.shard.test)]
        states.append((model.vector.copy(), loss, *errors))
    return states


@pytest.mark.parametrize("trainer", ["autograd", "fused"])
@pytest.mark.parametrize("worker", [1, 2])
@pytest.mark.parametrize("select_on", ["valid", "test", "last"])
def test_the_best_state_of_the_round_is_published(
    make_config, exchange, told, select_on, worker, trainer
):
    job = prepare(
        make_config("local_epochs=12", *OVERFITS[trainer], f"select_on={select_on}")
    ).make_jobs()[worker]
    states = trained_states(job)
    column = {"valid": 2, "test": 3}.get(select_on)
    best = 11 if column is None else min(range(12), key=lambda epoch: states[epoch][column].rmse)
    assert (best == 11) == (select_on == "last")

    trainee = Worker(job, exchange)
    row = trainee.train_round(0)
    assert trainee.best.vector.tobytes() == states[best][0].tobytes()
    assert trainee.live.vector.tobytes() == states[-1][0].tobytes()
    assert (row.worker, row.round_index, row.best_epoch) == (worker, 0, best)
    assert (row.train_loss, row.valid, row.test) == (
        states[-1][1],
        states[best][2],
        states[best][3],
    )
    assert told[-1] == EpochDone(worker=worker, round_index=0, epoch=11)
    if trainer == "autograd":  # the other one has one message for several short epochs
        assert told == [EpochDone(worker=worker, round_index=0, epoch=epoch) for epoch in range(12)]

    update = trainee.job.update(row, trainee.best.vector)
    judged = row.test if select_on == "test" else row.valid
    assert (update.worker, update.round_index, update.rmse, update.loss) == (
        worker,
        0,
        judged.rmse,
        judged.mse,
    )
    assert update.vector.tobytes() == states[best][0].tobytes()


@pytest.mark.parametrize("trainer", ["autograd", "fused"])
def test_valid_and_test_choose_differently(make_config, trainer):
    """Otherwise the test above could not tell them apart."""
    states = trained_states(
        prepare(make_config("local_epochs=12", *OVERFITS[trainer])).make_jobs()[1]
    )
    best = [
        min(range(12), key=lambda epoch, column=column: states[epoch][column].rmse)
        for column in (2, 3)
    ]
    assert best[0] != best[1]


@pytest.mark.parametrize(
    "options", [("trainer=autograd", "trainer.optimizer=sgd"), ("trainer=fused",)], ids=" ".join
)
def test_of_equal_states_the_first_is_the_best(make_config, exchange, options):
    """With so small a learning rate no prediction differs from the one before."""
    job = prepare(make_config("local_epochs=4", *options, "trainer.lr=1e-30")).make_jobs()[0]
    trainee = Worker(job, exchange)
    assert trainee.train_round(0).best_epoch == 0
    np.testing.assert_allclose(trainee.live.vector, job.vector, atol=1e-25)


def test_the_best_state_is_of_this_round(make_config, exchange):
    """A round that starts from a worse state may not publish what an earlier round found."""
    job = prepare(make_config("local_epochs=1")).make_jobs()[0]
    trainee = Worker(job, exchange)
    trainee.train_round(0)
    trainee.live.vector[:] = 40
    row = trainee.train_round(1)
    assert row.best_epoch == 0
    assert trainee.best.vector.tobytes() == trainee.live.vector.tobytes()


def test_rounds_visit_the_ratings_in_other_orders(make_config, exchange):
    job = prepare(make_config("local_epochs=1", "select_on=last")).make_jobs()[0]
    vectors = []
    for round_index in (0, 1, 0):
        trainee = Worker(job, exchange)
        trainee.train_round(round_index)
        vectors.append(trainee.best.vector.tobytes())
    assert vectors[0] != vectors[1]
    assert vectors[0] == vectors[2]


@pytest.mark.parametrize("select_on", ["valid", "test"])
def test_without_a_finite_rmse_the_last_state_stands_in(make_config, exchange, select_on):
    """Training works well; a row that only the judged part refers to is not finite."""
    job = prepare(
        make_config("local_epochs=3", f"select_on={select_on}", "data.num_items=300")
    ).make_jobs()[0]
    judged = getattr(job.shard, select_on)
    unseen = np.setdiff1d(judged.items, job.shard.train.items)[0]
    trainee = Worker(job, exchange)
    trainee.live.views["item_factors"][unseen] = np.nan
    row = trainee.train_round(0)
    assert np.isfinite(row.train_loss)
    assert np.isnan(getattr(row, select_on).rmse)
    assert row.best_epoch == 2
    assert trainee.best.vector.tobytes() == trainee.live.vector.tobytes()


def test_a_state_that_is_not_finite_has_diverged(make_config, exchange):
    job = prepare(make_config("local_epochs=3", "trainer.lr=0.25")).make_jobs()[0]
    trainee = Worker(job, exchange)
    trainee.live.vector[:] = np.nan
    with pytest.raises(
        Diverged,
        match=r"^diverged in epoch 1 at learning rate 0.25: its training loss is nan; try a"
        r" smaller",
    ):
        trainee.train_round(0)


def test_published_loss_weighs_the_worker(make_config, exchange):
    config = make_config("select_on=test", "aggregation=inverse_loss")
    updates = []
    for job in prepare(config).make_jobs():
        trainee = Worker(job, exchange)
        updates.append(trainee.job.update(trainee.train_round(0), trainee.best.vector))
    inverse = np.array([1 / update.loss for update in updates])
    weights = worker_weights(config.aggregation, [1, 1, 1], [update.loss for update in updates])
    assert weights.tolist() == (inverse / inverse.sum()).tolist()
