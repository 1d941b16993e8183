"""The files of a run that fails, is interrupted or has no data."""

import dataclasses
import math
from pathlib import Path

import pytest
from run_files import read_json, read_rounds

from ddp.config.schema import Config
from ddp.errors import AggregationError, DataError
from ddp.experiment import run
from ddp.results.record import write_result
from ddp.results.run_result import RunResult
from ddp.tracking.messages import AggregateRound
from ddp.tracking.tracker import Tracker


class Raises(Tracker):
    """Raises `error` when the aggregate of round `at` is there."""

    def __init__(self, error: BaseException, at: int = 1) -> None:
        self.error, self.at = error, at

    def on(self, event):
        if isinstance(event, AggregateRound) and event.round_index == self.at:
            raise self.error


def test_a_tracker_that_fails_fails_the_run_and_the_files_say_so(make_config, tmp_path):
    with pytest.raises(AggregationError, match="made up"):
        run(make_config("backend=thread"), tmp_path, [Raises(AggregationError("made up"))])
    result = read_json(tmp_path)
    assert (result["status"], result["error"]) == ("failed", "AggregationError: made up")
    assert result["rounds_completed"] == 2  # the history hears of a round before the others do
    assert {"data", "imports", "start", "train", "stop", "total"} <= set(result["seconds"])
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.yaml", "result.json", "rounds.csv", "ddp_thread_results.pkl", "trace.json",
        "model.safetensors", "catalogue.npz",  # of the last aggregate: what was finished is kept
    }  # fmt: skip


def test_an_interrupted_run_says_so(make_config, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(make_config("backend=serial", "rounds=5"), tmp_path, [Raises(KeyboardInterrupt())])
    result = read_json(tmp_path)
    assert (result["status"], result["error"], result["rounds_completed"]) == (
        "interrupted",
        None,
        2,
    )
    assert result["rmse"]["test"] is not None
    assert [row["round"] for row in read_rounds(tmp_path) if row["who"] == "aggregated"] == [
        "1",
        "2",
    ]


def test_a_run_without_data_leaves_a_result_without_numbers(make_config, tmp_path):
    with pytest.raises(DataError):
        run(data_missing(make_config, tmp_path), tmp_path / "run", [])
    result = read_json(tmp_path / "run")
    assert result["status"] == "failed"
    assert result["error"].startswith("DataError: ")
    assert "missing.csv" in result["error"]
    assert result["rmse"] == {
        "test": None,
        "valid": None,
        "best_valid_round": None,
        "noise_floor": None,
        "reference": None,
        "gap": None,
    }
    assert (result["rounds_completed"], result["workers"]) == (0, [])
    assert set(result["seconds"]) == {"data", "total"}
    assert read_rounds(tmp_path / "run") == []


def data_missing(make_config, tmp_path: Path) -> Config:
    from composing import composed

    from ddp.launch.composed import load_config

    data = load_config(composed("data=csv", f"data.path={tmp_path / 'missing.csv'}")).data
    return dataclasses.replace(make_config(), data=data)


def test_a_run_that_never_evaluated_writes_null_for_what_it_does_not_know(make_config, tmp_path):
    write_result(
        RunResult(
            config=make_config(),
            output_dir=tmp_path,
            status="failed",
            error="e",
            noise_floor=math.inf,
        ),
        tmp_path,
    )
    result = read_json(tmp_path)
    assert result["rmse"] == {
        "test": None,
        "valid": None,
        "best_valid_round": None,
        "noise_floor": None,
        "reference": None,
        "gap": None,
    }
    assert result["aggregator"]["test_rmse"] is None


class FailsToClose(Tracker):
    def close(self):
        raise OSError("no space left")


def test_a_tracker_that_cannot_be_closed_does_not_lose_the_result(make_config, tmp_path):
    with pytest.raises(OSError, match="no space left"):
        run(make_config("backend=serial"), tmp_path, [FailsToClose()])
    assert (tmp_path / "result.json").exists()
