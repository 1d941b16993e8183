"""The model of a run is that of its best round, also after a resume or a restart."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from faults import Fault, infect
from jobs import FUSED, OVERFITS

from ddp.errors import ConfigError
from ddp.experiment import run, train_reference
from ddp.ratings.load import load_ratings
from ddp.results.checkpoint import read_checkpoint
from ddp.results.reference import reference_config
from ddp.results.run_directory import find_checkpoints
from ddp.results.run_result import RunResult
from ddp.results.saved_model import MODEL_FILE, load_model
from ddp.workers.dealing import deal_of

ROUNDS = 6
LONG = ("backend=serial", f"rounds={ROUNDS}", "local_epochs=4", "checkpoint_every=1")


def model(directory: Path) -> bytes:
    return (directory / MODEL_FILE).read_bytes()


def told(directory: Path):
    return json.loads((directory / "result.json").read_text())


@pytest.fixture(scope="module", params=["averaged", "stratified"])
def job(request):
    return (*OVERFITS[request.param], *LONG)


@pytest.fixture(scope="module")
def whole(make_config, tmp_path_factory, job):
    """The run without an interruption."""
    return run(make_config(*job), tmp_path_factory.mktemp("whole") / "run", [])


def test_files_have_the_round_with_the_lowest_validation_rmse(make_config, tmp_path, job, whole):
    rows = [row for row in _rounds(whole.output_dir) if row["who"] == "aggregated"]
    valid = [float(row["valid_rmse"]) for row in rows]
    best = valid.index(min(valid))
    assert 0 <= best < ROUNDS - 1  # or this test shows nothing
    result = told(whole.output_dir)
    assert (result["kept_round"], result["ended"]) == (best + 1, "rounds")
    assert result["rmse"]["valid"] == whole.valid_rmse == whole.score == valid[best]
    assert result["rmse"]["test"] == float(rows[best]["test_rmse"])
    alone = run(make_config(*job, f"rounds={best + 1}", "keep=last"), tmp_path / "alone", [])
    assert model(whole.output_dir) == model(alone.output_dir)
    assert alone.state.best.vector is None


def test_keep_last_keeps_the_last_round(make_config, tmp_path, job, whole):
    last = run(make_config(*job, "keep=last"), tmp_path / "last", [])
    assert last.kept == last.last
    assert told(last.output_dir)["kept_round"] == ROUNDS
    assert last.state.vector.tobytes() == whole.state.vector.tobytes()
    assert model(last.output_dir) != model(whole.output_dir)


@pytest.mark.parametrize("stop_after", [1, 3, 5])
def test_a_resumed_run_keeps_the_same_round(make_config, tmp_path, job, whole, stop_after):
    directory = tmp_path / "run"
    run(make_config(*job, f"rounds={stop_after}"), directory, [])
    tensors, _ = read_checkpoint(find_checkpoints(directory)[-1])
    assert {*tensors} <= {"aggregate", "best"}
    again = run(make_config(*job), directory, [], resume=True)
    assert again.kept.round_index == whole.kept.round_index
    assert model(directory) == model(whole.output_dir)


def test_a_resume_keeps_the_count_of_patience(make_config, tmp_path, job, whole):
    best, patience = whole.kept.round_index, 2
    early = (*job, "rounds=50", f"patience={patience}")
    plain = run(make_config(*early), tmp_path / "plain", [])
    directory = tmp_path / "run"
    run(make_config(*early, f"rounds={best + patience}"), directory, [])  # a round is missing
    again = run(make_config(*early), directory, [], resume=True)
    assert plain.ended == again.ended == "patience"
    assert plain.last.round_index == again.last.round_index
    assert plain.kept.round_index == again.kept.round_index
    assert model(tmp_path / "plain") == model(directory)
    # without patience it goes on
    longer = run(
        make_config(*job, f"rounds={again.last.round_index + 2}"), directory, [], resume=True
    )
    assert longer.last.round_index == again.last.round_index + 1


def test_a_round_that_begins_again_is_no_other_best(make_config, tmp_path, monkeypatch, job, whole):
    infect(monkeypatch, Fault("exception", "publishing", tmp_path / "done", last_round=ROUNDS - 1))
    again = run(make_config(*job, "on_failure=restart"), tmp_path / "run", [])
    assert again.history.num_restarts == 1
    assert again.kept.round_index == whole.kept.round_index
    assert model(tmp_path / "run") == model(whole.output_dir)


def test_the_reference_keeps_its_best_round_too(make_config, job, whole):
    config = reference_config(whole.config)
    ratings = load_ratings(config.data, config.data_seed)
    last = train_reference(ratings, reference_config(make_config(*job, "keep=last")))
    assert train_reference(ratings, config).valid < last.valid


def test_the_rate_of_each_round_is_told_and_one_without_effect_is_a_note(make_config, tmp_path):
    short = (*FUSED, "backend=serial", "local_epochs=4", "trainer.lr_decay=0.5")
    plain = run(make_config(*short, "rounds=2"), tmp_path / "plain", [])
    rates = [row["lr"] for row in _rounds(plain.output_dir) if row["who"] == "aggregated"]
    lr = plain.config.trainer.lr
    assert [float(rate) for rate in rates] == pytest.approx([lr, lr / 16])
    assert plain.notes == ()
    longer = run(make_config(*short, "rounds=5"), tmp_path / "longer", [])
    (note,) = told(longer.output_dir)["notes"]
    assert "from round 4 on" in note  # 2 ** -12 < 1e-3 < 2 ** -8


def test_weights_that_are_those_of_uniform_are_a_note(make_config, tmp_path):
    def notes(aggregation, *sizes):
        shards = [{"worker": worker, "num_train": size} for worker, size in enumerate(sizes)]
        config = make_config(f"aggregation={aggregation}")
        return RunResult(config=config, output_dir=tmp_path, shards=shards).notes

    (note,) = notes("samples", 1, 1)
    assert note.startswith("each shard has 1 training rating, so aggregation=samples gives")
    assert notes("samples", 1, 2) == notes("samples", 1) == notes("uniform", 1, 1) == ()


def test_the_simplest_predictors_are_in_the_result(whole):
    known = told(whole.output_dir)["baselines"]
    assert {*known} == {"mean", "user and item means"}
    assert all(0 < rmse < 3 for each in known.values() for rmse in each.values())


def test_the_metrics_are_those_of_the_kept_model(whole):
    """The saved model gives the same MAE and the same lists, without the code of the metrics."""
    written = told(whole.output_dir)
    assert written["metrics"] == whole.metrics
    assert [*whole.metrics] == ["rmse", "mae", "ndcg@10", "recall@10"]
    ratings = load_ratings(whole.config.data, whole.config.data_seed)
    deal = deal_of(whole.config, ratings)
    test = ratings.part(deal.rows("test"))
    model = load_model(whole.output_dir)
    errors = model.predict_rows(test.users, test.items) - test.ratings
    assert whole.metrics["mae"] == pytest.approx(np.abs(errors).mean())
    views, recalls = model.parameters.views, []
    for user in np.unique(test.users):
        scores = views["item_factors"] @ views["user_factors"][user] + views["item_bias"]
        seen = ratings.items[(ratings.users == user) & (deal.part != 2)]
        scores[seen] = -np.inf
        high = test.ratings >= written["ranked"]["relevant_from"]
        relevant = test.items[(test.users == user) & high]
        if len(relevant):
            recalls.append(np.isin(relevant, np.argsort(-scores)[:10]).mean())
    assert whole.metrics["recall@10"] == pytest.approx(np.mean(recalls))
    assert written["ranked"]["users"] == len(recalls)


def test_patience_needs_a_validation_part(make_config):
    with pytest.raises(ConfigError, match=r"^patience=2: .* split.valid_fraction above 0$"):
        make_config("patience=2", "split.valid_fraction=0", "select_on=test")


def _rounds(directory):
    return list(csv.DictReader((directory / "rounds.csv").open()))
