"""A model that holds samples: means, deviations, intervals, and damage, against numpy."""

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from some_model import INT_IDS, ITEM_IDS, expected, options, some_ratings, some_vector

from ddp.config.model import Model
from ddp.errors import DataError
from ddp.model.parameters import Parameters
from ddp.model.samples import Noise, side_by_side
from ddp.results.kept import Kept
from ddp.results.measuring import coverage
from ddp.results.saved_model import MODEL_FILE, load_model, save_model

PRECISIONS = (0.5, 2.0, 4.0)
NOISE = Noise(
    PRECISIONS, np.array([1, 2, 0.5, 1], np.float32), np.array([1, 3, 1, 0.25, 1], np.float32)
)


@pytest.fixture(scope="module")
def vectors():
    """Three samples; all have one mean, and some of their predictions lie outside of the scale."""
    rng = np.random.default_rng(5)
    made = [some_vector(scale=0.5) + rng.normal(0, 0.4, 37).astype(np.float32) for _ in PRECISIONS]
    for vector in made:
        vector[-1] = 3
    return made


@pytest.fixture
def joined(vectors):
    return side_by_side([Parameters(4, 5, 3, vector=vector) for vector in vectors])


@pytest.fixture
def directory(joined, tmp_path):
    save_model(tmp_path, wide(joined), joined.vector, some_ratings(), NOISE)
    return tmp_path


def wide(joined):
    return Model(name="made", dim=joined.dim, biases=False, init_std=0.1)


def test_samples_lie_side_by_side_and_their_product_is_the_mean(joined, vectors):
    assert (joined.dim, joined.biases) == (3 * (3 + 2), False)
    views = joined.views
    product = views["user_factors"] @ views["item_factors"].T + views["global_mean"]
    unclipped = [expected(vector) for vector in vectors]
    inside = np.all([(each > 0.5) & (each < 5) for each in unclipped], axis=0)
    assert 5 < inside.sum() < inside.size
    mean = np.mean(unclipped, axis=0)
    np.testing.assert_allclose(product[inside], mean[inside], rtol=1e-5)


def test_prediction_and_deviation_are_those_of_the_clipped_samples(directory, vectors):
    model = load_model(directory)
    each = np.array([expected(vector) for vector in vectors])
    for place, user in enumerate(INT_IDS.tolist()):
        predictions, deviations = model.predict(user, ITEM_IDS, std=True)
        np.testing.assert_allclose(predictions, each.mean(axis=0)[place], rtol=1e-5)
        np.testing.assert_allclose(deviations, each.std(axis=0)[place], rtol=1e-4, atol=1e-5)
        assert np.array_equal(model.predict(user, ITEM_IDS), predictions)
        _, of_rating = model.predict(user, ITEM_IDS, std="rating")
        noise = np.mean([2, 0.5, 0.25]) * NOISE.users[place] * NOISE.items
        wanted = np.sqrt(each.var(axis=0)[place] + noise)
        np.testing.assert_allclose(of_rating, wanted, rtol=1e-5)
    one = model.predict(3, 7, std="prediction")
    assert all(isinstance(number, float) for number in one)
    with pytest.raises(ValueError, match="std='sample': must be True, False"):
        model.predict(3, 7, std="sample")


def test_an_unknown_id_has_no_deviation(directory):
    model = load_model(directory)
    predictions, deviations = model.predict([3, 5000, 3, 5000], [7, 7, 8, 8], std="rating")
    assert np.isfinite(predictions).all()
    assert np.isnan(deviations).tolist() == [False, True, True, True]


def test_the_top_items_by_a_lower_bound(directory):
    model, user = load_model(directory), 20
    unseen = [item for item in ITEM_IDS.tolist() if item != 7]
    predictions, deviations = model.predict(user, unseen, std=True)
    by_bound = np.argsort(-(predictions - 2 * deviations), kind="stable")
    assert by_bound.tolist() != np.argsort(-predictions, kind="stable").tolist()
    top = model.top_items(user, minus_std=2)
    assert [item for item, _, _ in top] == [unseen[place] for place in by_bound]
    assert [rating for _, _, rating in top] == predictions[by_bound].tolist()
    assert len(model.top_items("nobody", minus_std=2)) == len(ITEM_IDS)


@pytest.fixture
def saved_plain(tmp_path):
    """A model without samples."""
    (tmp_path / "plain").mkdir()
    save_model(tmp_path / "plain", options(), some_vector(), some_ratings())
    return tmp_path / "plain"


def test_a_model_without_samples_has_no_deviation(saved_plain):
    model = load_model(saved_plain)
    for refused in (
        lambda: model.predict(3, 7, std=True),
        lambda: model.top_items(3, minus_std=1.0),
    ):
        with pytest.raises(ValueError, match=r"holds no samples.*trainer=gibbs"):
            refused()


def test_the_command_has_a_column_with_the_deviation(predict, directory, saved_plain, tmp_path):
    model = load_model(directory)
    (header, *rows), _ = predict(directory, "--user", "3", "--std")
    assert header == ["item", "title", "prediction", "std"]
    _, wanted = model.predict(3, [int(row[0]) for row in rows], std=True)
    assert [np.float32(row[-1]) for row in rows] == wanted.tolist()
    (tmp_path / "pairs.csv").write_text("3,7\n5000,7\n20,3000\n")
    (header, *rows), _ = predict(directory, "--pairs", "pairs.csv", "--std", "rating")
    assert header == ["user", "item", "prediction", "std"]
    _, wanted = model.predict([3, 20], [7, 3000], std="rating")
    assert rows[1][-1] == ""
    assert [np.float32(row[-1]) for row in rows[::2]] == wanted.tolist()
    _, said = predict(saved_plain, "--user", "3", "--std", code=2)
    assert said.startswith(f"error: {saved_plain}: --std: this model holds no samples")


@pytest.mark.parametrize(
    ("precisions", "also"),
    [
        ([], {}),
        ([1.0, 2.0], {}),  # 15 columns are no two samples
        ([1.0, 2.0, 0.0], {}),
        ([1.0, 2.0, float("nan")], {}),
        ([1.0, 2.0, "x"], {}),
        (7, {}),
        (PRECISIONS, {"user_noise": np.ones(3, np.float32)}),
        (PRECISIONS, {"item_noise": np.zeros(5, np.float32)}),
        (PRECISIONS, {"item_noise": np.ones(5)}),
        (PRECISIONS, {"user_noise": None}),
    ],
)
def test_damaged_samples_are_refused(directory, precisions, also):
    path = directory / MODEL_FILE
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata() | {"precisions": json.dumps(precisions)}
        tensors = {name: file.get_tensor(name) for name in file.keys()} | also  # noqa: SIM118
    kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    save_file(kept, path, metadata)
    with pytest.raises(DataError, match="holds no complete model"):
        load_model(directory)


def test_the_share_of_ratings_in_each_interval(joined, directory):
    ratings, model = some_ratings(), load_model(directory)
    rows = np.arange(len(ratings))
    means, deviations = model.predict(INT_IDS[ratings.users], ITEM_IDS[ratings.items], std="rating")
    distances = np.abs(ratings.ratings - means) / deviations
    found = coverage(Kept(wide(joined), joined, NOISE), ratings, rows)
    wanted = {0.5: 0.67449, 0.8: 1.28155, 0.95: 1.95996}
    assert found == {share: np.mean(distances <= most) for share, most in wanted.items()}
    assert 0 < found[0.5] < 1
    assert coverage(Kept(wide(joined), joined), ratings, rows) == {}
    assert coverage(Kept(wide(joined), joined, NOISE), ratings, rows[:0]) == {}
