"""The directories of runs that are found, and the rows of files that are damaged or odd."""

import csv
import json
import re

import pandas as pd
import pytest
from made_runs import make_run

from ddp.results.run_file import find_runs, read_run_file, read_runs
from ddp.results.screen import print_runs
from ddp.results.table import COLUMNS, rows_of


@pytest.mark.parametrize(
    "text",
    [
        '{"workers": [1]}',
        '{"status": "ok", "workers": [{"wait_s": "x"}]}',
        '{"status": "ok", "rmse": {"test": []}}',
    ],
)
def test_a_result_with_something_else_inside_is_a_row(tmp_path, text):
    assert read_run_file(make_run(tmp_path / "a", text)).status == "unreadable"


def test_a_folder_with_another_config_is_no_run(tmp_path):
    (tmp_path / "config.yaml").write_text("# The defaults\ndefaults: []\n")
    assert find_runs([tmp_path]) == []


def test_a_bare_job_directory_is_a_row(tmp_path):
    (tmp_path / ".hydra").mkdir()
    [row] = rows_of(read_runs([tmp_path]))
    assert row["status"] == "no result"
    assert row["directory"] == str(tmp_path)
    assert "killed" in row["error"]


def test_the_command_shows_a_run_that_was_killed(make_config, tmp_path):
    from ddp.results.run_directory import run_directory

    make_run(tmp_path / "ended")
    with run_directory(make_config(), tmp_path / "killed", resume=False):
        pass
    assert [path.name for path in find_runs([tmp_path])] == ["ended", "killed"]


@pytest.mark.parametrize("text", ["", "{", "\udcff", '"ok'])
def test_a_result_that_cannot_be_read_is_a_row(tmp_path, text):
    directory = make_run(tmp_path / "a")
    (directory / "result.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    file = read_run_file(directory)
    assert file.status == "unreadable"
    assert file.error


@pytest.mark.parametrize(
    "text", ['{"status": "ok"}', '{"status": "ok", "config": null, "rmse": [], "workers": []}']
)
def test_a_result_of_another_kind_has_holes(tmp_path, text):
    [row] = rows_of(read_runs([make_run(tmp_path / "a", text)]))
    assert row["status"] == "ok"
    assert {row[name] for name in COLUMNS if name not in ("status", "directory")} == {None}


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"status": "ok", "seconds": {"total": 1' + "0" * 400 + "}}",
        '{"status": "ok", "workers": {"wait_s": 1}}',
    ],
)
def test_a_result_that_breaks_its_reader_is_a_row(tmp_path, text):
    assert read_run_file(make_run(tmp_path / "a", text)).status == "unreadable"


def test_runs_that_differ_in_a_list_are_shown_side_by_side(tmp_path, capsys):
    for name, paths in (("a", ["x.csv", "y.csv"]), ("b", ["x.csv"]), ("c", None)):
        data = {"name": "csv", "paths": paths}
        make_run(
            tmp_path / name, json.dumps({"status": "ok", "config": {"workers": 1, "data": data}})
        )
    print_runs(read_runs(find_runs([tmp_path])), None)
    assert "['x.csv', 'y.csv']" in capsys.readouterr().out


def test_a_setting_that_one_run_has_and_another_has_not_is_shown(tmp_path, capsys):
    for name, interval in (("a", 0.25), ("b", None)):
        backend = {"name": "thread", "poll_interval_s": interval}
        make_run(
            tmp_path / name,
            json.dumps({"status": "ok", "config": {"workers": 1, "backend": backend}}),
        )
    print_runs(read_runs(find_runs([tmp_path])), None)
    shown = capsys.readouterr().out
    assert "interval" in shown
    assert re.search(r"\n +0\.25 a *\n +- b *\n", shown)


def test_numbers_of_a_column_have_one_type(tmp_path):
    """Integers become floats beside a hole or a float, and stay integers elsewhere."""
    for name, workers, lr, seed in (("a", 2, 1, 7), ("b", 4, 0.5, 8)):
        config = {"workers": workers, "seed": seed, "trainer": {"name": "fused", "lr": lr}}
        make_run(tmp_path / name, json.dumps({"status": "ok", "config": config}))
    make_run(tmp_path / "c", json.dumps({"status": "ok", "config": {"workers": 4}}))
    print_runs(read_runs(find_runs([tmp_path])), tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(newline="") as file:
        written = [
            [row[name] for name in ("workers", "seed", "trainer", "trainer.lr", "test_rmse")]
            for row in csv.DictReader(file)
        ]
    assert written == [
        ["2", "7.0", "fused", "1.0", ""],
        ["4", "8.0", "fused", "0.5", ""],
        ["4", "", "", "", ""],
    ]


def test_what_stands_in_a_result_is_shown_and_not_obeyed(tmp_path, capsys):
    make_run(
        tmp_path / "a",
        json.dumps(
            {"status": "failed", "error": "[/bold] [red]not red[/red] \x1b[2J\r \ud800 caf\xe9"}
        ),
    )
    print_runs(read_runs([tmp_path / "a"]), tmp_path / "table.csv")
    shown = " ".join(capsys.readouterr().out.split())
    expected = r"[/bold] [red]not red[/red] \x1b[2J\r \ud800 café"
    assert expected in shown
    [error] = pd.read_csv(tmp_path / "table.csv").error
    assert error == expected


def test_a_folder_that_is_called_like_a_file_of_a_run(tmp_path):
    (tmp_path / "a" / "config.yaml").mkdir(parents=True)
    (tmp_path / "b" / "result.json").mkdir(parents=True)
    found = find_runs([tmp_path])
    assert found == [tmp_path / "b"]
    assert [run.status for run in read_runs(found)] == ["unreadable"]


def test_digits_that_are_no_numbers_are_text(tmp_path):
    made = [make_run(tmp_path / name) for name in ("1\xb23", "2")]
    assert find_runs([tmp_path]) == made


@pytest.mark.parametrize("text", ["[]", "null", "3"])
def test_json_that_is_no_result_is_a_row(tmp_path, text):
    assert read_run_file(make_run(tmp_path / "a", text)).status == "unreadable"


def test_runs_come_in_the_order_of_their_dates_each_once(tmp_path):
    names = ["2026-01-02/10-00-00-5", "2025-12-31/23-59-59-9", "2026-01-02/09-59-59-0"]
    made = {name: make_run(tmp_path / name) for name in names}
    found = find_runs([tmp_path, tmp_path / "2026-01-02"])
    assert found == [made[names[1]], made[names[2]], made[names[0]]]


def test_the_jobs_of_a_sweep_come_in_their_order(tmp_path):
    made = [make_run(tmp_path / str(number)) for number in range(12)]
    assert find_runs([tmp_path]) == made


def test_a_run_in_the_given_directory_itself_is_found(tmp_path):
    make_run(tmp_path / "a")
    assert find_runs([tmp_path / "a"]) == [tmp_path / "a"]
