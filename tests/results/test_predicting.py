"""Ids come in any form, and an id that the data does not have gives what is known of the other."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from id_forms import FORMS
from some_model import (
    INT_IDS,
    ITEM_IDS,
    SEEN,
    TEXT_IDS,
    expected,
    options,
    some_ratings,
    some_vector,
)

import ddp
from ddp.results.saved_model import load_model, save_model


@pytest.fixture(scope="module", params=[True, False], ids=["biases", "no biases"])
def model(request, tmp_path_factory):
    """A model, its vector, and whether it has biases."""
    directory = tmp_path_factory.mktemp("model")
    vector = some_vector(request.param, scale=0.5)
    save_model(directory, options(request.param), vector, some_ratings())
    return load_model(directory), vector, request.param


# --- forms of ids ---


@pytest.mark.parametrize("form", FORMS)
def test_ids_come_in_any_form(model, form):
    model, vector, biases = model
    users, items = [100, 3, 1000, 20], [7, 3000, 11, 7]
    pairs = model.predict(FORMS[form](users), FORMS[form](items))
    wanted = expected(vector, biases)[
        np.searchsorted(INT_IDS, users), np.searchsorted(ITEM_IDS, items)
    ]
    assert (pairs.shape, pairs.dtype) == ((4,), np.float32)
    np.testing.assert_allclose(pairs, wanted, rtol=1e-5)


def test_single_ids_give_one_number(model):
    model = model[0]
    (wanted,) = model.predict([20], [11])
    for user, item in [(20, 11), ("20", 11.0), (np.int8(20), np.str_("11")), (np.array(20), "11")]:
        found = model.predict(user, item)
        assert isinstance(found, float)
        assert found == wanted


def test_a_single_id_goes_with_each_of_the_other_side(model):
    model = model[0]
    items = ITEM_IDS.tolist()
    assert np.array_equal(model.predict("20", items), model.predict([20] * 5, items))
    assert np.array_equal(model.predict(range(19, 22), 7), model.predict([19, 20, 21], [7] * 3))
    assert len(model.predict(20, [])) == 0
    for users, items in (([20], [7, 10]), ([20, 3], [7]), ([], [7])):
        with pytest.raises(ValueError, match=f"{len(users)} users? but {len(items)} items?:"):
            model.predict(users, items)


# --- unknown ids ---


def alone(vector, biases):
    """The terms of all users and of all items, where the other id of the pair is unknown."""
    if biases:
        return vector[27:31], vector[31:36]
    users, items = vector[:12].reshape(4, 3), vector[12:27].reshape(5, 3)
    pairs = [(user, item) for user, seen in SEEN.items() for item in seen]
    return (
        users @ np.mean([items[item] for _, item in pairs], axis=0),
        items @ np.mean([users[user] for user, _ in pairs], axis=0),
    )


@pytest.mark.parametrize("unknown", [5000, -1, "ann", 3.5, 2**64, "3.5"])
def test_an_unknown_id_gives_what_is_known_of_the_other(model, unknown):
    model, vector, biases = model
    user_terms, item_terms = alone(vector, biases)
    users, items = INT_IDS.tolist(), ITEM_IDS.tolist()
    of_items, of_users = model.predict(unknown, items), model.predict(users, unknown)
    assert np.ptp(of_items) > 0.1
    assert np.ptp(of_users) > 0.1
    np.testing.assert_allclose(of_items, np.clip(3 + item_terms, 0.5, 5), rtol=1e-5)
    np.testing.assert_allclose(of_users, np.clip(3 + user_terms, 0.5, 5), rtol=1e-5)
    assert model.predict(unknown, unknown) == 3.0
    mixed = model.predict([*users, unknown, users[0]], [unknown] * 4 + [items[2], items[2]])
    assert np.array_equal(mixed[:5], [*of_users, of_items[2]])
    assert mixed[5] == model.predict(users[0], items[2])
    # The error names users before items.
    for pair, named in ((([*users, unknown], 7), "user"), ((users, [7, 7, unknown, 7]), "item")):
        with pytest.raises(KeyError, match=f"{named} {unknown} is not in the data"):
            model.predict(*pair, unknown="error")
    assert np.array_equal(model.predict(20, items, unknown="error"), model.predict(20, items))


def test_the_top_items_of_an_unknown_user_are_all_items(model):
    model, vector, biases = model
    _, item_terms = alone(vector, biases)
    best = ITEM_IDS[np.argsort(-np.clip(3 + item_terms, 0.5, 5), kind="stable")]
    top = model.top_items("nobody", n=9)
    assert [item for item, _, _ in top] == best.tolist()
    assert [rating for _, _, rating in top] == model.predict("nobody", best).tolist()
    with pytest.raises(KeyError, match="user nobody "):
        model.top_items("nobody", unknown="error")


@pytest.mark.parametrize("unknown", ["ignore", "", "Error", None, True])
def test_another_value_of_unknown_lists_the_values(model, unknown):
    for refused in (
        lambda m: m.predict(3, 7, unknown=unknown),
        lambda m: m.top_items(3, 1, unknown),
    ):
        with pytest.raises(ValueError, match="must be 'partial' or 'error'"):
            refused(model[0])


def test_the_top_items_are_of_one_user(model):
    with pytest.raises(ValueError, match="2 users: give one id"):
        model[0].top_items([3, 20])


# --- numpy alone ---


def test_torch_predicts_the_same(model):
    torch = pytest.importorskip("torch")
    model = model[0]
    users, items = (np.random.default_rng(0).integers(n, size=50_000) for n in (4, 5))
    known = model.model.predict(torch.from_numpy(users), torch.from_numpy(items), 0.5, 5.0)
    np.testing.assert_allclose(model.predict(INT_IDS[users], ITEM_IDS[items]), known, atol=1e-6)


def test_a_prediction_imports_neither_torch_nor_pandas(tmp_path):
    save_model(tmp_path, options(), some_vector(), some_ratings(TEXT_IDS))
    script = (
        "import sys, ddp\n"
        "model = ddp.load_model(sys.argv[1])\n"
        "print(model.predict('ann', [7, 5]).shape, len(model.top_items('ann')))\n"
        "print({'torch', 'pandas', 'hydra', 'rich'} & set(sys.modules))\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script, tmp_path], cwd=Path(ddp.__file__).parent.parent,
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert shown.stdout == "(2,) 4\nset()\n"
