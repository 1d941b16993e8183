"""The bytes that a rating takes on its way to the trainers and to the saved model.

A rating itself has 12: user, item and value.
"""

import tracemalloc

import pytest

from ddp.ratings.load import load_ratings
from ddp.ratings.shard_summary import shard_summary
from ddp.results.saved_model import save_model
from ddp.workers.prepare import prepare

# enough ratings that the model and Python's own objects count little
DATA = ("data.num_users=1000", "data.num_items=1000", "data.num_ratings=200000")


@pytest.fixture
def allocated():
    """Calls a function. Gives its result, the bytes that it keeps, and its peak."""

    def measure(call, *arguments):
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        result = call(*arguments)
        after, peak = tracemalloc.get_traced_memory()
        return result, after - before, peak - before

    tracemalloc.start()
    yield measure
    tracemalloc.stop()


@pytest.mark.parametrize("split", ["iid", "stratified"])
def test_no_stage_holds_more_of_the_ratings_than_it_needs(make_config, allocated, tmp_path, split):
    config = make_config(*DATA, f"split={split}", "trainer=fused", "workers=2")
    ratings = load_ratings(config.data, config.data_seed)
    num, num_held_out = len(ratings), 0.25 * len(ratings)
    # what the first call imports would count, too
    warm = prepare(config, ratings)
    warm.make_jobs()
    shard_summary(ratings, warm.deal)

    prepared, kept, peak = allocated(prepare, config, ratings)
    assert len(prepared.valid) + len(prepared.test) < num_held_out
    assert (
        kept < 3 * num + 12 * num_held_out
    )  # the owner of a rating, in 2 bytes; a copy of held-out ones
    assert peak < 26 * num
    _, _, peak = allocated(shard_summary, ratings, prepared.deal)
    assert peak < 18 * num
    jobs, kept, peak = allocated(prepared.make_jobs)
    assert len(jobs) == 2
    assert kept < 13 * num  # one copy
    assert peak < 26 * num
    _, kept, peak = allocated(save_model, tmp_path, config.model, prepared.vector, ratings)
    assert kept < 1 * num
    assert peak < 14 * num
