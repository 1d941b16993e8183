"""From ratings to jobs: the content of each job, and the parts that all of them share."""

import numpy as np
import pytest
from jobs import prepare

from ddp.config.seeding import stream
from ddp.trainers.visits import arrange


@pytest.mark.parametrize("workers", [1, 3])
def test_a_workers_ratings_are_its_rows_in_the_order_that_the_trainer_wants(make_config, workers):
    config = make_config("trainer=fused", "split=user", f"workers={workers}")
    prepared = prepare(config)
    ratings = prepared.ratings
    for job in prepared.make_jobs():
        rows = prepared.deal.rows("train", job.worker)
        order = arrange(
            ratings.users[rows],
            ratings.items[rows],
            ratings.num_users,
            ratings.num_items,
            config.model.dim,
            stream(config.seed, "layout", job.worker),
        )
        for column in ("users", "items", "ratings"):
            expected = getattr(ratings, column)[rows][order]
            assert getattr(job.shard.train, column).tolist() == expected.tolist()


def test_workers_that_train_on_copies_share_one(make_config):
    first, second, third = prepare(make_config("split=copies", "workers=3")).make_jobs()
    assert first.shard is second.shard is third.shard
    assert first.vector is second.vector is third.vector


def test_jobs_made_twice_are_equal_and_share_no_ratings(make_config):
    prepared = prepare(make_config("trainer=fused"))
    for one, two in zip(prepared.make_jobs(), prepared.make_jobs(), strict=True):
        assert one.shard.train.users.tolist() == two.shard.train.users.tolist()
        assert not np.shares_memory(one.shard.train.users, two.shard.train.users)


@pytest.mark.parametrize("trainer", ["fused", "autograd"])
@pytest.mark.parametrize(
    "job",
    [
        ("split=copies", "aggregation=uniform"),
        ("split=copies", "aggregation=ensemble"),
        ("split=stratified",),
    ],
)
def test_workers_have_a_trainer_state_where_it_has_a_length(make_config, trainer, job):
    prepared = prepare(make_config(*job, f"trainer={trainer}"))
    lengths = [job.state_length for job in prepared.make_jobs()]
    assert prepared.has_trainer_state == (max(lengths) > 0)
    assert prepared.num_ratings == {
        job.worker: len(job.shard.train) for job in prepared.make_jobs()
    }
