"""Tables of documents follow from the JSON of benchmarks."""

import json
import sys

import pytest

from benchmarks import tables

FIGURES = {
    "command": "python -m benchmarks.some --output benchmarks/results/some.json --markdown -- a=1",
    "date": "2026-11-27T18:00:00+00:00",
    "machine": {"cpu": "A CPU", "cores": 2, "python": "3.11.7", "others": 0.0},
    "tables": [
        {"header": ["job", "s"], "cells": [["a | b", "1.0 (0.9 - 1.1)"], ["c", "-"]]},
    ],
}
PAGE = "before\n\n<!-- table: some 0{} -->\nold\n<!-- /table -->\n\nafter\n"


@pytest.fixture
def results(tmp_path):
    """`results(**changes)`: a folder with one file of figures."""

    def write(**changes):
        (tmp_path / "some.json").write_text(json.dumps(FIGURES | changes), encoding="utf-8")
        return tmp_path

    return write


def test_a_table_has_its_figures_and_names_their_source(results):
    assert tables.with_tables(PAGE.format(""), results()).splitlines()[2:-2] == [
        "<!-- table: some 0 -->",
        "",
        "| job | s |",
        "| --- | ---: |",
        r"| a \| b | 1.0 (0.9 - 1.1) |",
        "| c | - |",
        "",
        "*`python -m benchmarks.some -- a=1`: 2 cores (A CPU), Python 3.11.7, 2026-11-27*",
        "",
        "<!-- /table -->",
    ]


def test_a_turned_table_has_a_column_for_each_line(results):
    turned = tables.with_tables(PAGE.format(" turned"), results())
    assert "| job | a \\| b | c |\n| --- | ---: | ---: |\n| s | 1.0<br>(0.9 - 1.1) | - |" in turned


def test_the_source_says_if_other_programs_ran(results):
    busy = FIGURES["machine"] | {"others": 0.38}
    text = tables.with_tables(PAGE.format(""), results(machine=busy))
    assert "Python 3.11.7, other programs used 38% of it, 2026-11-27" in text


def test_writing_again_changes_nothing_and_new_figures_do(results):
    once = tables.with_tables(PAGE.format(""), results())
    assert tables.with_tables(once, results()) == once
    new = results(tables=[{"header": ["job", "s"], "cells": [["a", "2.0"]]}])
    assert "| a | 2.0 |" in tables.with_tables(once, new)


def test_check_writes_nothing_and_fails_for_a_table_that_differs(
    results, tmp_path, monkeypatch, capsys
):
    page = tmp_path / "README.md"
    page.write_text(PAGE.format(""), encoding="utf-8")
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    monkeypatch.setattr(tables, "documents", lambda: [page])
    written = tables.with_tables(PAGE.format(""), results())
    monkeypatch.setattr(
        tables, "with_tables", lambda text, of=tables.with_tables: of(text, tmp_path)
    )
    monkeypatch.setattr(sys, "argv", ["tables", "--check"])
    with pytest.raises(SystemExit, match="1"):
        tables.main()
    assert page.read_text(encoding="utf-8") == PAGE.format("")
    assert "README.md" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["tables"])
    with pytest.raises(SystemExit, match="0"):
        tables.main()
    assert page.read_text(encoding="utf-8") == written
