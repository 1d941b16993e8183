"""A run in MLflow's local file store, read back. `make trackers` installs MLflow."""

import pytest
from event_files import aggregate, hparams, row_of

from ddp.config.tracker import MlflowOptions
from ddp.experiment import run
from ddp.tracking.make import make_trackers
from ddp.tracking.messages import RunEnds
from ddp.tracking.tracker import RunFacts

pytest.importorskip("mlflow")


def tracked(directory, settings, store):
    """The tracker of a run in the folder `store`."""
    facts = RunFacts(directory=directory, settings=settings, command="python train.py workers=3")
    options = MlflowOptions(uri=str(store), experiment="laboratory")
    (tracker,) = make_trackers({"mlflow": options}, facts)
    return tracker


def runs(store):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=str(store))
    experiment = client.get_experiment_by_name("laboratory")
    return client, client.search_runs([experiment.experiment_id])


def test_it_has_the_settings_and_the_curves_of_a_run(make_config, tmp_path):
    config = make_config("backend=thread", "rounds=3", "name=a run")
    tracker = tracked(tmp_path / "run", row_of(config), tmp_path / "store")
    result = run(config, tmp_path / "run", [tracker])
    assert result.warnings == ()
    client, (own,) = runs(tmp_path / "store")
    assert (own.info.run_name, own.info.status) == ("a run", "FINISHED")
    assert own.data.tags["command"] == "python train.py workers=3"
    expected = {
        key: f"{float(value):g}" if isinstance(value, int | float) else str(value)
        for key, value in hparams(config).items()
    }
    assert own.data.params == expected
    points = client.get_metric_history(own.info.run_id, "rmse/test/aggregated")
    assert {point.step: point.value for point in points} == {
        row.round_index + 1: pytest.approx(row.test.rmse) for row in result.history.aggregate_rounds
    }
    assert own.data.metrics["rmse/test/kept"] == pytest.approx(result.test_rmse)
    assert {f"time/pickle_ms/worker_{worker}" for worker in range(3)} <= own.data.metrics.keys()
    (table,) = (tmp_path / "store").rglob("result.md")
    assert "worker 2" in table.read_text()


@pytest.mark.parametrize(
    ("status", "told"), [("ok", "FINISHED"), ("failed", "FAILED"), ("interrupted", "KILLED")]
)
def test_it_tells_how_a_run_has_ended_and_all_runs_share_an_experiment(tmp_path, status, told):
    for number in range(2):
        tracker = tracked(tmp_path / f"run{number}", {"workers": 1}, tmp_path / "store")
        tracker.open()
        tracker.on(aggregate(0))
        tracker.on(RunEnds(status=status, kept=aggregate(0)))
        tracker.close()
        assert tracker.trouble is None
    _, found = runs(tmp_path / "store")
    assert {own.info.run_name: own.info.status for own in found} == {"run0": told, "run1": told}


def test_a_store_that_cannot_be_written_does_not_end_the_run(make_config, tmp_path, capsys):
    (tmp_path / "store").write_text("a file where the folder should be")
    config = make_config("backend=serial")
    tracker = tracked(tmp_path / "run", row_of(config), tmp_path / "store")
    result = run(config, tmp_path / "run", [tracker])
    assert result.status == "ok"
    (warning,) = result.warnings
    assert warning.startswith("tracker=mlflow: ")
    assert capsys.readouterr().err == f"warning: {warning}\n"
