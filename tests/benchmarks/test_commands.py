"""The help of every benchmark, and whole benchmarks at a tiny size."""

import re
import sys
from importlib import import_module

import pytest
from small_runs import DATA, REPOSITORY, median

from benchmarks import sweeps, time_to_accuracy
from ddp.machine.cores import num_cores

COMMANDS = sorted(
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
    for path in (REPOSITORY / "benchmarks").rglob("*.py")
    if 'command_line("' in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("module", COMMANDS)
def test_help_names_the_command_and_has_a_line_on_each_option(module, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [module, "--help"])
    with pytest.raises(SystemExit, match="0"):
        import_module(module).main()
    shown = capsys.readouterr().out
    assert f"usage: python -m {module.removesuffix('.__main__')} " in shown
    _, options = shown.split("\noptions:\n")
    for option in re.findall(r"^  --[\w-]+", options, re.MULTILINE):
        assert re.search(rf"^{option}\b.*(  |\n {{10,}})[^\s].{{5,}}$", options, re.MULTILINE), (
            option
        )


@pytest.mark.slow
def test_time_to_accuracy(benchmark):
    rows, _ = benchmark("time_to_accuracy", "--repeats", "1", "--data", "ml100k")
    assert [row["by"] for row in rows][:6] == list(time_to_accuracy.OURS)
    assert len(rows) == 8
    for row in rows:
        assert median(row, time_to_accuracy.RATIO) == pytest.approx(
            median(row, time_to_accuracy.TIME) / median(rows[0], time_to_accuracy.TIME)
        )
        assert 1 <= median(row, time_to_accuracy.EPOCHS) <= 60


@pytest.mark.slow
def test_headline(benchmark):
    small = (
        "data=synthetic",
        *DATA,
        "workers=2",
        "rounds=2",
        "local_epochs=2",
        "tensorboard=false",
        "select_on=test",
    )
    rows, printed = benchmark(
        "headline",
        "--repeats",
        "1",
        "--markdown",
        "--systems",
        "seed_thread",
        "serial + autograd",
        "--",
        *small,
    )
    seed, serial, _, defaults = rows
    assert seed["figures"]["times as fast as seed_thread"]["values"] == [1.0]
    for row in (seed, serial):
        assert median(row, "run without imports, s") < median(row, "whole command, s")
        assert row["figures"]["aggregated test RMSE"] == serial["figures"]["aggregated test RMSE"]
    assert defaults["system"].startswith("python train.py data=synthetic")
    assert "times as fast as seed_thread" in printed


@pytest.mark.slow
def test_scaling(benchmark):
    small = (*DATA, "rounds=2", "local_epochs=2", "tensorboard=false", "model=tiny")
    arguments = (
        "--data",
        "synthetic",
        "--systems",
        "thread + autograd",
        "--workers",
        "1",
        "2",
        "--",
        *small,
    )
    rows, _ = benchmark("scaling", "--repeats", "1", *arguments)
    for row in rows:
        assert median(row, "training, s") * median(row, "million ratings/s") == pytest.approx(
            1140 * 2 * 2 / 1e6
        )  # 5 % of 1,200 are held out
    one, two = rows
    assert median(one, "speed-up") == median(one, "efficiency") == 1.0
    assert median(two, "speed-up") == pytest.approx(
        median(one, "training, s") / median(two, "training, s")
    )
    assert median(two, "efficiency") == pytest.approx(median(two, "speed-up") / min(2, num_cores()))


@pytest.mark.slow
def test_sweeps(benchmark):
    rows, printed = benchmark("sweeps", "--repeats", "1", "--markdown", "--", *DATA, "model=tiny")
    assert "gibbs: 20 sweeps, embedding size 8" in printed
    for model in sweeps.MODELS:
        own = [row for row in rows if row["model"] == model and row["by"] in sweeps.OURS]
        assert [row["by"] for row in own] == list(sweeps.OURS)
        assert len({median(row, sweeps.RMSE) for row in own}) == 1  # the same bits
        assert all(
            median(row, sweeps.SWEEP) * 20 / 1e3 < 2 * median(row, sweeps.FIT) for row in own
        )
        for row in rows:
            if row["model"] == model and row not in own and row["note"] is None:
                assert median(row, "times 2 threads") == pytest.approx(
                    median(row, sweeps.SWEEP) / median(own[1], sweeps.SWEEP)
                )


@pytest.mark.slow
def test_limits_tells_what_works_and_what_grew(benchmark):
    rows, printed = benchmark("limits", "--only", "24 processes, shm", "50 runs, thread")
    assert [row["what"] for row in rows] == ["24 processes, shm", "50 runs, thread"]
    assert [row["note"] for row in rows] == [None, None]
    assert all(median(row, "peak, MB") > 100 for row in rows)
    assert (median(rows[1], "descriptors grew"), median(rows[1], "threads grew")) == (0, 0)
    assert "yes" in printed


def test_row_kernel(benchmark):
    options = ("--data", "synthetic", "--dims", "3", "8", "--seconds", "0.02", "--repeats", "1")
    rows, _ = benchmark("row_kernel", *options, "--", *DATA)
    named = [(row["k"], row["rows"]) for row in rows]
    assert named == [(dim, side) for dim in (3, 8) for side in ("users", "items")]
    for row in rows:
        assert median(row, "share of it, %") == pytest.approx(
            100 * median(row, "billion multiply-adds/s") / median(row, "of a dense product")
        )
        assert 0 < median(row, "share of it, %") < 100


def test_reading(benchmark):
    rows, _ = benchmark("reading", "--repeats", "1", "--sizes", "500", "700")
    named = [(row["ratings"], row["format"]) for row in rows]
    assert named == [(size, way) for size in ("500", "700") for way in ("given", "recognised")]
    for given, recognised in (rows[:2], rows[2:]):
        assert median(given, "times given") == 1.0
        assert median(recognised, "times given") == pytest.approx(
            median(recognised, "read, s") / median(given, "read, s")
        )
        assert median(recognised, "recognise, ms") > 0
