"""Tables fit the terminal: no number is cut or folded, however narrow it is."""

import re
from itertools import pairwise

import pytest
from consoles import a_console, shown_on
from hypothesis import given
from hypothesis import strategies as st
from made_runs import make_run
from rich.console import Console

from ddp.results.fitting import (
    Column,
    in_tables,
    least_width,
    natural_width,
    print_table,
    that_fit,
)
from ddp.results.run_file import read_runs
from ddp.results.screen import print_runs
from ddp.tracking.terminal import UNKNOWN_WIDTH, make_console

CODES = r"\x1b\[[0-9;]*m"
numbers = st.lists(st.floats(-999, 999).map("{:.4f}".format), min_size=2, max_size=2)
columns = st.builds(
    Column, header=st.sampled_from(["", "test\nrmse", "aggregation.outer\nlr"]), cells=numbers
)
texts = st.lists(st.text("abc /", max_size=40), min_size=2, max_size=2)
folding = st.builds(
    Column, header=st.just("directory"), cells=texts, right=st.just(False), folds=st.just(True)
)
KEY = Column(header="", cells=["aggregated", "worker_12"], right=False)


def printed(width, columns, title=""):
    console = a_console(terminal=False, width=width)
    print_table(console, title, columns)
    return shown_on(console).splitlines()


@given(st.lists(columns | folding, min_size=1, max_size=6), st.integers(1, 120))
def test_a_table_shows_every_number_whole_and_is_no_wider_than_it_must(columns, width):
    lines = printed(width, columns)
    words = " ".join(lines).split()
    for column in columns:
        if not column.folds:
            assert set(column.cells) <= set(words)
    assert max(map(len, lines)) <= max(width, least_width(columns))
    assert max(map(len, lines)) <= natural_width(columns)


@given(st.lists(columns, min_size=1, max_size=8), st.integers(1, 120))
def test_columns_that_do_not_fit_go_into_further_tables(columns, width):
    tables = in_tables([KEY], columns, width)
    assert [column for table in tables for column in table[1:]] == columns
    for table in tables:
        assert table[0] is KEY
        assert least_width(table) <= width or len(table) == 2
    for table, following in pairwise(tables):
        assert least_width([*table, following[1]]) > width


@given(st.lists(columns | folding, min_size=1, max_size=8), st.integers(1, 120), st.randoms())
def test_the_most_important_columns_are_shown(columns, width, random):
    importance = random.sample(range(len(columns)), len(columns))
    chosen = that_fit(columns, importance, width)
    assert chosen == sorted(chosen)
    assert importance[0] in chosen
    assert len(chosen) == 1 or least_width([columns[place] for place in chosen]) <= width
    if width >= least_width(columns):
        assert len(chosen) == len(columns)


def test_a_text_is_folded_and_a_wide_terminal_folds_nothing():
    path = Column(header="path", cells=["/a/long/path/of/a/run"], right=False, folds=True)
    number = Column(header="test\nrmse", cells=["0.9123"])
    assert [line.split() for line in printed(25, [path, number])][2:] == [
        ["/a/long/path/of/a/", "0.9123"],
        ["run"],
    ]
    assert printed(80, [path, number])[2].split() == ["/a/long/path/of/a/run", "0.9123"]


@pytest.mark.parametrize(("columns", "width"), [("0", UNKNOWN_WIDTH), ("40", 40), ("1", 1)])
def test_the_console_is_as_wide_as_it_is_told(monkeypatch, columns, width):
    monkeypatch.setenv("COLUMNS", columns)
    assert make_console().width == width


@pytest.mark.parametrize("columns", ["abc", "", "-3", None])
def test_a_width_that_is_none_changes_nothing(monkeypatch, columns):
    monkeypatch.delenv("COLUMNS", raising=False)
    usual = Console().width
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    assert make_console().width == usual > 0


@pytest.fixture
def runs(tmp_path):
    """Runs of two backends and three seeds, one of which failed."""
    for number, (backend, seed) in enumerate((b, s) for b in ("thread", "shm") for s in (0, 1, 2)):
        status = "failed" if number == 4 else "ok"
        make_run(
            tmp_path / f"a long name of a directory {number}",
            f'{{"status": "{status}", "error": null, "config": {{"workers": 12, "seed": {seed},'
            f' "backend": {{"name": "{backend}"}}}}, "rmse": {{"test": 0.9{number}1, "valid":'
            f' 1.0{number}2}}, "seconds": {{"train": 1{number}.25, "total": 123{number}.5}}}}',
        )
    return read_runs(sorted(tmp_path.iterdir()))


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("width", ["0", "1", "25", "40", "60", "80", "abc", None])
def test_the_rmse_of_runs_and_seeds_is_readable(runs, monkeypatch, capsys, terminal, width):
    monkeypatch.delenv("COLUMNS", raising=False)
    if width is not None:
        monkeypatch.setenv("COLUMNS", width)
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    print_runs(runs, None)
    text = re.sub(CODES, "", capsys.readouterr().out)
    for run in runs:
        assert re.search(rf"(?<!\S){run.outcome['test_rmse']:.4f}(?!\S)", text)
        if width not in ("1", "25"):
            line = rf"^{run.status} .*{run.settings['backend']} +{run.settings['seed']} .*"
            assert re.search(rf"{line}{run.outcome['test_rmse']:.4f}(?!\S)", text, re.MULTILINE)
    for mean, deviation in (("0.9110", "0.0100"), ("0.9410", "0.0141")):
        assert re.search(rf"(?<!\S){mean}(?!\S)", text)
        assert re.search(rf"(?<!\S){deviation}(?!\S)", text)
    wide = not terminal or width in ("80", "0", "abc", None)
    assert not wide or max(map(len, text.splitlines())) > 40
    if terminal and width in ("40", "60"):
        assert max(map(len, text.splitlines())) <= int(width)
        assert "no room for: " in text
