"""A worker's loop: the state that it publishes, its messages, and the kinds of its seconds."""

import time

import numpy as np
import pytest
from jobs import make_trainer, prepare

from ddp.aggregation.weights import worker_weights
from ddp.backends.serial import Serial, SerialExchange
from ddp.config import seeding
from ddp.errors import Diverged, Stopped, WorkerError
from ddp.timing.spans import Spans
from ddp.tracking.messages import EpochDone, Failed, Finished, Started, WorkerRound
from ddp.workers.worker import Worker, run_worker, worker_loop

OVERFITS = {  # so fast that the best epoch is not the last one
    "autograd": ("trainer=autograd", "trainer.batch_size=64", "trainer.lr=0.15"),
    "fused": ("trainer=fused", "trainer.lr=0.15", "trainer.lr_decay=0.9", "trainer.reg_factors=0"),
}


class Noting(SerialExchange):
    """The real exchange of `serial`, with a record of its calls."""

    def __init__(self, prepared, told):
        super().__init__(Serial(None, prepared, prepared.make_jobs(), told.append), Spans())
        self.calls = []
        self.told = told

    def moments(self, name):
        return [moment for called, moment in self.calls if called == name]

    def receive_into(self, out, round_index):
        received = super().receive_into(out, round_index)
        self.calls.append(("receive", time.perf_counter()))
        return received

    def tell(self, message):
        self.calls.append((type(message).__name__, time.perf_counter()))
        super().tell(message)


@pytest.fixture
def told():
    return []


@pytest.fixture
def exchange(make_config, told):
    return Noting(prepare(make_config()), told)


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
        match=r"^diverged in epoch 0 at learning rate 0.25: its training loss is nan; try a"
        r" smaller",
    ):
        trainee.train_round(0)


def test_the_loop_waits_once_a_round_and_tells_in_order(make_config, exchange, told):
    job = prepare(make_config("workers=1", "rounds=2", "local_epochs=1")).make_jobs()[0]
    loop = worker_loop(job, exchange)
    for round_index in range(2):
        next(loop)
        update = exchange.backend.updates.pop(0)
        assert update.round_index == round_index
        assert not any(
            isinstance(message, WorkerRound) and message.round_index == round_index
            for message in told
        )
        exchange.backend.aggregate = update.vector
        next(loop)  # it has told its row, and lets others have their turn
        assert isinstance(told[-1], WorkerRound)
        assert told[-1].round_index == round_index
    assert next(loop, "ended") == "ended"
    kinds = [type(message) for message in told]
    assert kinds == [Started, EpochDone, WorkerRound, EpochDone, WorkerRound, Finished]
    assert all(message.aggregate_received for message in told if isinstance(message, WorkerRound))


def test_seconds_cover_the_rounds_and_no_more(make_config, exchange, told):
    """Bracketed by moments noted outside: what lies between them is in the rows' seconds, without
    the start-up.
    """
    job = prepare(make_config("workers=1", "rounds=5")).make_jobs()[0]
    began = time.perf_counter()
    exchange.spans = Spans()
    loop = worker_loop(job, exchange)
    while next(loop, "ended") is None:  # when it waits, and when it has told its row
        if exchange.backend.updates:
            exchange.backend.aggregate = exchange.backend.updates.pop(0).vector
    walls = [message.account.wall_s for message in told if isinstance(message, WorkerRound)]
    [startup_s] = [message.startup_s for message in told if isinstance(message, Started)]
    ended, received = exchange.moments("WorkerRound"), exchange.moments("receive")
    assert len(walls) == len(ended) == len(received) == 5
    assert startup_s + walls[0] <= ended[0] - began
    assert received[-1] - ended[0] <= sum(walls[1:]) <= ended[-1] - received[0]


def test_a_failure_carries_worker_round_and_traceback(make_config, exchange, told):
    job = prepare(make_config()).make_jobs()[2]
    job.shard.train.users[0] = 10**6
    run_worker(job, exchange)
    failed = told[-1]
    assert isinstance(failed, Failed)
    assert (failed.error.worker, failed.error.round_index, failed.error.phase) == (2, 0, "compute")
    assert "IndexError" in failed.error.remote_traceback


def test_a_failure_before_the_first_round_says_so(make_config, exchange, told):
    job = prepare(make_config()).make_jobs()[1]
    job.vector = job.vector[:-1]
    run_worker(job, exchange)
    assert told[-1].error.round_index is None
    assert str(told[-1].error).startswith("worker 1 before its first round: ValueError: ")


def test_a_worker_that_is_stopped_does_not_fail(make_config, told):
    class Stopping(Noting):
        def tell(self, message):
            if isinstance(message, EpochDone):
                raise Stopped
            super().tell(message)

    prepared = prepare(make_config())
    with pytest.raises(Stopped):
        run_worker(prepared.make_jobs()[0], Stopping(prepared, told))
    assert [type(message) for message in told] == [Started]


def test_a_worker_error_survives_pickling():
    import pickle

    error = pickle.loads(
        pickle.dumps(WorkerError(3, 4, "reason", "remote traceback", "wait", -9, True))
    )
    assert (error.worker, error.round_index, error.reason, error.remote_traceback) == (
        3,
        4,
        "reason",
        "remote traceback",
    )
    assert (error.phase, error.exit_code, error.diverged) == ("wait", -9, True)
    assert str(error) == "worker 3 in round 4 (wait): reason\nremote traceback"
    assert str(WorkerError(3, 4, "reason")) == "worker 3 in round 4: reason"


def test_published_loss_weighs_the_worker(make_config, exchange):
    config = make_config("select_on=test", "aggregation=inverse_loss")
    updates = []
    for job in prepare(config).make_jobs():
        trainee = Worker(job, exchange)
        updates.append(trainee.job.update(trainee.train_round(0), trainee.best.vector))
    inverse = np.array([1 / update.loss for update in updates])
    weights = worker_weights(config.aggregation, [1, 1, 1], [update.loss for update in updates])
    assert weights.tolist() == (inverse / inverse.sum()).tolist()
