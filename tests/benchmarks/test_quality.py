"""The benchmarks of the accuracy: their test parts, their grid, and the commands."""

import numpy as np
import pytest
from small_runs import median

from benchmarks.quality import fits, protocols
from benchmarks.quality.grid_cells import AGGREGATIONS, Cell, cells
from benchmarks.quality.others import fit_other
from benchmarks.quality.recommenders import Sizes
from benchmarks.train_runs import compose_config
from ddp.ratings.arrays import Part


class Some:
    """300 ratings, by 30 users of 20 items."""

    num_users = 30

    def __init__(self):
        random = np.random.default_rng(3)
        self.users, self.items = np.divmod(random.permutation(600)[:300], 20)
        self.timestamps = random.integers(0, 1000, 300)

    def __len__(self):
        return 300


def test_the_protocols_hold_out_what_they_say():
    ratings, data = Some(), compose_config(["data=ml100k", "data.root=nowhere"]).data
    drawn = list(protocols.test_parts("random", data, ratings, 2))
    assert [len(set(part.tolist())) for part in drawn] == [60, 60]
    assert set(drawn[0].tolist()) != set(drawn[1].tolist())
    assert sorted(np.concatenate(list(protocols.test_parts("folds", data, ratings, 9)))) == list(
        range(300)
    )
    (latest,) = protocols.test_parts("time", data, ratings, 1)
    for user in range(30):
        own = np.flatnonzero(ratings.users == user)
        held = np.intersect1d(own, latest)
        assert len(held) == len(own) // 5
        if len(held):
            assert (
                ratings.timestamps[held].min() >= ratings.timestamps[np.setdiff1d(own, held)].max()
            )


def test_the_grid_has_every_way_once_and_counts_what_travels():
    found = cells([1, 2, 5], [1, 10])
    assert len(set(found)) == len(found) == 2 + 2 * 2 * (1 + 3 * len(AGGREGATIONS))
    averaged = Cell(workers=5, local_epochs=10, split="iid", averaged="rows")
    assert averaged.bytes_per_round(100, 50, 3) == 2 * 5 * 150 * 3 * 4  # there and back
    stratified = Cell(workers=5, local_epochs=10, split="stratified", averaged=None)
    # all items in every turn, all rows at the end
    assert stratified.bytes_per_round(100, 50, 3) == (10 * 5 * 50 + 150) * 3 * 4


@pytest.mark.slow
def test_quality(benchmark):
    ways = ("one worker", "5 workers, by user, 1 local epoch, uniform", "gibbs, 2 threads")
    rows, printed = benchmark(
        "quality", "--repeats", "2", "--protocols", "time", "--ways", *ways, "--markdown"
    )
    assert [row["way"] for row in rows] == list(ways)
    for row in rows:
        assert 0.85 < median(row, fits.TEST) < 1.05
        assert "epochs" in row["chosen"]
    tests = [row["figures"][fits.TEST]["values"] for row in rows]
    for row, own in zip(rows, tests, strict=True):
        assert row["figures"][fits.GAP]["values"] == pytest.approx(np.subtract(own, tests[0]))
    assert max(tests[2]) < min(tests[0]) - 0.02  # the mean of many samples
    assert "| one worker |" in printed


@pytest.mark.slow
def test_quality_grid(benchmark, tmp_path):
    pytest.importorskip("matplotlib", reason="for the plots; `make benchmark-peers` installs it")
    rows, _ = benchmark(
        "quality.grid", "--repeats", "1", "--workers", "1", "2", "--local-epochs", "20"
    )
    assert len(rows) == 1 + 1 + 3 * len(AGGREGATIONS)
    one, stratified, *averaged = rows
    assert median(one, fits.GAP) == 0
    assert abs(median(stratified, fits.GAP)) < 0.01
    for row in averaged:
        assert median(row, fits.GAP) == pytest.approx(
            median(row, fits.TEST) - median(one, fits.TEST)
        )
    for plot in ("quality_seconds.png", "quality_mb.png"):
        assert (tmp_path / "deeper" / plot).read_bytes().startswith(b"\x89PNG")


def test_predictions_of_other_libraries_are_clipped_to_the_scale():
    sizes = Sizes(num_users=1, num_items=2, rating_min=1.0, rating_max=5.0)
    pairs = Part(
        users=np.zeros(2, np.int32),
        items=np.arange(2, dtype=np.int32),
        ratings=np.array([5, 2], np.float32),
    )

    def recommender(train, sizes, values, seed):
        return lambda pairs: pairs.items * -8.0 + values["k"]

    rmse, _ = fit_other(recommender, pairs, pairs, sizes, {"k": 9.0}, seed=0)
    assert rmse == pytest.approx(0.5**0.5)  # 9 counts as 5, and 1 is 1 below the rating
