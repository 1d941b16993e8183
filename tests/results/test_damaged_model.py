"""A damaged, foreign or planted model is refused."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from some_model import INT_IDS, TITLES, options, some_ratings, some_vector

from ddp.errors import DataError
from ddp.results.saved_model import CATALOGUE_FILE, MODEL_FILE, load_model, save_model


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
