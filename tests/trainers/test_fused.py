"""The compiled trainer: its steps are those of its formula, and so are its errors."""

import numpy as np
import pytest
from jobs import make_trainer
from made_parts import options, random_part, start, visited

from ddp.config.seeding import stream
from ddp.config.trainer import AutogradTrainer
from ddp.model.parameters import Parameters
from ddp.tracking.metrics import squared_error
from ddp.trainers.autograd import Autograd
from ddp.trainers.fused import Fused

DIMS = (1, 3, 8, 19, 32, 43, 64, 100)  # on both sides of the kernel's steps of 32, 8 and 1


def sgd_in_numpy(parameters, part, rows, options):
    """The kernel's docstring, in float64."""
    state = {name: view.astype(np.float64) for name, view in parameters.views.items()}
    loss = 0.0
    for row in rows:
        user, item = part.users[row], part.items[row]
        p, q = state["user_factors"][user].copy(), state["item_factors"][item].copy()
        error = part.ratings[row] - p @ q - state["global_mean"][0]
        if parameters.biases:
            error -= state["user_bias"][user] + state["item_bias"][item]
            state["user_bias"][user] += options.lr * (
                error - options.reg_biases * state["user_bias"][user]
            )
            state["item_bias"][item] += options.lr * (
                error - options.reg_biases * state["item_bias"][item]
            )
        state["user_factors"][user] += options.lr * (error * q - options.reg_factors * p)
        state["item_factors"][item] += options.lr * (error * p - options.reg_factors * q)
        loss += error**2
    return state, loss / len(rows)


# --- what it computes ---


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("dim", DIMS)
def test_an_epoch_equals_the_steps_written_out(dim, biases):
    part, parameters = random_part(count=200), start(dim=dim, biases=biases)
    trainer = Fused(options(), parameters, part)
    rows = visited(trainer, stream(0, "order", 0, 0))
    expected, expected_loss = sgd_in_numpy(parameters, part, rows, options())
    loss = trainer.epoch(stream(0, "order", 0, 0))
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    for name, view in parameters.views.items():
        np.testing.assert_allclose(view, expected[name], rtol=1e-4, atol=2e-5, err_msg=name)


@pytest.mark.parametrize("dim", [8, 32, 43])
@pytest.mark.parametrize("biases", [True, False])
def test_it_equals_autograd_with_single_ratings(dim, biases):
    """With half the learning rate and no L2.

    The gradient of torch is twice the error, and its L2 reaches rows that no rating touches.
    """
    part, compiled, torchs = (
        random_part(count=100),
        start(dim=dim, biases=biases),
        start(dim=dim, biases=biases),
    )
    fused = Fused(options(lr=0.02, reg_factors=0.0, reg_biases=0.0), compiled, part)
    sgd = AutogradTrainer(name="autograd", optimizer="sgd", lr=0.01, weight_decay=0.0, batch_size=1)

    class InTheSameOrder:
        def permutation(self, count):
            return rows

    autograd = Autograd(sgd, torchs, part)
    for round_index in range(3):
        rows = visited(fused, stream(0, "order", 0, round_index))
        losses = fused.epoch(stream(0, "order", 0, round_index)), autograd.epoch(InTheSameOrder())
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
        np.testing.assert_allclose(compiled.vector, torchs.vector, rtol=0, atol=1e-5)


def test_the_learning_rate_decays_after_each_epoch():
    part = random_part()
    decaying, steady = start(), start()
    trainer = make_trainer(options(lr_decay=0.5), decaying, part)
    for epoch, lr in enumerate((0.05, 0.025, 0.0125)):
        trainer.epoch(stream(0, "order", 0, epoch))
        make_trainer(options(lr=lr), steady, part).epoch(stream(0, "order", 0, epoch))
        assert decaying.vector.tobytes() == steady.vector.tobytes()


def test_rows_without_ratings_are_left_alone():
    parameters = start(num_users=7, num_items=6)
    before = parameters.vector.copy()
    make_trainer(options(), parameters, random_part()).epoch(stream(0, "order", 0, 0))
    after = Parameters(7, 6, 3, vector=before)
    for name, kept in (
        ("user_factors", 5),
        ("user_bias", 5),
        ("item_factors", 4),
        ("item_bias", 4),
    ):
        assert parameters.views[name][kept:].tobytes() == after.views[name][kept:].tobytes()
        assert parameters.views[name][:kept].tobytes() != after.views[name][:kept].tobytes()


def test_read_only_ratings_do_and_stay_as_they_were():
    part = random_part()
    columns = (part.users, part.items, part.ratings)
    before = [column.tobytes() for column in columns]
    for column in columns:
        column.setflags(write=False)
    parameters = start()
    make_trainer(options(), parameters, part).epoch(stream(0, "order", 0, 0))
    Fused.evaluate(parameters, part, (1, 5))
    assert [column.tobytes() for column in columns] == before


@pytest.mark.parametrize("column", ["users", "items"])
@pytest.mark.parametrize("index", [-1, 10**6])
def test_an_index_out_of_range_is_refused_before_it_writes_anywhere(column, index):
    part = random_part()
    getattr(part, column)[7] = index
    with pytest.raises(IndexError, match=rf"{column[:-1]} .*{index}.* out of range"):
        make_trainer(options(), start(), part)
    with pytest.raises(IndexError, match="out of range"):
        Fused.evaluate(start(), part, (1, 5))


def test_a_model_that_diverges_shows_it():
    parameters = start()
    trainer = make_trainer(options(lr=1e20), parameters, random_part())
    for _ in range(3):
        trainer.epoch(stream(0, "order", 0, 0))
    assert not np.isfinite(parameters.vector).all()
    assert not np.isfinite(Fused.evaluate(parameters, random_part(), (1, 5)).rmse)


# --- evaluation ---


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("dim", DIMS)
def test_the_error_is_the_clipped_formulas(dim, biases):
    parameters, part = start(dim=dim, biases=biases), random_part(count=500)
    views = {name: view.astype(np.float64) for name, view in parameters.views.items()}
    predictions = (views["user_factors"][part.users] * views["item_factors"][part.items]).sum(
        1
    ) + views["global_mean"][0]
    if biases:
        predictions += views["user_bias"][part.users] + views["item_bias"][part.items]
    low, high = np.quantile(predictions, (0.3, 0.7))
    clipped = np.clip(predictions, low, high)
    expected = squared_error(clipped.astype(np.float32), part.ratings)
    error = Fused.evaluate(parameters, part, (low, high))
    assert error.count == 500
    assert error.total == pytest.approx(expected.total, rel=1e-5)


def test_the_error_of_nothing_is_nothing():
    error = Fused.evaluate(start(), random_part(count=0), (1, 5))
    assert (error.total, error.count) == (0.0, 0)
