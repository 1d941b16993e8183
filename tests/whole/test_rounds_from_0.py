"""A run of a version that counted rounds from 0 is read as what it was.

The folder rounds_from_0/ holds a run that failed in its third round, as commit 90d6d5b wrote it.
Its two rounds are 0 and 1 in rounds.csv and trace.json; result.json has round_index 2 of the
failure.
"""

import csv
import json
import shutil
from pathlib import Path

import pytest

from ddp.report.reading import read_run
from ddp.report.tracing import read_traced_round
from ddp.results.run_file import read_run_file

RUN = Path(__file__).parent / "rounds_from_0" / "failed"
FAILURE = "in round 3 (evaluate): diverged in epoch 2 at learning rate 0.0232"


@pytest.fixture
def run(tmp_path):
    return shutil.copytree(RUN, tmp_path / "failed")


def told(directory):
    """The rounds that the files of a run tell of, as its readers show them."""
    file = read_run_file(directory)
    assert f"worker 0 {FAILURE}" in file.error
    assert [failure["round"] for failure in file.content["failures"]] == [3]
    return {
        "kept": file.outcome["kept_round"],
        "best": file.content["rmse"]["best_valid_round"],
        "rounds": [(done.number, done.rmse) for done in read_run(file).rounds],
    }


def test_the_table_and_the_report_count_its_rounds_from_1(programs, run):
    assert told(run) == {
        "kept": 2,
        "best": 2,
        "rounds": [(1, 1.0094961975766166), (2, 0.9861520463355621)],
    }
    assert read_traced_round(run / "trace.json").number == 2
    report = programs.run("-m", "ddp.report", str(run.parent), cwd=run.parent)
    assert report.returncode == 0, report.stderr
    page = (run.parent / "report.html").read_text()
    assert ": round 2: aggregator" in page  # the round of the timeline
    assert FAILURE in page


def test_it_goes_on_in_its_third_round_and_leaves_no_file_that_counts_from_0(train, run):
    before = told(run)
    again = train(run.parent, f"resume={run}")
    assert again.returncode == 1
    assert f"error: worker 0 {FAILURE}" in again.stderr
    result = json.loads((run / "result.json").read_text())
    assert (result["format"], result["resumed"]) == (2, True)
    rows = list(csv.DictReader((run / "rounds.csv").open()))
    assert [(row["round"], row["who"]) for row in rows if row["who"] == "aggregated"] == [
        ("1", "aggregated"),
        ("2", "aggregated"),
    ]
    assert [row["best_epoch"] for row in rows if row["who"] == "worker_0"] == ["2", "2"]
    assert told(run) == before
