"""The runs of a report: names, the best one, resumed ones, warnings and machines."""

import json
import shutil

import pytest
from pages import page_of, read
from report_files import write_run

from ddp.report.comparing import give_labels, groups_over

pytestmark = pytest.mark.usefixtures("fonts")


def test_settings_that_all_share_versions_and_commands_are_said_once(tmp_path):
    for number in range(3):
        write_run(
            tmp_path / str(number), seed=number, command=["train.py", "-m", "data.path=my file.csv"]
        )
    text = page_of(tmp_path).text
    assert text.count("9.8.7") == 1
    assert text.count("train.py -m 'data.path=my file.csv'") == 1
    assert text.count("trainer.lr0.02") == 1


def test_the_best_run_is_chosen_by_validation_and_shown_by_test(tmp_path):
    for number, (valid, test) in enumerate([(0.90, 0.97), (0.92, 0.93)]):
        write_run(
            tmp_path / str(number),
            workers=number + 1,
            rmse=test,
            also={"rmse": {"valid": valid, "test": test}},
        )
    told = "best test RMSE0.9700workers=1 has the lowest validation RMSE, 0.9000"
    assert told in page_of(tmp_path).text
    for number in range(2):  # without a validation part
        path = tmp_path / str(number) / "result.json"
        path.write_text(
            json.dumps(
                json.loads(path.read_text())
                | {"rmse": {"valid": None, "test": 0.97 - 0.04 * number}}
            )
        )
    assert "best test RMSE0.9300workers=2 has the lowest test RMSE" in page_of(tmp_path).text


def test_seconds_of_a_resumed_run_are_left_out_and_that_is_said(tmp_path):
    for workers in (1, 2, 4):
        write_run(
            tmp_path / str(workers), workers=workers, train_s=8.0 / workers, total_s=10.0 / workers
        )
    assert "best speed-up4.0 times4 workers" in page_of(tmp_path).text
    path = tmp_path / "4" / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"resumed": True}))
    page = page_of(tmp_path)
    assert "best speed-up2.0 times2 workers" in page.text
    bars = [label for label in page.labels if label.startswith("where the time went: 1 worker")]
    assert bars == ["where the time went: 1 worker; 2 workers"] * 2
    assert (
        "Resumed: 4 workers: their seconds and accounts are of the last process only" in page.text
    )
    assert "have no account" not in page.text
    rows = [row for row in page.rows if row and row[0] == "ok"]
    # the name, RMSE (test and validation), and seconds (training and total) come first
    assert [row[1:6] for row in rows] == [
        ["1 worker", "0.9500", "0.9500", "8.00", "10.00"],
        ["2 workers", "0.9500", "0.9500", "4.00", "5.00"],
        ["4 workers", "0.9500", "0.9500", "-", "-"],
    ]
    [run] = [run for run in read(tmp_path) if run.resumed]
    assert (run.total_s, run.train_s, run.lanes) == (None, None, [])
    assert run.rounds[-1].elapsed_s == 2.0  # rounds.csv has them all


def test_warnings_are_said_once_with_how_many_had_them(tmp_path):
    for number in range(9):
        write_run(
            tmp_path / str(number), seed=number, also={"warnings": ["slow disk", f"only {number}"]}
        )
    page = page_of(tmp_path)
    warnings = page.text[page.text.rindex("Warnings") :].partition("What is not here")[0]
    assert warnings.startswith("Warnings9 runs: slow diskseed=0: only 0")
    assert "and: 5 more" in warnings
    assert "only 4" not in warnings
    assert page.text.count("slow disk") == 1


def test_machines_are_told_apart_where_they_differ(tmp_path):
    here, there = (
        {"cpu_model": model, "usable_cores": 2, "cpu_count": 8}
        for model in ("Fast CPU", "Slow CPU")
    )
    for number, (workers, machine) in enumerate([(1, here), (2, here), (1, there), (2, there)]):
        write_run(
            tmp_path / str(number),
            workers=workers,
            train_s=8.0 / workers,
            also={"environment": machine},
        )
    page = page_of(tmp_path)
    assert "Fast CPU (in 0, 1), Slow CPU (in 2, 3)" in page.text
    fast, slow = "Fast CPU with 2 cores", "Slow CPU with 2 cores"
    rows = [row for row in page.rows if row and row[0] == "ok"]
    assert [row[7] for row in rows] == [fast, fast, slow, slow]
    groups = groups_over(read(tmp_path), ("workers",))
    assert [group.label for group in groups] == [f"on {fast}", f"on {slow}"]
    shutil.rmtree(tmp_path / "2")
    shutil.rmtree(tmp_path / "3")
    assert "Fast CPU with" not in page_of(tmp_path).text
    write_run(tmp_path / "old", also={"environment": {"platform": "Linux", "cpu_count": 8}})
    assert {run.settings["machine"] for run in read(tmp_path)} == {fast, "Linux with 8 cores"}


def test_runs_are_called_by_what_they_differ_in(tmp_path):
    for number, (backend, workers) in enumerate(
        [("thread", 1), ("thread", 2), ("shm", 2), ("shm", 2)]
    ):
        write_run(tmp_path / str(number), backend=backend, workers=workers)
    runs = read(tmp_path)
    give_labels(runs)
    name = tmp_path.name
    assert [run.label for run in runs] == [
        "thread, 1 worker", "thread, 2 workers", f"shm, 2 workers ({name}/2)", "shm, 2 workers"
                                                                               f" ({name}/3)"
    ]  # fmt: skip


def test_one_run_is_told_beside_the_simplest_predictors_and_one_worker(tmp_path):
    rmse = {"test": 0.95, "valid": 0.94, "reference": {"test": 0.93}}
    baselines = {"mean": {"test": 1.1}, "user and item means": {"test": 0.9}}
    write_run(tmp_path / "run", also={"rmse": rmse, "baselines": baselines})
    text = page_of(tmp_path).text
    assert "runs1 of 1ended well" in text
    told = (
        "not below the means of users and items (0.9000); one worker reaches 0.9300 (gap +0.0200)"
    )
    assert f"test RMSE0.9500{told}" in text
    assert "training2 sof 4 s in all; the time of workers went to compute 50%, wait 25%" in text
    assert "shows no spread" not in text


def test_one_run_that_samples_shows_its_chain_beside_the_mean(tmp_path):
    chain = {"count": 144, "effective": 7.4, "precision": 1.973, "settled": False}
    directory = write_run(tmp_path / "run", also={"sampled": chain})
    assert "last sample" not in page_of(tmp_path).text
    path = directory / "rounds.csv"
    head, *rows = path.read_text().splitlines()
    lines = [
        f"{head},sample_test_rmse",
        *(f"{row},{1 + place / 8}" for place, row in enumerate(rows)),
    ]
    path.write_text("\n".join(lines))
    [run] = read(tmp_path)
    assert [done.of_sample for done in run.rounds] == [1.25, 1.625]
    text = page_of(tmp_path).text
    assert "samples144worth 7 independent ones; precision of the noise 1.97; " in text
    assert "the chain has not settled" in text
    assert "the mean of the samples (below), and the last sample (dashed)" in text
