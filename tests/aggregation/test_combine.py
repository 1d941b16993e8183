"""The way from updates to the next state: means by row, and the outer optimizer's step."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from jobs import prepare

from ddp.aggregation.make import make_combine
from ddp.aggregation.outer import OuterOptimizer
from ddp.errors import AggregationError, ConfigError
from ddp.experiment import run
from ddp.model.torch_module import CollabFiltering
from ddp.results.saved_model import load_model

LENGTH = 50


def updates_of(vectors):
    return [
        SimpleNamespace(worker=w, round_index=0, vector=v, rmse=1.0, loss=1.0)
        for w, v in enumerate(vectors)
    ]


def deltas(rounds=6, seed=0):
    return list(np.random.default_rng(seed).normal(size=(rounds, LENGTH)).astype(np.float32))


def walked(options, rounds):
    """The states that the steps reach from 0."""
    optimizer = OuterOptimizer(options, LENGTH)
    state = np.zeros(LENGTH, np.float32)
    for delta in rounds:
        state += optimizer.step(delta.copy())
    return state


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_is_torchs(make_config, nesterov):
    """torch.optim.SGD goes against a gradient; the change is a step along its negative."""
    name = "nesterov" if nesterov else "momentum"
    options = make_config(
        f"aggregation.outer={name}", "aggregation.outer_lr=0.7", "aggregation.outer_beta1=0.9"
    ).aggregation
    parameter = torch.nn.Parameter(torch.zeros(LENGTH))
    optimizer = torch.optim.SGD([parameter], lr=0.7, momentum=0.9, nesterov=nesterov)
    for delta in deltas():
        parameter.grad = -torch.from_numpy(delta)
        optimizer.step()
    np.testing.assert_allclose(
        walked(options, deltas()), parameter.detach().numpy(), rtol=1e-5, atol=1e-6
    )


def test_adam_is_fedadams(make_config):
    options = make_config(
        *("aggregation.outer=adam", "aggregation.outer_lr=0.1", "aggregation.outer_beta1=0.9"),
        *("aggregation.outer_beta2=0.95", "aggregation.outer_tau=0.01"),
    ).aggregation
    state, m, v = np.zeros(LENGTH), np.zeros(LENGTH), np.full(LENGTH, 0.01**2)
    for delta in deltas():
        m = 0.9 * m + 0.1 * delta
        v = 0.95 * v + 0.05 * delta.astype(np.float64) ** 2
        state += 0.1 * m / (np.sqrt(v) + 0.01)
    np.testing.assert_allclose(walked(options, deltas()), state, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("aggregation", ["uniform", "rows"])
def test_a_step_of_one_without_momentum_is_the_mean(make_config, aggregation):
    options = (f"aggregation={aggregation}", "workers=3")
    prepared = prepare(make_config(*options))
    plain = make_combine(prepared)
    stepped = make_combine(
        prepare(make_config(*options, "aggregation.outer=momentum", "aggregation.outer_beta1=0"))
    )
    for seed in range(3):
        random = np.random.default_rng(seed)
        before = prepared.vector
        vectors = [random.normal(size=len(before)).astype(np.float32) for _ in range(3)]
        means = [np.empty_like(vectors[0]) for _ in range(2)]
        assert plain(updates_of(vectors), before, means[0]) == stepped(
            updates_of(vectors), before, means[1]
        )
        np.testing.assert_allclose(means[1], means[0], rtol=1e-5, atol=1e-5)


def test_momentum_goes_on_along_the_change_before(make_config):
    prepared = prepare(
        make_config(
            "aggregation=uniform", "aggregation.outer=momentum", "aggregation.outer_beta1=0.5"
        )
    )
    combine, start = make_combine(prepared), prepared.vector.copy()
    first, second = np.empty_like(start), np.empty_like(start)
    combine(updates_of([start + 1] * 3), start, first)
    np.testing.assert_allclose(first, start + 1, rtol=1e-5)
    combine(updates_of([first.copy()] * 3), first, second)  # nobody has moved
    np.testing.assert_allclose(second, start + 1.5, rtol=1e-5)


def test_by_row_a_row_is_the_mean_of_its_raters_and_an_unrated_one_stays(
    make_config,
):
    prepared = prepare(
        make_config("split=user", "aggregation=rows", "workers=3", "data.num_items=300")
    )
    jobs = prepared.make_jobs()
    combine, before = make_combine(prepared), prepared.vector
    owner = np.empty(jobs[0].num_users, int)
    for job in jobs:
        owner[job.shard.train.users] = job.worker
    rated = np.unique(np.concatenate([job.shard.train.items for job in jobs]))
    unrated = np.setdiff1d(np.arange(jobs[0].num_items), rated)
    assert len(unrated)
    for shift in (1.0, 2.0):
        out = np.empty_like(before)
        weights = combine(
            updates_of([np.full_like(out, shift + 10 * job.worker) for job in jobs]), before, out
        )
        state = jobs[0].parameters(out)
        users = np.unique(np.concatenate([job.shard.train.users for job in jobs]))
        assert state.views["user_bias"][users].tolist() == (shift + 10 * owner[users]).tolist()
        assert (
            state.views["item_factors"][unrated].tobytes()
            == jobs[0].make_parameters().views["item_factors"][unrated].tobytes()
        )
        assert sum(weights) == pytest.approx(1)
        before = out


def test_by_row_the_workers_that_are_there_share_what_a_missing_one_counted(make_config):
    prepared = prepare(make_config("split=iid", "aggregation=rows", "workers=3"))
    jobs = prepared.make_jobs()
    before, out = jobs[0].vector, np.empty_like(jobs[0].vector)
    there = [job for job in jobs if job.worker != 1]
    updates = [updates_of([np.full_like(out, 7.0)] * 3)[job.worker] for job in there]
    weights = make_combine(prepared)(updates, before, out)
    rated = np.unique(np.concatenate([job.shard.train.items for job in there]))
    state = jobs[0].parameters(out)
    np.testing.assert_allclose(state.views["item_factors"][rated], 7.0, rtol=1e-6)
    assert len(weights) == 2
    assert sum(weights) == pytest.approx(1)


# --- an ensemble ---

ENSEMBLE = ("split=copies", "aggregation=ensemble", "workers=3", "backend=serial")


@pytest.mark.parametrize("biases", [True, False])
def test_an_ensemble_predicts_the_mean_of_its_members_predictions(make_config, biases):
    prepared = prepare(make_config(*ENSEMBLE, f"model.biases={biases}"))
    jobs = prepared.make_jobs()
    vectors = [
        np.random.default_rng(worker).normal(size=len(jobs[0].vector)).astype(np.float32)
        for worker in range(3)
    ]
    out = np.full(len(jobs[0].make_aggregate().vector), np.nan, np.float32)
    before = jobs[0].make_aggregate().vector
    assert make_combine(prepared)(updates_of(vectors), before, out) == pytest.approx([1 / 3] * 3)
    users, items = (
        torch.from_numpy(column) for column in (jobs[0].shard.test.users, jobs[0].shard.test.items)
    )
    with torch.no_grad():
        members = [
            CollabFiltering.over(jobs[0].parameters(vector))(users, items).numpy()
            for vector in vectors
        ]
        mean = CollabFiltering.over(jobs[0].make_aggregate(out))(users, items).numpy()
    np.testing.assert_allclose(mean, np.mean(members, axis=0), rtol=1e-4, atol=1e-5)


def test_members_of_an_ensemble_never_hear_of_each_other(make_config, drive, train_alone):
    config = make_config(*ENSEMBLE, "trainer=fused", "select_on=last", "rounds=3")
    prepared = prepare(config)
    jobs = prepared.make_jobs()
    assert len({job.vector.tobytes() for job in jobs}) == 3
    members = [train_alone(job, 3) for job in jobs]
    out = np.empty(len(jobs[0].make_aggregate().vector), np.float32)
    make_combine(prepared)(updates_of(members), jobs[0].vector, out)
    assert drive(config).vectors[-1].tobytes() == out.tobytes()


def test_an_ensemble_is_saved_as_one_model(make_config, tmp_path):
    result = run(make_config(*ENSEMBLE, "trainer=fused"), tmp_path / "run", [])
    prepared = prepare(result.config)
    ratings, rows = prepared.ratings, prepared.deal.rows("test")
    saved = load_model(tmp_path / "run")
    predicted = saved.predict(
        ratings.user_ids[ratings.users[rows]].tolist(),
        ratings.item_ids[ratings.items[rows]].tolist(),
    )
    assert np.sqrt(np.mean((predicted - ratings.ratings[rows]) ** 2)) == pytest.approx(
        result.test_rmse, abs=1e-6
    )


def test_a_member_that_diverged_is_named(make_config):
    prepared = prepare(make_config(*ENSEMBLE))
    jobs = prepared.make_jobs()
    vectors = [job.vector.copy() for job in jobs]
    vectors[1][7] = np.inf
    with pytest.raises(AggregationError, match="worker 1 published a state with NaN or infinity"):
        make_combine(prepared)(
            updates_of(vectors), jobs[0].vector, prepared.make_aggregate().vector
        )


def test_an_ensemble_has_no_outer_optimizer(make_config):
    with pytest.raises(
        ConfigError, match=r"aggregation\.outer=momentum: aggregation=ensemble averages no states"
    ):
        make_config(*ENSEMBLE, "aggregation.outer=momentum")
