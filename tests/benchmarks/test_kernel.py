"""The benchmark of the trainers: ours, and other libraries."""

import dataclasses
import sys

import pytest
import torch
from small_runs import DATA, median

from benchmarks import peers
from benchmarks.harness import Unavailable
from benchmarks.kernel import contenders
from benchmarks.kernel.__main__ import Child
from benchmarks.kernel.contenders import Case, save
from benchmarks.train_runs import compose_config
from ddp.ratings.load import load_ratings


@pytest.fixture
def case(tmp_path):
    """1,200 ratings of 60 users for 40 items, one worker."""
    overrides = ("data=synthetic", *DATA)
    save(load_ratings(compose_config(overrides).data, 0), tmp_path / "ratings.npz")
    file = tmp_path / "ratings.npz"
    return Case(
        ratings_file=file,
        num_users=60,
        num_items=40,
        dim=8,
        workers=1,
        num_visits=50_000,
        overrides=overrides,
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_each_worker_of_a_trainer_visits_its_share_of_the_ratings(case, workers, monkeypatch):
    seen = []

    def trainer_for(options):
        def make(options, model, train):
            seen.append(train)
            return real(options)(options, model, train)

        make.arrange = real(options).arrange
        return make

    real = contenders.stepping_trainer
    monkeypatch.setattr(contenders, "stepping_trainer", trainer_for)
    threads = torch.get_num_threads()
    try:
        assert contenders.trainer("autograd", dataclasses.replace(case, workers=workers)) > 0
    finally:
        torch.set_num_threads(threads)
    whole = case.load()
    pairs = [
        pair
        for share in seen
        for pair in zip(share.users.tolist(), share.items.tolist(), strict=True)
    ]
    assert len(seen) == workers
    assert sorted(pairs) == sorted(zip(whole.users.tolist(), whole.items.tolist(), strict=True))


@pytest.mark.parametrize("peer", [contenders.libmf, contenders.cornac, contenders.surprise])
def test_a_peer_that_is_missing_says_how_to_get_it(case, peer, monkeypatch, tmp_path):
    monkeypatch.setattr(peers, "LIBMF", tmp_path / "nowhere")
    monkeypatch.setitem(sys.modules, "cornac.models.mf", None)
    monkeypatch.setitem(sys.modules, "surprise", None)
    with pytest.raises(Unavailable, match="make benchmark-peers"):
        peer(case)


def test_a_contender_that_hangs_is_killed_and_given_up_after_a_few_attempts(capsys):
    with (
        Child("fused", deadline_s=1e-3) as child,
        pytest.raises(Unavailable, match=r"fused: has not ended .* 3 times"),
    ):
        child.measure(None)
    assert capsys.readouterr().err.count("killed, and begun anew") == 3


@pytest.mark.slow
def test_kernel(benchmark):
    arguments = (
        "--data",
        "synthetic",
        "--dims",
        "8",
        "--visits",
        "50000",
        "--contenders",
        "autograd",
        "Surprise",
        "--",
        *DATA,
    )
    (autograd, surprise), printed = benchmark(
        "kernel", "--markdown", "--repeats", "2", "--workers", "2", *arguments
    )
    assert (autograd["k"], autograd["workers"], autograd["contender"]) == (8, 2, "autograd")
    assert median(autograd, "million ratings/s") > 0
    assert surprise["figures"] == {}  # it has no threads: no figure even if it is installed
    assert surprise["note"] in printed
    (line,) = [line for line in printed.splitlines() if line.startswith("| synthetic")]
    assert line.endswith("| - |")
