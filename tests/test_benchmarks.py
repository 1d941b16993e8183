"""Every benchmark, at a tiny size: what it prints and writes is consistent. Nothing here says how fast anything is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.measure import Row, Unavailable, add_ratio, in_turn, shown

REPOSITORY = Path(__file__).parent.parent
DATA = ("data.num_users=60", "data.num_items=40", "data.num_ratings=1200", "data.popularity=0.3")


@pytest.fixture
def benchmark(tmp_path):
    """`benchmark(name, *arguments)`: runs it; its rows, by their labels, and what it printed."""

    def run(name, *arguments):
        output = tmp_path / "deeper" / f"{name}.json"
        command = [sys.executable, "-m", f"benchmarks.{name}", "--repeats", "2", "--output", str(output), *arguments]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        document = json.loads(output.read_text(encoding="utf-8"))
        assert document["benchmark"] == name
        assert document["command"] == " ".join(["python -m", f"benchmarks.{name}", *command[3:]])
        assert document["machine"]["cores"] > 0
        assert "torch" in document["machine"]["versions"]
        for row in document["rows"]:
            for figure in row["figures"].values():
                assert len(figure["values"]) == 2
                assert min(figure["values"]) == figure["low"] <= figure["median"] <= figure["high"] == max(figure["values"])
        return document["rows"], done.stdout

    return run


def median(row, figure):
    return row["figures"][figure]["median"]


# --- what they share ---------------------------------------------------------------------------------------


def test_candidates_take_turns_and_one_that_cannot_leaves_a_gap():
    turns = []

    def candidate(name):
        def measure():
            turns.append(name)
            if name == "b":
                raise Unavailable("no b here")
            return {"s": float(len(turns))}

        return measure

    a, b, c = in_turn([({"name": name}, candidate(name)) for name in "abc"], repeats=2)
    assert turns == ["a", "b", "c", "a", "c"]
    assert (a.figures, c.figures) == ({"s": [1.0, 4.0]}, {"s": [3.0, 5.0]})
    assert (b.figures, b.note, b.cell("s")) == ({}, "no b here", "-")


def test_ratios_are_of_neighbours():
    fast, slow, gap = Row(labels={}, figures={"s": [1.0, 2.0]}), Row(labels={}, figures={"s": [10.0, 40.0]}), Row(labels={})
    add_ratio([fast, slow, gap], "times as fast", "s", slow, faster=True)
    add_ratio([fast, slow, gap], "times as long", "s", fast, faster=False)
    assert fast.figures["times as fast"] == [10.0, 20.0]
    assert slow.figures["times as long"] == [10.0, 20.0]
    assert gap.figures == {}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([3.0, 1.0, 2.0], "2.00 (1.00 - 3.00)"),
        ([0.01234], "0.012"),
        ([12.345, 12.345], "12.3"),
        ([1234.5, 1000.0], "1117 (1000 - 1234)"),
        ([0.0], "0"),
    ],
)
def test_figures_are_shown_with_three_digits(values, text):
    assert shown(values) == text


# --- the commands --------------------------------------------------------------------------------------------


def test_exchange_accounts_for_the_round(benchmark):
    rows, _ = benchmark("exchange", "--sizes", "2000", "--workers", "2", "--rounds", "3", "--backends", "thread")
    by = {row["by"]: row for row in rows}
    assert [*by] == ["copy", "gloo", "thread"]
    thread = by["thread"]
    for ratio, baseline in (("times the copies needed", by["copy"]), ("times gloo", by["gloo"])):
        both = zip(thread["figures"]["round, ms"]["values"], baseline["figures"]["round, ms"]["values"], strict=True)
        assert thread["figures"][ratio]["values"] == pytest.approx([own / base for own, base in both])
    parts = sum(min(thread["figures"][f"{part}, ms"]["values"]) for part in ("publish", "receive"))
    assert 0 < parts < max(thread["figures"]["round, ms"]["values"])
    assert median(thread, "pickled, kB") == 0
    assert 0 < median(thread, "lock held, ms") <= median(thread, "lock held at most, ms")


def test_kernel_compares_what_is_installed(benchmark):
    arguments = ("--data", "synthetic", "--dims", "8", "--visits", "5000", "--contenders", "autograd", "Surprise", "--", *DATA)
    rows, printed = benchmark("kernel", "--markdown", "--workers", "2", *arguments)
    autograd, surprise = rows
    assert (autograd["k"], autograd["workers"], autograd["contender"]) == (8, 2, "autograd")
    assert median(autograd, "million ratings/s") > 0
    assert surprise["figures"] == {}  # it has no threads, wherever it is installed
    assert surprise["note"] in printed
    (line,) = [line for line in printed.splitlines() if line.startswith("| synthetic")]
    assert line.endswith("| - |")


@pytest.mark.slow
def test_exchange_pickles_in_processes(benchmark):
    rows, _ = benchmark("exchange", "--sizes", "2000", "--workers", "1", "--rounds", "3", "--backends", "process")
    assert median(rows[-1], "pickled, kB") > 2 * 4 * 1.9  # published and received, four bytes each


@pytest.mark.slow
def test_headline_measures_against_the_seeds(benchmark):
    small = ("data=synthetic", *DATA, "workers=2", "rounds=2", "local_epochs=2", "tensorboard=false", "select_on=test")
    rows, printed = benchmark("headline", "--systems", "seed_thread", "thread + autograd", "serial + autograd", "--", *small)
    seed, thread, serial, _, defaults = rows
    assert seed["figures"]["times as fast as seed_thread"]["values"] == [1.0, 1.0]
    for row in (seed, thread, serial):
        assert median(row, "run without imports, s") < median(row, "whole command, s")
        assert row["figures"]["aggregated test RMSE"] == serial["figures"]["aggregated test RMSE"]
    assert median(thread, "wait for the aggregate, ms per round") < median(seed, "wait for the aggregate, ms per round")  # polls
    assert defaults["system"].startswith("python train.py data=synthetic")
    assert "times as fast as seed_thread" in " ".join(printed.split())


@pytest.mark.slow
def test_scaling_deals_the_same_work(benchmark):
    small = (*DATA, "rounds=2", "local_epochs=2", "tensorboard=false", "model=tiny")
    arguments = ("--data", "synthetic", "--systems", "thread + autograd", "--workers", "1", "2", "--", *small)
    one, two = benchmark("scaling", *arguments)[0]
    assert one["figures"]["speed-up"]["values"] == one["figures"]["efficiency"]["values"] == [1.0, 1.0]
    work = [median(row, "training, s") * median(row, "million ratings/s") for row in (one, two)]
    assert work == pytest.approx([1140 * 4 / 1e6] * 2, rel=0.5)  # ratings x epochs; a median of products is not theirs
    assert median(two, "efficiency") <= median(two, "speed-up")
