"""split.seed: runs of several seeds share their test ratings, and differ in all else."""

import dataclasses
import json

import numpy as np
import pytest
from composing import composed
from jobs import DATA, TYPED, prepare

from ddp.experiment import run
from ddp.launch.composed import load_config
from ddp.results.checkpoint import read_checkpoint
from ddp.results.reference import reference_config
from ddp.results.run_directory import RESULT_FILE, find_checkpoints

CSV = ("data=csv", "data.path=ratings.csv", "data.timestamp=null")


@pytest.fixture
def ratings_csv(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    pairs = draw.permutation(600)[:300]
    rows = (f"{pair // 20},{pair % 20},{draw.integers(1, 6)}\n" for pair in pairs)
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating\n" + "".join(rows))


def held(prepared, part):
    rows = getattr(prepared, part)
    return [rows.users.tolist(), rows.items.tolist(), rows.ratings.tolist()]


@pytest.mark.parametrize("data", [CSV, DATA], ids=["csv", "synthetic"])
@pytest.mark.parametrize("split", ["iid", "dirichlet"])
@pytest.mark.parametrize("holdout", ["random", "user"])
def test_the_holdout_is_fixed_while_the_rest_varies(ratings_csv, data, split, holdout):
    def of(seed, fixed):
        chosen = (f"split={split}", f"split.holdout={holdout}", f"seed={seed}")
        return prepare(load_config(composed(*TYPED, *data, *chosen, f"split.seed={fixed}")))

    one, two, free, other = of(0, 7), of(1, 7), of(7, "null"), of(0, 8)
    for part in ("valid", "test"):
        assert held(one, part) == held(two, part) == held(free, part)
        assert held(one, part) != held(other, part)
    assert one.vector.tobytes() != two.vector.tobytes()
    if split != "copies":
        assert [rows.tolist() for rows in one.trains] != [rows.tolist() for rows in two.trains]


@pytest.mark.parametrize("split", ["iid", "stratified"])
def test_two_seeds_give_two_models_on_one_test_part(make_config, tmp_path, split):
    def result(name, *overrides):
        config = make_config(f"split={split}", "aggregation=rows", "checkpoint_every=1", *overrides)
        return run(config, tmp_path / name, [])

    zero, one = (result(str(seed), f"seed={seed}", "split.seed=7") for seed in (0, 1))
    assert zero.state.vector.tobytes() != one.state.vector.tobytes()
    # synthetic ratings are the same, too
    abouts = [read_checkpoint(find_checkpoints(tmp_path / name)[-1])[1] for name in ("0", "1")]
    assert abouts[0]["ratings"] == abouts[1]["ratings"]
    written = [json.loads((tmp_path / name / RESULT_FILE).read_text()) for name in ("0", "1")]
    assert [own["config"]["split"]["seed"] for own in written] == [7, 7]
    assert written[0]["config_hash"] != written[1]["config_hash"]
    # the seed of the run, spelled out, is the same run
    assert result("2", "seed=7", "split.seed=7").test_rmse == result("3", "seed=7").test_rmse


def test_the_reference_has_the_same_test_part(make_config):
    config = make_config("seed=3", "split.seed=7")
    alone = reference_config(config)
    assert dataclasses.asdict(alone.split)["seed"] == 7
    assert held(prepare(alone), "test") == held(prepare(config), "test")
