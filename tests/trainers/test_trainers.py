"""One local epoch through autograd, against the same steps written out in numpy."""

import numpy as np
import pytest
import torch
from jobs import make_trainer

from ddp.config.seeding import stream
from ddp.config.trainer import AutogradTrainer
from ddp.model.parameters import Parameters
from ddp.model.torch_module import CollabFiltering
from ddp.ratings.arrays import Block, Part
from ddp.trainers.autograd import Autograd


def options(**changes):
    values = {
        "name": "autograd",
        "optimizer": "sgd",
        "lr": 0.05,
        "weight_decay": 0.01,
        "batch_size": 1,
    }
    return AutogradTrainer(**(values | changes))


def small_part(num_users=5, num_items=4, count=30, seed=0):
    rng = np.random.default_rng(seed)
    return Part(
        users=rng.integers(0, num_users, count).astype(np.int32),
        items=rng.integers(0, num_items, count).astype(np.int32),
        ratings=rng.uniform(1, 5, count).astype(np.float32),
    )


def start_model(seed=0):
    model = Parameters(5, 4, 3)
    model.vector[:] = np.random.default_rng(seed).normal(0, 0.3, len(model.vector))
    return model


def sgd_in_numpy(model, part, order, lr, decay):
    """torch.optim.SGD: p -= lr * (grad + decay * p) for every parameter.

    Also for those that the batch does not touch.
    """
    state = {name: view.astype(np.float64) for name, view in model.views.items()}
    loss = 0.0
    for row in order.permutation(len(part)):
        user, item = part.users[row], part.items[row]
        prediction = (
            state["user_factors"][user] @ state["item_factors"][item] + state["global_mean"][0]
        )
        error = prediction + state["user_bias"][user] + state["item_bias"][item] - part.ratings[row]
        loss += error**2
        gradient = {name: decay * values for name, values in state.items()}
        gradient["user_factors"][user] += 2 * error * state["item_factors"][item]
        gradient["item_factors"][item] += 2 * error * state["user_factors"][user]
        gradient["user_bias"][user] += 2 * error
        gradient["item_bias"][item] += 2 * error
        gradient["global_mean"][0] = 0  # not learned
        state = {name: values - lr * gradient[name] for name, values in state.items()}
    return state, loss / len(part)


def test_an_epoch_equals_the_steps_written_out():
    part, model = small_part(), start_model()
    expected, expected_loss = sgd_in_numpy(
        start_model(), part, stream(0, "order", 0, 0), 0.05, 0.01
    )
    loss = make_trainer(options(), model, part).epoch(stream(0, "order", 0, 0))
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    for name, view in model.views.items():
        np.testing.assert_allclose(view, expected[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("batch_size", [1, 7, 30, 1000])
def test_every_rating_counts_once_in_the_loss(optimizer, batch_size):
    part, model = small_part(), start_model()
    # So small a step that the model does not move: the loss is the error of the model as it is.
    trainer = make_trainer(
        options(optimizer=optimizer, batch_size=batch_size, lr=1e-12, weight_decay=0.0), model, part
    )
    loss = trainer.epoch(stream(0, "order", 0, 0))
    predictions = CollabFiltering.over(model).predict(
        torch.from_numpy(part.users), torch.from_numpy(part.items), -np.inf, np.inf
    )
    assert loss == pytest.approx(np.mean((predictions - part.ratings) ** 2), rel=1e-5)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_order_decides_and_nothing_else(optimizer):
    def trained(order_seed):
        torch.manual_seed(order_seed + 100)  # the global generator must not matter
        model = start_model()
        trainer = make_trainer(options(optimizer=optimizer, batch_size=4), model, small_part())
        order = stream(order_seed, "order", 0, 0)
        for _ in range(3):
            trainer.epoch(order)
        return model.vector

    np.testing.assert_array_equal(trained(0), trained(0))
    assert not np.array_equal(trained(0), trained(1))


def test_the_optimiser_keeps_its_state_over_epochs():
    part = small_part()
    once, twice = start_model(), start_model()
    order = stream(0, "order", 0, 0)
    trainer = make_trainer(options(optimizer="adam", batch_size=30), once, part)
    trainer.epoch(order)
    trainer.epoch(order)
    order = stream(0, "order", 0, 0)
    for _ in range(2):
        make_trainer(options(optimizer="adam", batch_size=30), twice, part).epoch(order)
    assert not np.array_equal(once.vector, twice.vector)


def test_the_ratings_are_left_as_they_were():
    part = small_part()
    before = part.users.copy(), part.items.copy(), part.ratings.copy()
    make_trainer(options(batch_size=4), start_model(), part).epoch(stream(0, "order", 0, 0))
    for column, kept in zip((part.users, part.items, part.ratings), before, strict=True):
        np.testing.assert_array_equal(column, kept)


@pytest.mark.parametrize("num_blocks", [1, 4])
def test_weight_decay_weighs_the_same_in_blocks(num_blocks):
    """With n blocks a row is in a fraction 1/n of the batches, and shrinks n times as much in each.

    The item without a rating does nothing but shrink.
    """
    model = start_model()
    rated, alone = np.array([0, 0], np.int32), model.views["item_factors"][3].copy()
    part = Part(users=rated, items=rated, ratings=np.ones(2, np.float32))
    nothing = slice(0, 0)
    blocks = [
        Block(users=slice(0, 5), items=slice(0, 4), train=slice(0, 2), valid=nothing, test=nothing)
    ] * num_blocks
    trainer = Autograd(
        options(lr=0.05, weight_decay=0.01, batch_size=2), model, part, blocks=blocks
    )
    trainer.turn(0, stream(0, "order", 0, 0))
    np.testing.assert_allclose(
        model.views["item_factors"][3], alone * (1 - 0.05 * 0.01 * num_blocks), rtol=1e-6
    )
