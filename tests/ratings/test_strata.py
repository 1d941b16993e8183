"""split=stratified: the schedule, the blocks of ratings, and the rows that an aggregate takes."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jobs import FUSED, STRATIFIED, prepare

from ddp.aggregation.make import make_combine
from ddp.errors import ConfigError
from ddp.model.parameters import Parameters
from ddp.model.rows import held_rows, in_data_order, item_rows, learned, pack, renumbered, unpack
from ddp.ratings.strata import Numbering, Strata


def strata_of(num_workers, seed=0):
    bounds = tuple(range(0, 2 * num_workers + 1, 2))
    return Strata(
        workers=tuple(range(num_workers)),
        user_bounds=bounds,
        item_bounds=bounds,
        local_epochs=2,
        seed=seed,
    )


# --- the schedule ---


def test_turns_count_on_from_epoch_to_epoch_and_from_round_to_round():
    strata = strata_of(3)  # with two local epochs
    epochs = [strata.turns(round_index, epoch) for round_index in range(2) for epoch in range(2)]
    assert epochs == [range(0, 3), range(3, 6), range(6, 9), range(9, 12)]
    assert strata.turns(1, 0, 2) == range(6, 12)
    assert [strata.first_turn(round_index) for round_index in range(3)] == [0, 6, 12]
    assert [strata.epoch_of(turn) for turn in (0, 5, 6, 11)] == [(0, 0), (0, 1), (1, 0), (1, 1)]


@given(num_workers=st.integers(1, 9), seed=st.integers(0, 99), epoch=st.integers(0, 5))
def test_in_an_epoch_every_worker_holds_every_group_once_and_no_two_hold_the_same(
    num_workers, seed, epoch
):
    strata = strata_of(num_workers, seed)
    turns = range(epoch * num_workers, (epoch + 1) * num_workers)
    held = np.array(
        [[strata.group(worker, turn) for turn in turns] for worker in range(num_workers)]
    )
    everyone = list(range(num_workers))
    assert [sorted(row) for row in held.tolist()] == [everyone] * num_workers
    assert [sorted(column) for column in held.T.tolist()] == [everyone] * num_workers
    assert all(
        strata.holder(strata.group(worker, turn), turn) == worker
        for worker in everyone
        for turn in turns
    )


def test_the_groups_go_round_in_another_order_each_epoch_and_with_another_seed():
    def order(seed, epoch):
        return tuple(strata_of(6, seed).group(0, turn) for turn in range(6 * epoch, 6 * epoch + 6))

    assert len({order(seed, epoch) for seed in range(3) for epoch in range(3)}) == 9
    assert order(1, 2) == order(1, 2)


# --- the blocks ---


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_blocks_are_the_ratings_of_each_part_and_those_of_a_turn_share_no_row(
    make_config, workers
):
    prepared = prepare(make_config(*STRATIFIED, *FUSED, f"workers={workers}"))
    ratings, numbering = prepared.ratings, prepared.numbering
    user_at, item_at = np.argsort(numbering.users), np.argsort(numbering.items)
    assert sorted(numbering.users) == list(range(ratings.num_users))
    assert sorted(numbering.items) == list(range(ratings.num_items))
    for part in ("train", "valid", "test"):
        found = []
        for job in prepared.make_jobs():
            for group, block in enumerate(job.shard.blocks):
                of = getattr(job.shard, part).between(getattr(block, part))
                assert (block.users, block.items) == (
                    job.strata.users(job.worker),
                    job.strata.items(group),
                )
                assert set(of.users) <= set(range(block.users.start, block.users.stop))
                assert set(of.items) <= set(range(block.items.start, block.items.stop))
                found += zip(user_at[of.users], item_at[of.items], of.ratings, strict=True)
        whole = prepared.deal.rows(part)
        assert sorted(found) == sorted(
            zip(ratings.users[whole], ratings.items[whole], ratings.ratings[whole], strict=True)
        )


def test_the_groups_are_balanced_by_ratings(make_config):
    prepared = prepare(make_config(*STRATIFIED, "data.num_ratings=1200", "workers=4"))
    sizes = np.array(
        [
            [block.train.stop - block.train.start for block in job.shard.blocks]
            for job in prepared.make_jobs()
        ]
    )
    total = sizes.sum()
    assert abs(sizes.sum(axis=0) - total / 4).max() < 0.02 * total
    assert abs(sizes.sum(axis=1) - total / 4).max() < 0.02 * total


def test_more_workers_than_items_are_refused(make_config):
    with pytest.raises(
        ConfigError,
        match=r"workers=50: split=stratified deals whole items, and there are training ratings of",
    ):
        prepare(make_config(*STRATIFIED, "workers=50", "data.num_users=200", "data.num_items=20"))


@given(order=st.permutations(range(5)), other=st.permutations(range(3)), biases=st.booleans())
def test_a_numbering_is_undone(order, other, biases):
    numbering = Numbering(users=np.array(order, np.int32), items=np.array(other, np.int32))
    state = Parameters(5, 3, 2, biases=biases)
    state.vector[:] = np.arange(len(state.vector))
    inside = Parameters(5, 3, 2, biases=biases, vector=renumbered(state, numbering))
    assert in_data_order(inside, numbering).tolist() == state.vector.tolist()
    for user in range(5):
        assert (
            inside.views["user_factors"][numbering.users[user]].tolist()
            == state.views["user_factors"][user].tolist()
        )


# --- assembling ---


def test_every_row_of_the_aggregate_comes_from_the_worker_that_held_it_last(make_config):
    config = make_config(*STRATIFIED, "workers=3", "local_epochs=2")
    prepared = prepare(config)
    jobs = prepared.make_jobs()
    strata = jobs[0].strata
    last_turn = 2 * 2 * 3 - 1  # of the second round
    updates = []
    for job in jobs:
        state = jobs[0].make_parameters()
        state.vector[:] = 10 + job.worker
        vector = np.full(job.update_length, -1, np.float32)
        pack(learned(held_rows(strata, state, job.worker, last_turn)), vector)
        updates.append(SimpleNamespace(worker=job.worker, round_index=1, vector=vector))
    out = np.zeros_like(jobs[0].vector)
    assert make_combine(prepared)(updates, jobs[0].vector, out) == pytest.approx([1 / 3] * 3)
    state = jobs[0].parameters(out)
    for worker in range(3):
        assert set(state.views["user_factors"][strata.users(worker)].ravel()) == {10 + worker}
        assert set(state.views["user_bias"][strata.users(worker)]) == {10 + worker}
        items = strata.items(strata.group(worker, last_turn))
        assert set(state.views["item_factors"][items].ravel()) == {10 + worker}
        assert set(state.views["item_bias"][items]) == {10 + worker}
    assert state.views["global_mean"][0] == jobs[0].vector[-1]


def test_what_is_packed_is_unpacked():
    state = Parameters(4, 3, 2)
    state.vector[:] = np.arange(len(state.vector))
    rows = state.block(slice(1, 3), slice(0, 2))
    packed = np.zeros(40, np.float32)
    pack(item_rows(rows), packed)
    assert packed[:6].tolist() == [
        *state.views["item_factors"][:2].ravel(),
        *state.views["item_bias"][:2],
    ]
    other = Parameters(4, 3, 2)
    unpack(packed, item_rows(other.block(slice(0, 1), slice(0, 2))))
    assert other.views["item_factors"].tolist()[:2] == state.views["item_factors"].tolist()[:2]
    assert not other.views["user_factors"].any()
