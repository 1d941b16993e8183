"""Damaged files and any content cost their own part of the page, and do no harm."""

import json
import re

import pytest
from pages import Page, page_of
from report_files import DATA, trace, write_run

from ddp.report.page import PARTS, make_page
from ddp.results.run_file import find_runs, read_runs

pytestmark = pytest.mark.usefixtures("fonts")
EVIL = (
    "<script>alert('x')</script><img src=http://evil.example/x onerror=alert(1)>"
    " \" ' & $\\frac{$ \x1b \ud800 \u202e"
)


def test_what_stands_in_files_is_shown_and_not_obeyed(tmp_path):
    directory = write_run(
        tmp_path / "<b>$x_{$ \x1b\xa0" / "run",
        status="failed",
        error=EVIL,
        command=["train.py", EVIL],
        note=EVIL,
    )
    write_run(tmp_path / "other", backend=EVIL)
    result = json.loads((directory / "result.json").read_text())
    result["account"][0]["who"] = EVIL
    result["account"][0]["waits_for"] = {EVIL: 0.25}
    result["account"][0]["seconds"] = {EVIL: 1.0}
    result["environment"] |= {EVIL: EVIL}
    result["warnings"] = [EVIL]
    result["data"]["notes"] = [EVIL]
    result["data"]["format"] = {EVIL: [EVIL, EVIL]}
    (directory / "result.json").write_text(json.dumps(result))
    events = trace(["worker_0"], 2)
    events["traceEvents"][1]["args"]["name"] = EVIL
    (directory / "trace.json").write_text(json.dumps(events))
    text = make_page(read_runs(find_runs([tmp_path])))
    page = Page(text)
    assert [tag for tag, _ in page.tags if tag in ("script", "img", "b", "iframe")].count(
        "script"
    ) == 1
    assert "img" not in [tag for tag, _ in page.tags]
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert page.text.count("<script>alert('x')</script>") >= 5
    assert {"accuracy", "time", "rounds", "memory"} <= set(page.sections)
    assert not re.search("[\x1b\ud800\u202e]", text)
    text.encode()


FILES = {
    "result.json": ("runs", "unreadable"),
    "rounds.csv": ("accuracy", "no run has finished a round"),
    "trace.json": ("rounds", "no run has a trace.json"),
}
DAMAGE = {
    "empty": b"",
    "cut": b'{"status": "ok", "traceEvents": [{"ph"',
    "bytes": b"\xff\xfe\x00\x01",
    "nested": b"[" * 100_000,
    "foreign": b'{"status": 3, "traceEvents": {"a": 1}}',
    "list": b"[1]",
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("file", FILES)
def test_damage_costs_its_own_part_and_is_said(tmp_path, file, damage):
    part, reason = FILES[file]
    directory = write_run(tmp_path / "0")
    (directory / file).write_bytes(DAMAGE[damage])
    page = page_of(tmp_path)
    if file == "result.json":
        assert page.sections[0] == "accuracy"  # rounds.csv can still be read
        status, *_, error, _ = page.rows[-1]
        assert (status, "result.json: " in error) == (
            ("3", False) if damage == "foreign" else (reason, True)
        )
    else:
        assert page.sections == [
            name
            for name in (*PARTS, "runs", "origin", "missing")
            if name not in (part, "scaling", "grids")
        ]
        missing = page.text[page.text.rindex("What is not here") :]
        assert reason in missing
        assert f"thread, 2 workers: {file}: " in missing


def test_runs_without_an_account_beside_others_are_counted(tmp_path):
    write_run(tmp_path / "0")
    write_run(tmp_path / "1", parts=("rounds",))
    page = page_of(tmp_path)
    assert "time" in page.sections
    assert "Where the time went: 1 run has no account" in page.text


def test_damage_of_one_run_does_not_cost_the_others(tmp_path):
    for number in range(3):
        write_run(tmp_path / str(number), seed=number)
    (tmp_path / "1" / "rounds.csv").write_text("nothing\n1\n")
    (tmp_path / "1" / "trace.json").write_text("{")
    (tmp_path / "2" / "rounds.csv").unlink()
    result = json.loads((tmp_path / "1" / "result.json").read_text())
    result["account"] = [{"who": "worker_0", "wall_s": "long"}]
    (tmp_path / "1" / "result.json").write_text(json.dumps(result))
    page = page_of(tmp_path)
    kept = ["accuracy", "time", "rounds", "memory", "data"]
    assert page.sections == [*kept, "runs", "origin", "missing"]
    missing = page.text[page.text.rindex("What is not here") :]
    assert "seed=1: rounds.csv: ValueError: is no table of rounds" in missing
    assert "seed=1: result.json, account: KeyError" in missing
    assert "seed=2: rounds.csv: No such file or directory" in missing
    assert "seed=0: " not in missing


@pytest.mark.parametrize(
    "data",
    [[1], "x", {"num_ratings": 1}, DATA | {"new": 1}, DATA | {"scale": 3}, DATA | {"mean": "x"},
     DATA | {"format": {"columns": ["one"]}}, DATA | {"left_out": {"why": "x"}}],
)  # fmt: skip
def test_facts_that_make_no_sense_are_left_out_and_this_is_said(tmp_path, data):
    write_run(tmp_path / "0", also={"data": data})
    page = page_of(tmp_path)
    assert "data" not in page.sections
    missing = page.text[page.text.rindex("What is not here") :]
    assert "result.json, data: " in missing
    assert PARTS["data"][2] in missing


@pytest.mark.parametrize(
    "account",
    [
        {},
        [1],
        ["x"],
        [{"who": "a", "wall_s": 1, "seconds": [1]}],
        [{"who": "a", "wall_s": 1, "seconds": {"compute": "x"}}],
        7,
    ],
)
def test_an_account_of_another_kind_costs_its_part_only(tmp_path, account):
    directory = write_run(tmp_path / "run")
    result = json.loads((directory / "result.json").read_text()) | {"account": account}
    (directory / "result.json").write_text(json.dumps(result))
    assert {"accuracy", "rounds", "memory", "runs"} <= set(page_of(tmp_path).sections)


def test_figures_that_no_run_has_do_not_cost_the_page(tmp_path):
    for number, seconds in enumerate([float("inf"), -1, 0, 1e300, True, "1", None]):
        directory = write_run(tmp_path / str(number), seed=number)
        result = json.loads((directory / "result.json").read_text())
        result["account"][0]["seconds"] = {"compute": seconds, "wait": 1.0}
        result["memory"]["shared_bytes"] = seconds
        (directory / "result.json").write_text(json.dumps(result))
    page = page_of(tmp_path)
    assert {"accuracy", "time", "rounds", "memory", "runs"} <= set(page.sections)


def test_runs_that_were_refused_or_killed_are_in_the_table(tmp_path):
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "config.yaml").write_text("workers: 5\n")
    page = page_of(tmp_path)
    assert page.sections == ["runs", "origin", "missing"]
    assert page.rows[-1][0] == "no result"
