"""The model: its parameters are one vector, and its predictions are the formula's."""

import numpy as np
import pytest
import torch

from ddp.config.model import Model
from ddp.model.parameters import initial_vector
from ddp.model.torch_module import EVALUATION_CHUNK, CollabFiltering


@pytest.fixture
def model():
    made = CollabFiltering(4, 3, 2)
    made.vector[:] = np.random.default_rng(0).normal(size=len(made.vector))
    return made


def test_parameters_are_views_of_the_vector(model):
    assert (
        len(model.vector)
        == sum(tensor.numel() for tensor in model.state_dict().values())
        == 4 * 2 + 3 * 2 + 4 + 3 + 1
    )
    model.vector[:] = np.arange(len(model.vector))
    assert model.user_factors[1].tolist() == [2, 3]
    assert model.item_factors[0].tolist() == [8, 9]
    assert model.global_mean.item() == len(model.vector) - 1
    with torch.no_grad():
        model.item_bias[2] = -7
    assert model.vector[-2] == -7


def test_an_optimiser_writes_into_the_vector(model):
    before = model.vector.copy()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.tensor([0]), torch.tensor([1])).sum().backward()
    optimizer.step()
    changed = np.flatnonzero(model.vector != before)
    # User 0's factors, item 1's factors, their two biases; not the mean.
    assert changed.tolist() == [0, 1, 10, 11, 14, 19]


def test_a_given_vector_is_used_not_copied():
    vector = np.zeros(4 * 2 + 3 * 2 + 4 + 3 + 1, np.float32)
    model = CollabFiltering(4, 3, 2, vector=vector)
    vector[-1] = 3.5
    assert model.global_mean.item() == 3.5
    with pytest.raises(ValueError, match="length 22"):
        CollabFiltering(4, 3, 2, vector=np.zeros(5, np.float32))
    with pytest.raises(ValueError, match="float64"):
        CollabFiltering(4, 3, 2, vector=np.zeros(22))


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("kind", [torch.int32, torch.int64])
def test_predictions_are_the_formula(biases, kind):
    model = CollabFiltering(4, 3, 2, biases=biases)
    model.vector[:] = np.random.default_rng(0).normal(size=len(model.vector))
    users, items = torch.tensor([0, 3, 3], dtype=kind), torch.tensor([2, 0, 0], dtype=kind)
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    for prediction, user, item in zip(model(users, items).tolist(), users, items, strict=True):
        expected = (
            state["user_factors"][user] @ state["item_factors"][item] + state["global_mean"][0]
        )
        if biases:
            expected += state["user_bias"][user] + state["item_bias"][item]
        assert prediction == pytest.approx(expected, abs=1e-6)
    assert ("user_bias" in state) == biases


def test_predict_clips_and_works_in_chunks(model):
    count = EVALUATION_CHUNK + 17
    users, items = torch.arange(count) % 4, torch.arange(count) % 3
    predictions = model.predict(users, items, -0.5, 0.5)
    with torch.no_grad():
        expected = model(users, items).clamp(-0.5, 0.5).numpy()
    np.testing.assert_array_equal(predictions, expected)
    assert predictions.min() == -0.5
    assert predictions.max() == 0.5
    assert len(model.predict(users[:0], items[:0], 1, 5)) == 0


def test_state_dict_round_trip_keeps_the_views(model):
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    other = CollabFiltering(4, 3, 2)
    other.load_state_dict(state)
    np.testing.assert_array_equal(other.vector, model.vector)


@pytest.mark.parametrize("biases", [True, False])
def test_initial_vector(biases):
    options = Model(name="small", dim=64, biases=biases, init_std=0.05)
    vector = initial_vector(options, 300, 200, 3.5, seed=0)
    model = CollabFiltering(300, 200, 64, biases=biases, vector=vector)
    factors = vector[: 500 * 64]
    assert factors.std() == pytest.approx(0.05, rel=0.02)
    assert abs(factors.mean()) < 0.001
    assert model.global_mean.item() == 3.5
    if biases:
        assert not model.user_bias.any()
        assert not model.item_bias.any()
    np.testing.assert_array_equal(vector, initial_vector(options, 300, 200, 3.5, seed=0))
    assert not np.array_equal(vector, initial_vector(options, 300, 200, 3.5, seed=1))
