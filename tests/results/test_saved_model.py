"""A model on disk predicts as before, by the data's own ids, and nothing unpickles."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from jobs import prepare

import ddp
from ddp.config.model import Model
from ddp.errors import DataError
from ddp.experiment import run
from ddp.model.parameters import parameter_shapes
from ddp.ratings.arrays import Ratings
from ddp.results.saved_model import CATALOGUE_FILE, MODEL_FILE, load_model, save_model

INT_IDS = np.array([3, 20, 100, 1000])  # as text they would be in another order
TEXT_IDS = np.array(["Zoë", "ann", "bob", "x" * 40])
ITEM_IDS = np.array([7, 10, 11, 200, 3000])
TITLES = np.array(["Amélie", "", "Heat (1995)", "I, Robot", "M"])
# user position -> positions of the items that it has rated; the last one has rated all
SEEN = {0: [1, 3], 1: [0], 2: [4, 2, 0], 3: [0, 1, 2, 3, 4]}


def some_ratings(user_ids=INT_IDS, item_ids=ITEM_IDS, titles=TITLES) -> Ratings:
    pairs = [(user, item) for user, items in SEEN.items() for item in items]
    pairs = pairs[::2] + pairs[1::2]  # not in the order of users, as in a real file
    users, items = (np.array(column, np.int32) for column in zip(*pairs, strict=True))
    return Ratings(
        name="made",
        users=users,
        items=items,
        ratings=np.full(len(pairs), 3, np.float32),
        user_ids=user_ids,
        item_ids=item_ids,
        titles=titles,
        rating_min=0.5,
        rating_max=5.0,
    )


def options(biases=True) -> Model:
    return Model(name="tiny", dim=3, biases=biases, init_std=0.05)


def some_vector(biases=True, scale=2.0) -> np.ndarray:
    length = sum(int(np.prod(shape)) for shape in parameter_shapes(4, 5, 3, biases).values())
    vector = np.random.default_rng(1).normal(0, scale, length).astype(np.float32)
    vector[-1] = 3
    return vector


def expected(vector: np.ndarray, biases=True) -> np.ndarray:
    """(users, items): the model's formula, clipped to the scale, written down a second time."""
    user_factors, item_factors = vector[:12].reshape(4, 3), vector[12:27].reshape(5, 3)
    predictions = user_factors @ item_factors.T + vector[-1]
    if biases:
        predictions = predictions + vector[27:31, None] + vector[None, 31:36]
    return np.clip(predictions, 0.5, 5.0)


@pytest.fixture
def saved(tmp_path) -> Path:
    save_model(tmp_path, options(), some_vector(), some_ratings())
    return tmp_path


SAVES = """
import hashlib, sys
from pathlib import Path

from test_saved_model import options, save_model, some_ratings, some_vector

for number in range(8):
    directory = Path(sys.argv[1]) / str(number)
    save_model(directory, options(), some_vector(), some_ratings())
    for path in sorted(directory.iterdir()):
        print(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
"""


def test_equal_models_are_equal_files(tmp_path):
    """Eight times in each of two processes, since luck decides the order of the library."""
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
    # stable: equal ones stay in the order of the ids
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
        model.predict(users, items)
    if message.startswith("user"):
        with pytest.raises(KeyError, match=message):
            model.top_items(users[-1])


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


# --- damaged directories ---


def keep(share: float):
    def damage(path: Path) -> None:
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    return damage


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        pytest.param(MODEL_FILE, Path.unlink, id="no model"),
        pytest.param(MODEL_FILE, keep(0.5), id="half a model"),
        pytest.param(MODEL_FILE, keep(0), id="empty model"),
        pytest.param(CATALOGUE_FILE, Path.unlink, id="no catalogue"),
        pytest.param(
            CATALOGUE_FILE, keep(0.5), id="half a catalogue",
        ),
        pytest.param(
            CATALOGUE_FILE, keep(0), id="empty catalogue",
        ),
        pytest.param(
            CATALOGUE_FILE, lambda path: np.savez(path, user_ids=INT_IDS), id="catalogue without"
                                                                              " items",
        ),
    ],
)  # fmt: skip
def test_a_damaged_directory_is_named(saved, name, damage):
    damage(saved / name)
    with pytest.raises(DataError) as refusal:
        load_model(saved)
    assert str(saved) in str(refusal.value)
    assert MODEL_FILE in str(refusal.value)
    assert CATALOGUE_FILE in str(refusal.value)


def test_a_directory_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        load_model(tmp_path / "nowhere")


class Planted:
    """Leaves a file behind if anybody unpickles it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("planted", ["in an array", "as the file", "as the model"])
def test_a_planted_pickle_is_not_loaded(saved, tmp_path, planted):
    mark = tmp_path / "unpickled"
    pickle.loads(pickle.dumps(Planted(mark)))
    assert mark.exists()  # it would work
    mark.unlink()
    if planted == "in an array":
        with np.load(saved / CATALOGUE_FILE) as archive:
            arrays = dict(archive.items())
        arrays["titles"] = np.array([Planted(mark)] * 5, dtype=object)
        np.savez(saved / CATALOGUE_FILE, **arrays)
    else:
        (saved / (CATALOGUE_FILE if planted == "as the file" else MODEL_FILE)).write_bytes(
            pickle.dumps(Planted(mark))
        )
    with pytest.raises(DataError, match="holds no complete model"):
        load_model(saved)
    assert not mark.exists()


def test_saving_leaves_two_files_and_no_others(saved):
    assert {path.name for path in saved.iterdir()} == {MODEL_FILE, CATALOGUE_FILE}


# --- the package ---


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


def test_a_catalogue_of_another_run_is_refused(saved):
    with np.load(saved / CATALOGUE_FILE) as archive:
        arrays = dict(archive.items())
    np.savez(saved / CATALOGUE_FILE, **(arrays | {"user_ids": arrays["user_ids"][:-1]}))
    with pytest.raises(DataError, match="different runs"):
        load_model(saved)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("user_ids", np.array([3, 100, 20, 1000])),
        ("user_ids", np.array([3, 3, 20, 1000])),
        ("user_ids", np.array([3.0, 20, 100, 1000])),
        ("item_ids", np.arange(5).reshape(5, 1)),
        ("titles", TITLES[:4]),
        ("titles", np.arange(5)),
        ("seen_starts", np.array([0, 2, 1, 6, 11])),
        ("seen_starts", np.array([0, 2, 3, 6, 12])),
        ("seen_starts", np.array([-1, 2, 3, 6, 11])),
        ("seen_starts", np.array([0, 2, 3, 6])),
        ("seen_starts", np.array([0.0, 2, 3, 6, 11])),
        ("seen_items", np.full(11, 5)),
        ("seen_items", np.array(3)),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value.tolist()),
)
def test_a_catalogue_that_contradicts_itself_is_refused(saved, name, array):
    with np.load(saved / CATALOGUE_FILE) as archive:
        arrays = dict(archive.items())
    np.savez(saved / CATALOGUE_FILE, **arrays)
    load_model(saved)
    np.savez(saved / CATALOGUE_FILE, **(arrays | {name: array}))
    with pytest.raises(DataError, match="holds no complete model"):
        load_model(saved)


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_a_model_with_a_number_that_is_not_finite_is_refused(tmp_path, number):
    vector = some_vector()
    vector[5] = number
    save_model(tmp_path, options(), vector, some_ratings())
    with pytest.raises(DataError, match="user_factors is not made of finite"):
        load_model(tmp_path)


@pytest.mark.parametrize("scale", [(np.nan, 5.0), (0.5, np.inf), (5.0, 0.5)])
def test_a_scale_that_is_none_is_refused(tmp_path, scale):
    ratings = some_ratings()
    ratings.rating_min, ratings.rating_max = (float(end) for end in scale)
    save_model(tmp_path, options(), some_vector(), ratings)
    with pytest.raises(DataError, match="the scale is"):
        load_model(tmp_path)


def test_users_and_items_are_pairs(saved):
    model = load_model(saved)
    with pytest.raises(ValueError, match="1 users but 2 items"):
        model.predict(model.user_ids[:1].tolist(), model.item_ids[:2].tolist())
    with pytest.raises(ValueError, match="n=-1"):
        model.top_items(model.user_ids[0].item(), n=-1)
