"""The average equals numpy's; inputs that have no average are refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddp.aggregation import mean as mean_module
from ddp.aggregation.mean import mean_by_row, weighted_mean
from ddp.aggregation.weights import WEIGHTINGS, row_weights, worker_weights
from ddp.config.options import OPTIONS
from ddp.errors import AggregationError
from ddp.model.parameters import Parameters

# the loops take 32, 8 and 1 at a time
LENGTHS = (1, 7, 8, 13, 31, 32, 33, 40, 47, 64, 1000, 100_003)


def aggregation(name, **values):
    """The options of an aggregation without an outer step."""
    return OPTIONS["aggregation"][name](
        name=name,
        outer="none",
        outer_lr=1.0,
        outer_beta1=0.0,
        outer_beta2=0.0,
        outer_tau=1.0,
        **values,
    )


def random_vectors(count, length, seed=0):
    return list(np.random.default_rng(seed).normal(size=(count, length)).astype(np.float32))


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_weighted_mean_equals_numpy(count, length):
    vectors = random_vectors(count, length)
    weights = np.random.default_rng(1).uniform(0.1, 3, count)
    expected = np.average(np.asarray(vectors, np.float64), axis=0, weights=weights)
    mean = weighted_mean(vectors, weights)
    assert mean.dtype == np.float32
    np.testing.assert_allclose(mean, expected, rtol=1e-6, atol=1e-7)


@given(st.integers(1, 6), st.integers(1, 100), st.integers(0, 1000))
def test_float64_sums_in_worker_order_bit_for_bit(count, length, seed):
    vectors = random_vectors(count, length, seed)
    vectors[0][seed % length] = -0.0
    weights = np.random.default_rng(seed).uniform(0.01, 10, count)
    shares = weights / weights.sum()
    total = vectors[0].astype(np.float64) * shares[0]
    for vector, share in zip(vectors[1:], shares[1:], strict=True):
        total += vector.astype(np.float64) * share
    assert weighted_mean(vectors, weights).tobytes() == total.astype(np.float32).tobytes()


@given(st.integers(1, 6), st.integers(1, 50), st.integers(0, 1000))
def test_the_mean_lies_between_the_extremes(count, length, seed):
    vectors = random_vectors(count, length, seed)
    weights = np.random.default_rng(seed).uniform(0.01, 10, count)
    mean = weighted_mean(vectors, weights)
    assert np.all(mean <= np.max(vectors, axis=0) + 1e-6)
    assert np.all(mean >= np.min(vectors, axis=0) - 1e-6)


@pytest.mark.parametrize("cores", [2, 3])
def test_any_number_of_threads_gives_the_same_bits(monkeypatch, cores):
    vectors, weights = random_vectors(3, 1007), np.array([0.2, 1.0, 0.7])
    alone = weighted_mean(vectors, weights)
    ranges, real = [], mean_module.mean_of_range
    monkeypatch.setattr(mean_module, "THREAD_FLOATS", 300)
    monkeypatch.setattr(mean_module, "num_cores", lambda: cores)
    monkeypatch.setattr(mean_module, "mean_of_range", lambda *a: ranges.append(a[3:]) or real(*a))
    out = np.zeros_like(alone)
    assert weighted_mean(vectors, weights, out) is out
    assert len(ranges) == cores
    assert out.tobytes() == alone.tobytes()
    vectors[2][-1] = np.nan  # in the last thread's range
    with pytest.raises(AggregationError, match="worker 2"):
        weighted_mean(vectors, weights, out)


def test_equal_vectors_average_to_themselves_bit_for_bit():
    vector = random_vectors(1, 1000)[0]
    np.testing.assert_array_equal(
        weighted_mean([vector, vector, vector, vector], np.ones(4)), vector
    )


def test_accumulates_in_float64():
    big, small = np.float32([1e8]), np.float32([1.0])
    # In float32 1e8 + 1 - 1e8 is 0.
    assert weighted_mean([big, small, -big], np.ones(3))[0] == np.float32(1 / 3)


def test_adds_one_worker_after_another():
    """The order is fixed, so that every backend gives the same bits: 1 is lost beside 1e30."""
    one, big = np.float32([1.0]), np.float32([1e30])
    assert weighted_mean([big, -big, one], np.ones(3))[0] == np.float32(1 / 3)
    assert weighted_mean([one, big, -big], np.ones(3))[0] == 0


def test_does_not_change_its_arguments():
    vectors, weights = random_vectors(3, 10), np.array([1.0, 2.0, 3.0])
    before = [vector.copy() for vector in vectors]
    mean = weighted_mean(vectors, weights)
    mean[:] = 0
    np.testing.assert_array_equal(vectors, before)
    np.testing.assert_array_equal(weights, [1, 2, 3])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("position", [0, 31, 35, 44])
def test_a_state_that_is_not_finite_is_refused_by_worker(bad, position):
    vectors = random_vectors(3, 45)
    vectors[1][position] = bad
    with pytest.raises(AggregationError, match=r"worker 1 .*NaN or infinity"):
        weighted_mean(vectors, np.ones(3))


def test_opposite_infinities_do_not_hide():
    vectors = random_vectors(2, 4)
    vectors[0][0], vectors[1][0] = np.inf, -np.inf
    with pytest.raises(AggregationError, match="worker 0"):
        weighted_mean(vectors, np.ones(2))


def test_unequal_shapes_are_refused():
    with pytest.raises(AggregationError, match=r"\(3,\).*\(4,\)"):
        weighted_mean([np.zeros(3, np.float32), np.zeros(4, np.float32)], np.ones(2))
    with pytest.raises(AggregationError, match="1 weights"):
        weighted_mean([np.zeros(3, np.float32), np.zeros(3, np.float32)], np.ones(1))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (aggregation("uniform"), [1, 1, 1]),
        (aggregation("samples"), [10, 20, 70]),
        (aggregation("inverse_loss"), [2, 1, 4]),
        (aggregation("softmax_loss", temperature=0.5), np.exp([-1, -2, -0.5])),
    ],
)
def test_weights(options, expected):
    weights = worker_weights(options, num_ratings=[10, 20, 70], losses=[0.5, 1.0, 0.25])
    np.testing.assert_allclose(weights, np.asarray(expected) / np.sum(expected))
    assert weights.sum() == pytest.approx(1)


def test_every_aggregation_of_the_config_is_here():
    assert {*WEIGHTINGS, "rows", "ensemble", "none"} == set(OPTIONS["aggregation"])


@pytest.mark.parametrize("loss", [0.0, np.nan, np.inf, -1.0])
def test_a_loss_that_makes_no_weight_is_refused_by_worker(loss):
    with pytest.raises(AggregationError, match=r"worker 2 has weight .*inverse_loss"):
        worker_weights(aggregation("inverse_loss"), [1, 1, 1], [0.5, 0.5, loss])


def test_no_ratings_make_no_weight():
    with pytest.raises(AggregationError, match="worker 0 has weight 0"):
        worker_weights(aggregation("samples"), [0, 3], [0.5, 0.5])


def test_softmax_of_large_losses_does_not_overflow():
    options = aggregation("softmax_loss", temperature=0.1)
    np.testing.assert_allclose(worker_weights(options, [1, 1], [1e6, 1e6]), [0.5, 0.5])


# --- row by row ---


def test_row_weights_by_hand():
    counts = [np.array([3, 0, 0, 4]), np.array([1, 2, 0, 0])]
    assert row_weights(counts, 1.0).tolist() == [[0.75, 0.25], [0, 1], [0, 0], [1, 0]]
    assert row_weights(counts, 0.0).tolist() == [[0.5, 0.5], [0, 1], [0, 0], [1, 0]]
    root = 3**0.5
    assert row_weights(counts, 0.5)[0].tolist() == pytest.approx(
        [root / (root + 1), 1 / (root + 1)]
    )


def test_a_mean_by_row_by_hand():
    """Two users, two items; nobody has rated item 1."""
    users, items = (
        row_weights([np.array([3, 0]), np.array([1, 2])], 1),
        row_weights([np.array([1, 0]), np.array([1, 0])], 1),
    )
    before, out = Parameters(2, 2, 1), np.zeros(9, np.float32)
    before.vector[:] = 50
    first, second = np.full(9, 4, np.float32), np.full(9, 8, np.float32)
    mean_by_row([first, second], users, items, before, out)
    mean = Parameters(2, 2, 1, vector=out).views
    assert {name: view.ravel().tolist() for name, view in mean.items()} == {
        "user_factors": [5, 8],
        "item_factors": [6, 50],
        "user_bias": [5, 8],
        "item_bias": [6, 50],
        "global_mean": [50],
    }


@given(
    workers=st.integers(1, 5),
    sizes=st.tuples(st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 3, 8, 33, 40])),
    power=st.sampled_from([0.0, 0.5, 1.0]),
    biases=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_every_row_is_numpys_average_of_it_and_an_unrated_one_keeps_its_bits(
    workers, sizes, power, biases, seed
):
    random = np.random.default_rng(seed)
    num_users, num_items, dim = sizes
    before = Parameters(num_users, num_items, dim, biases=biases)
    before.vector[:] = random.normal(size=len(before.vector))
    vectors = [random.normal(size=len(before.vector)).astype(np.float32) for _ in range(workers)]
    counts = {
        "user": random.integers(0, 3, (workers, num_users)),
        "item": random.integers(0, 3, (workers, num_items)),
    }
    out = np.empty_like(before.vector)
    mean_by_row(
        vectors, row_weights(counts["user"], power), row_weights(counts["item"], power), before, out
    )
    mean = Parameters(num_users, num_items, dim, biases=biases, vector=out).views
    states = [
        Parameters(num_users, num_items, dim, biases=biases, vector=vector).views
        for vector in vectors
    ]
    for name, view in mean.items():
        for row in range(len(view)):
            rated = counts[name[:4]][:, row] if name != "global_mean" else np.zeros(workers)
            if not rated.any():
                assert view[row].tobytes() == before.views[name][row].tobytes()
                continue
            weights = np.where(rated > 0, rated.astype(float) ** power, 0)
            expected = np.average(
                [state[name][row].astype(np.float64) for state in states], axis=0, weights=weights
            )
            np.testing.assert_allclose(view[row], expected, rtol=1e-6, atol=1e-7)


def test_a_mean_by_row_names_the_worker_that_is_not_finite():
    before, vectors = Parameters(2, 2, 1), [np.ones(9, np.float32) for _ in range(3)]
    vectors[1][0] = np.nan
    weights = row_weights([np.ones(2, int)] * 3, 1)
    with pytest.raises(AggregationError, match="worker 1 published a state with NaN"):
        mean_by_row(vectors, weights, weights, before, np.empty(9, np.float32))
