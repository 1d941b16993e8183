"""A run whose aggregate is a mean of samples: what its files, trackers and terminal show of it."""

import io
import json
import re
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from run_files import read_rounds

from ddp.experiment import run
from ddp.ratings.load import load_ratings
from ddp.results.notes import about_the_chain
from ddp.results.run_file import read_run_file
from ddp.results.saved_model import load_model
from ddp.results.summary import print_result
from ddp.tracking.points import Points

ROUNDS, EPOCHS, BURN_IN = 6, 2, 2
GIBBS = (
    *("trainer=gibbs", "split=both", "aggregation=none", "backend=serial", "model.dim=3"),
    *(f"rounds={ROUNDS}", f"local_epochs={EPOCHS}", f"trainer.burn_in={BURN_IN}", "metrics=[mae]"),
)


@pytest.fixture(scope="module")
def done(make_config, tmp_path_factory):
    """The result of a run with 10 samples."""
    return run(make_config(*GIBBS), tmp_path_factory.mktemp("sampled") / "run", [])


def refused(constant):
    raise AssertionError(f"{constant} is no JSON")


def test_the_files_have_the_chain(done):
    text = (done.output_dir / "result.json").read_text(encoding="utf-8")
    told = json.loads(text, parse_constant=refused)["sampled"]
    last = done.history.aggregate_rounds[-1].sampled
    assert (told["count"], told["settled"]) == (ROUNDS * EPOCHS - BURN_IN, False)
    assert 0 < told["effective"] <= told["count"]
    assert (told["test_rmse"], told["precision"]) == (last.test.rmse, last.precision)
    rows = [row for row in read_rounds(done.output_dir) if row["who"] == "aggregated"]
    samples = [row.sampled for row in done.history.aggregate_rounds]
    assert [int(row["samples"]) for row in rows] == [0, 2, 4, 6, 8, 10]
    assert [row["lr"] for row in rows] == [""] * ROUNDS
    for row, sampled in zip(rows, samples, strict=True):
        assert float(row["precision"]) == sampled.precision > 0
        assert float(row["sample_test_rmse"]) == sampled.test.rmse
        assert float(row["effective_samples"]) == sampled.effective
    assert rows[0]["test_rmse"] == rows[0]["sample_test_rmse"]  # there is no other state yet
    assert float(rows[-1]["test_rmse"]) < float(rows[-1]["sample_test_rmse"])
    shares = json.loads(text)["coverage"]
    assert [*shares] == ["0.5", "0.8", "0.95"]
    assert 0 < shares["0.5"] <= shares["0.8"] <= shares["0.95"] <= 1
    assert read_run_file(done.output_dir).outcome["effective_samples"] == told["effective"]


def test_the_curves_have_the_chain_and_no_learning_rate(done):
    rows, points = done.history.aggregate_rounds, Points(num_workers=done.config.workers)
    curves = defaultdict(list)
    for row in rows:
        for point in points.of(row):
            curves[point.tag].append(point.value)
    assert "train/lr" not in curves
    assert curves["rmse/test/last_sample"] == [row.sampled.test.rmse for row in rows]
    assert curves["samples/precision"] == [row.sampled.precision for row in rows]
    assert curves["samples/count"] == [0, 2, 4, 6, 8, 10]
    assert curves["samples/effective"] == [row.sampled.effective for row in rows]


def test_the_saved_model_has_the_noise_of_its_samples(done):
    model, samples = load_model(done.output_dir), done.state.posterior.samples
    assert model.precisions == tuple(sample.precision for sample in samples)
    for side, noise in enumerate((model.noise.users, model.noise.items)):
        trusts = np.array([sample.trusts[side] for sample in samples])
        np.testing.assert_allclose(noise, (1 / trusts).mean(axis=0), rtol=1e-5)
        assert noise.std() > 0.01
    *_, deviations = model.predict(model.user_ids[0], model.item_ids, std="rating")
    assert (deviations > model.predict(model.user_ids[0], model.item_ids, std=True)[1]).all()


def test_the_noise_of_a_row_is_in_the_order_of_the_data(done):
    """A worker numbers users by their work; the user with the most noise has the largest errors."""
    model, ratings = load_model(done.output_dir), load_ratings(done.config.data, 0)
    predictions = model.predict_rows(ratings.users, ratings.items)
    errors = np.square(ratings.ratings - predictions)
    counts = np.bincount(ratings.users, minlength=ratings.num_users)
    means = np.bincount(ratings.users, errors, ratings.num_users) / np.maximum(counts, 1)
    known = counts > 5
    assert np.corrcoef(model.noise.users[known], means[known])[0, 1] > 0.5


def test_terminal_tells_the_chain(done):
    shown = io.StringIO()
    print_result(done, Console(file=shown, width=200))
    sampled = done.sampled
    assert (
        f"chain:      10 samples, worth {sampled.effective:.0f} independent ones; precision of the"
        f" noise {sampled.precision:.3g}; test RMSE of the last sample {sampled.test.rmse:.4f}"
    ) in shown.getvalue()
    assert "intervals:  of 50, 80, 95 % hold " in shown.getvalue()
    assert "note: 10 samples cannot show that the chain has settled" in shown.getvalue()


@pytest.mark.parametrize(
    ("count", "drift", "told"),
    [
        (0, None, "there is no sample, because the first 2 local epochs do not count"),
        (19, 0.0, "19 samples cannot show"),
        (20, -3.6, "the chain has not settled: .* by -3.6 standard errors"),
    ],
)
def test_a_chain_that_has_not_settled_is_a_note(done, count, drift, told):
    trainer = done.config.trainer
    sampled = replace(done.sampled, count=count, drift=drift)
    (note,) = about_the_chain(trainer, sampled)
    assert re.match(told, note)
    assert about_the_chain(trainer, replace(done.sampled, count=20, drift=3.5)) == ()
    assert about_the_chain(trainer, None) == ()
