"""A model on disk predicts as before, by the data's own ids."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from jobs import prepare
from some_model import (
    INT_IDS,
    ITEM_IDS,
    SEEN,
    TEXT_IDS,
    TITLES,
    expected,
    options,
    some_ratings,
    some_vector,
)

import ddp
from ddp.experiment import run
from ddp.results.saved_model import CATALOGUE_FILE, MODEL_FILE, load_model, save_model

SAVES = """
import hashlib, sys
from pathlib import Path

from some_model import options, some_ratings, some_vector

from ddp.results.saved_model import save_model

for number in range(8):
    directory = Path(sys.argv[1]) / str(number)
    save_model(directory, options(), some_vector(), some_ratings())
    for path in sorted(directory.iterdir()):
        print(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
"""


def test_equal_models_are_equal_files(tmp_path):
    """safetensors orders its metadata by chance: eight times in each of two processes."""
    printed = [
        subprocess.run(
            [sys.executable, "-c", SAVES, str(tmp_path / seed)],
            env={
                **os.environ,
                "PYTHONHASHSEED": seed,
                "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
            },
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    lines = "".join(printed).splitlines()
    assert len(lines) == 2 * 8 * 2
    assert [line.split()[0] for line in sorted({*lines})] == [CATALOGUE_FILE, MODEL_FILE]


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("user_ids", [INT_IDS, TEXT_IDS], ids=["ints", "text"])
def test_predictions_by_the_datas_own_ids(tmp_path, user_ids, biases):
    vector = some_vector(biases)
    save_model(tmp_path, options(biases), vector, some_ratings(user_ids))
    model = ddp.load_model(tmp_path)
    wanted = expected(vector, biases)
    assert wanted.min() == 0.5  # clipped below ...
    assert wanted.max() == 5.0  # ... and above
    order = [(user, item) for user in (2, 0, 3, 1, 1) for item in (4, 0, 2)]
    users = [user_ids[user].item() for user, _ in order]
    items = [ITEM_IDS[item].item() for _, item in order]
    predictions = model.predict(users, items)
    assert predictions.dtype == np.float32
    np.testing.assert_allclose(predictions, [wanted[pair] for pair in order], rtol=1e-5)


def test_no_pairs_no_predictions(saved):
    assert len(load_model(saved).predict([], [])) == 0


@pytest.mark.parametrize("user", SEEN)
def test_the_top_items_are_the_best_of_those_that_the_user_has_not_rated(saved, user):
    model, predictions = load_model(str(saved)), expected(some_vector())[user]
    unseen = [item for item in range(5) if item not in SEEN[user]]
    # sorted() is stable: items of equal predictions stay in the order of their ids
    best = sorted(unseen, key=lambda item: -predictions[item])
    for n in (0, 1, 2, 10):
        top = model.top_items(INT_IDS[user].item(), n=n)
        assert [item for item, _, _ in top] == [ITEM_IDS[item].item() for item in best[:n]]
        assert [title for _, title, _ in top] == [str(TITLES[item]) for item in best[:n]]
        np.testing.assert_allclose(
            [rating for _, _, rating in top], predictions[best[:n]], rtol=1e-5
        )


def test_top_items_are_plain_values(saved):
    for item, title, rating in load_model(saved).top_items(3):
        assert (type(item), type(title), type(rating)) == (int, str, float)


def test_equal_predictions_come_in_the_order_of_the_ids(tmp_path):
    vector = np.zeros_like(some_vector())
    vector[-1] = 3
    save_model(tmp_path, options(), vector, some_ratings())
    assert load_model(tmp_path).top_items(20) == [
        (10, "", 3.0), (11, "Heat (1995)", 3.0), (200, "I, Robot", 3.0), (3000, "M", 3.0),
    ]  # fmt: skip


def test_data_without_titles(tmp_path):
    save_model(tmp_path, options(), some_vector(), some_ratings(TEXT_IDS, titles=None))
    assert [title for _, title, _ in load_model(tmp_path).top_items("ann")] == [""] * 4


@pytest.mark.parametrize(
    ("user_ids", "users", "items", "message"),
    [
        (INT_IDS, [3, 4], [7, 7], "user 4 "),
        (INT_IDS, [5000], [7], "user 5000 "),
        (INT_IDS, [-1], [7], "user -1 "),
        (INT_IDS, ["ann"], [7], "user ann "),
        (INT_IDS, [3.5], [7], "user 3.5 "),
        (INT_IDS, [3], [8], "item 8 "),
        (TEXT_IDS, ["carl"], [7], "user carl "),
        (TEXT_IDS, ["x" * 41], [7], "user xxx"),
        (TEXT_IDS, [3], [7], "user 3 "),
    ],
)
def test_an_unknown_id_is_named(tmp_path, user_ids, users, items, message):
    save_model(tmp_path, options(), some_vector(), some_ratings(user_ids))
    model = load_model(tmp_path)
    with pytest.raises(KeyError, match=message):
        model.predict(users, items, unknown="error")
    if message.startswith("user"):
        with pytest.raises(KeyError, match=message):
            model.top_items(users[-1], unknown="error")


def test_a_trained_model_comes_back_as_it_was(make_config, tmp_path):
    config = make_config("backend=serial")
    result = run(config, tmp_path, [])
    prepared = prepare(config)
    model, test = load_model(tmp_path), prepared.test
    ids = (
        prepared.ratings.user_ids[test.users].tolist(),
        prepared.ratings.item_ids[test.items].tolist(),
    )
    errors = model.predict(*ids).astype(np.float64) - test.ratings
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(result.test_rmse, rel=1e-6)
    for user in prepared.ratings.user_ids[:10].tolist():
        position = np.flatnonzero(prepared.ratings.user_ids == user)[0]
        rated = set(
            prepared.ratings.item_ids[
                prepared.ratings.items[prepared.ratings.users == position]
            ].tolist()
        )
        top = [item for item, _, _ in model.top_items(user, n=1000)]
        assert not rated & set(top)
        assert len(rated) + len(top) == prepared.ratings.num_items


def test_saving_leaves_two_files_and_no_others(saved):
    assert {path.name for path in saved.iterdir()} == {MODEL_FILE, CATALOGUE_FILE}


def test_importing_the_package_does_not_import_torch(tmp_path):
    script = (
        "import sys, ddp, ddp.config.schema, ddp.launch.help\n"
        "assert 'torch' not in sys.modules, 'torch'\n"
        "assert 'numpy' not in sys.modules, 'numpy'\n"
        "try: ddp.nothing\n"
        "except AttributeError as error: assert 'nothing' in str(error)\n"
        "else: raise AssertionError('ddp.nothing')\n"
        "print(ddp.load_model.__name__)\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(ddp.__file__).parent.parent,
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert shown.stdout == "load_model\n"


def test_users_and_items_are_pairs(saved):
    model = load_model(saved)
    with pytest.raises(ValueError, match="1 user but 2 items"):
        model.predict(model.user_ids[:1].tolist(), model.item_ids[:2].tolist())
    with pytest.raises(ValueError, match="n=-1"):
        model.top_items(model.user_ids[0].item(), n=-1)
