"""Run directories that commit 4c35cfa wrote, before every file moved to a room, still serve.

The folder before_the_move/ holds two of them: a stratified run of the compiled trainer on threads,
and an averaged run of torch on processes. Both have two rounds and a checkpoint of the second.
"""

import csv
import json
import shutil
from pathlib import Path

import pytest

import ddp

RUNS = Path(__file__).parent / "before_the_move"
PREDICTIONS = {
    "thread": [3.112757, 3.5006976, 3.7238913],
    "process": [3.4421701, 3.464559, 3.4649658],
}
BACKENDS = sorted(PREDICTIONS)


@pytest.fixture
def outputs(tmp_path):
    return shutil.copytree(RUNS, tmp_path / "outputs")


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_model_predicts_as_before(backend):
    model = ddp.load_model(RUNS / backend)
    assert model.predict([0, 1, 2], [3, 4, 5]) == pytest.approx(PREDICTIONS[backend], rel=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_run_goes_on_from_its_checkpoint(train, outputs, backend):
    run = outputs / backend
    before = list(csv.DictReader((run / "rounds.csv").open()))
    quick = ("backend.start_method=forkserver",) if backend == "process" else ()
    done = train(outputs.parent, f"resume={run}", "rounds=4", *quick)
    assert done.returncode == 0, done.stderr
    result = json.loads((run / "result.json").read_text())
    assert (result["status"], result["resumed"], result["rounds_completed"]) == ("ok", True, 4)
    rows = list(csv.DictReader((run / "rounds.csv").open()))
    assert {row["round"] for row in rows} == {"1", "2", "3", "4"}
    kept = [(int(row["round"]), row["who"], row["test_rmse"]) for row in rows]
    # the earlier version counted rounds from 0
    told = [(int(row["round"]) + 1, row["who"], row["test_rmse"]) for row in before]
    assert sorted(row for row in kept if row[0] <= 2) == sorted(told)


def test_the_table_and_the_report_show_the_runs(programs, outputs):
    table = programs.run("-m", "ddp.results", str(outputs), cwd=outputs.parent)
    assert table.returncode == 0, table.stderr
    rows = list(csv.DictReader((outputs / "results.csv").open()))
    assert sorted(row["backend"] for row in rows) == BACKENDS
    report = programs.run("-m", "ddp.report", str(outputs), cwd=outputs.parent)
    assert report.returncode == 0, report.stderr
    page = (outputs / "report.html").read_text()
    assert all(backend in page for backend in BACKENDS)
