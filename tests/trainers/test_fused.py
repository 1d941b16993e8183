"""The compiled trainer: its steps, its order of visits, and its kernels with any state of the
cache.
"""

import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jobs import make_trainer

from ddp.config.seeding import stream
from ddp.config.trainer import AutogradTrainer, FusedTrainer
from ddp.model.parameters import Parameters
from ddp.ratings.arrays import Part
from ddp.tracking.metrics import squared_error
from ddp.trainers.autograd import Autograd
from ddp.trainers.fused import Fused
from ddp.trainers.kernel_arguments import seeds
from ddp.trainers.sgd import draw, shuffle
from ddp.trainers.visits import CELL_RATINGS, CHUNK, arrange, cell_of, chunks_of, grid_size, joined

REPOSITORY = Path(__file__).parent.parent.parent
DIMS = (1, 3, 8, 19, 32, 43, 64, 100)  # on both sides of the kernel's steps of 32, 8 and 1


def options(**changes):
    values = {"name": "fused", "lr": 0.05, "lr_decay": 1.0, "reg_factors": 0.03, "reg_biases": 0.01}
    return FusedTrainer(**(values | changes))


def random_part(num_users=5, num_items=4, count=30, seed=0):
    rng = np.random.default_rng(seed)
    return Part(
        users=rng.integers(0, num_users, count).astype(np.int32),
        items=rng.integers(0, num_items, count).astype(np.int32),
        ratings=rng.uniform(1, 5, count).astype(np.float32),
    )


def start(num_users=5, num_items=4, dim=3, *, biases=True):
    parameters = Parameters(num_users, num_items, dim, biases=biases)
    parameters.vector[:] = np.random.default_rng(0).normal(0, 0.3, len(parameters.vector))
    return parameters


def visited(trainer, order):
    """The rows in the order in which the next epoch under `order` will visit them."""
    return rows_of(*trainer.draw(0, order))


def rows_of(starts, stops):
    return np.concatenate(
        [np.arange(0), *(np.arange(a, b) for a, b in zip(starts, stops, strict=True))]
    )


def shuffled(chunks, seed, block=0):
    starts, stops = np.empty_like(chunks.starts), np.empty_like(chunks.stops)
    count = shuffle(chunks, block, seeds(np.random.default_rng(seed), 1)[0], starts, stops)
    return starts[:count], stops[:count]


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
    """torch's gradient of the squared error is twice the error, and its L2 reaches rows that no
    rating touches: lr / 2, no L2.
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


# --- the order of visits ---


@settings(deadline=None, max_examples=60)
@given(
    num_users=st.integers(1, 400),
    num_items=st.integers(1, 300),
    count=st.integers(1, 5000),
    dim=st.sampled_from((8, 4096)),
    seed=st.integers(0, 10),
)
def test_an_epoch_visits_every_rating_once(num_users, num_items, count, dim, seed):
    part = random_part(num_users, num_items, count, seed)
    order = arrange(part.users, part.items, num_users, num_items, dim, np.random.default_rng(seed))
    assert np.array_equal(np.sort(order), np.arange(count))
    chunks = chunks_of(part.users[order], part.items[order], num_users, num_items, dim)
    starts, stops = shuffled(chunks, seed)
    assert (starts < stops).all()
    assert np.array_equal(np.sort(rows_of(starts, stops)), np.arange(count))
    unordered = chunks_of(part.users, part.items, num_users, num_items, dim)
    assert np.array_equal(np.sort(rows_of(*shuffled(unordered, seed))), np.arange(count))


@pytest.mark.parametrize(("num_users", "num_items"), [(2000, 1000), (1000, 2000)])
def test_a_large_model_is_visited_cell_by_cell(num_users, num_items):
    """A cell of 64 x 4096 floats a row would not fit into any cache."""
    part = random_part(num_users, num_items, 64 * CELL_RATINGS, seed=3)
    grid = grid_size(num_users, num_items, 4096, len(part))
    assert grid == 8
    order = arrange(part.users, part.items, num_users, num_items, 4096, np.random.default_rng(0))
    users, items = part.users[order], part.items[order]
    chunks = chunks_of(users, items, num_users, num_items, 4096)
    cell = cell_of(users, items, num_users, num_items, grid)
    sequences = []
    for seed in (1, 2):
        starts, stops = shuffled(chunks, seed)
        seen = cell[rows_of(starts, stops)]
        # each cell once, as a whole
        runs = seen[np.append(True, np.diff(seen) != 0)].reshape(grid, grid)
        assert sorted(runs[:, 0] // grid) == list(range(grid))
        # a range of the more numerous kind is left when it is done
        assert (runs // grid == runs[:, :1] // grid).all()
        # each time the others come in another order
        assert len({tuple(row % grid) for row in runs}) == grid
        assert (stops - starts).max() <= CHUNK
        sequences.append(runs)
    # neither do the ranges
    assert not np.array_equal(sequences[0][:, 0] // grid, sequences[1][:, 0] // grid)
    more, fewer = (users, items) if num_users > num_items else (items, users)
    for start_, stop in zip(starts[:20], stops[:20], strict=True):
        assert np.ptp(more[start_:stop]) < 2000 // grid + 1
        assert np.ptp(fewer[start_:stop]) < 1000 // grid + 1


def test_few_ratings_are_still_shuffled():
    part = random_part(50, 40, 600)
    trainer = Fused(options(), start(50, 40), part)
    order = stream(0, "order", 0, 0)
    first, second = visited(trainer, order), visited(trainer, order)
    assert not np.array_equal(first, second)
    assert np.array_equal(first, visited(trainer, stream(0, "order", 0, 0)))
    assert len(trainer.chunks.starts) >= 30


def test_the_chunks_of_several_blocks_are_each_shuffled_among_themselves():
    parts = [random_part(50, 40, count, seed=count) for count in (300, 0, 700)]
    chunks = joined([chunks_of(part.users, part.items, 50, 40, 8) for part in parts], [0, 300, 300])
    for block, rows in enumerate((np.arange(300), np.arange(0), np.arange(300, 1000))):
        found = rows_of(*shuffled(chunks, 3, block))
        assert np.array_equal(np.sort(found), rows)
        assert len(rows) == 0 or not np.array_equal(found, rows)


def test_every_order_is_as_likely():
    """Four chunks: 24 orders, by chi squared at 0.1 %."""
    part = random_part(5, 4, 64)
    chunks = chunks_of(part.users, part.items, 5, 4, 8)
    assert len(chunks.starts) == 4
    seen = Counter(tuple(shuffled(chunks, seed)[0]) for seed in range(4800))
    assert len(seen) == 24
    assert sum((count - 200) ** 2 / 200 for count in seen.values()) < 49.7


def test_the_generator_is_splitmix64():
    """The first numbers from seed 1234567, as in the reference implementation (Vigna,
    splitmix64.c): their upper halves.
    """
    state, upper = np.uint64(1234567), []
    for _ in range(3):
        number, state = draw(state, 1 << 32)
        upper.append(number)
    assert upper == [
        6457827717110365317 >> 32,
        3203168211198807973 >> 32,
        9817491932198370423 >> 32,
    ]


def test_the_layout_is_random_inside_a_cell():
    part = random_part(50, 40, 600)
    orders = [
        arrange(part.users, part.items, 50, 40, 8, np.random.default_rng(seed)) for seed in (0, 1)
    ]
    assert not np.array_equal(*orders)


# --- compiling ---

# The kernels that all others call: to compile these takes a third of the time.
LOAD = """
from ddp.trainers.sgd import sgd, squared_error
hits = [sum(kernel.stats.cache_hits.values()) for kernel in (sgd, squared_error)]
misses = [sum(kernel.stats.cache_misses.values()) for kernel in (sgd, squared_error)]
import os
print(*hits, *misses, os.environ.get("NUMBA_CACHE_DIR", ""))
"""


def load_kernels(root, **environment):
    environment = (
        os.environ | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"} | environment
    )
    command = [sys.executable, "-c", LOAD]
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def copy_of_sources(directory):
    return shutil.copytree(
        REPOSITORY / "ddp", directory / "ddp", ignore=shutil.ignore_patterns("__pycache__")
    )


@pytest.fixture(scope="module")
def compiled_copy(tmp_path_factory):
    """A copy of the sources, its cache, and what was said when its kernels were compiled."""
    root = tmp_path_factory.mktemp("compiled")
    copy_of_sources(root)
    cache = str(root / "cache")
    return root, cache, load_kernels(root, NUMBA_CACHE_DIR=cache)


def test_kernels_are_compiled_once_and_then_read_from_disk(compiled_copy):
    root, cache, first = compiled_copy
    assert first == ["0", "0", "1", "1", cache]
    assert load_kernels(root, NUMBA_CACHE_DIR=cache) == ["1", "1", "0", "0", cache]


def test_kernels_are_compiled_again_when_the_loops_they_call_have_changed(compiled_copy):
    root, cache, _ = compiled_copy
    loops = root / "ddp" / "machine" / "compiled" / "simd.py"
    before = loops.stat().st_mtime
    later = time.time() + 10  # a clock that has moved on; the kernels' own files stay as they are
    os.utime(loops, (later, later))
    assert load_kernels(root, NUMBA_CACHE_DIR=cache)[:4] == ["0", "0", "1", "1"]
    os.utime(loops, (before, before))
    assert load_kernels(root, NUMBA_CACHE_DIR=cache)[:4] == ["1", "1", "0", "0"]


def test_without_a_writable_cache_a_temporary_one_serves_and_goes(tmp_path):
    """Files stand in place of the directories: not even root can write there."""
    source = copy_of_sources(tmp_path)
    (source / "trainers" / "__pycache__").touch()
    nowhere = str(source / "trainers" / "__pycache__" / "deeper")
    *counts, used = load_kernels(
        tmp_path, NUMBA_CACHE_DIR=nowhere, HOME=nowhere, XDG_CACHE_HOME=nowhere
    )
    assert counts == ["0", "0", "1", "1"]
    assert Path(used).name.startswith("ddp-kernels-")
    assert not Path(used).exists()
