"""The order in which the compiled trainer visits ratings."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_parts import options, random_part, rows_of, shuffled, start, visited

from ddp.config.seeding import stream
from ddp.trainers.fused import Fused
from ddp.trainers.sgd import draw
from ddp.trainers.visits import CELL_RATINGS, CHUNK, arrange, cell_of, chunks_of, grid_size, joined


@settings(max_examples=60)
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
        # all cells of a range of the more numerous kind follow one another
        assert (runs // grid == runs[:, :1] // grid).all()
        # each time the others come in another order
        assert len({tuple(row % grid) for row in runs}) == grid
        assert (stops - starts).max() <= CHUNK
        sequences.append(runs)
    # with another seed the ranges come in another order
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
    """The first numbers from seed 1234567 are those of the reference: Vigna, splitmix64.c.

    Here are their upper halves.
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
