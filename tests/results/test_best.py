"""The lines below the table: the best run with its command, and the gain of the fastest."""

import shlex
from dataclasses import asdict
from pathlib import Path

import pytest

from ddp.config.defaults import default_config
from ddp.config.schema import settings
from ddp.results.best import best_and_fastest
from ddp.results.run_file import RunFile
from ddp.results.ties import tie


def a_run(name, rmse, seconds, status="ok", **changes):
    config = asdict(default_config()) | {
        key: value for key, value in changes.items() if key != "backend"
    }
    if "backend" in changes:
        config["backend"] = asdict(default_config(backend=changes["backend"]).backend)
    return RunFile(
        directory=Path(name),
        status=status,
        settings=settings(config),
        outcome={"valid_rmse": rmse, "test_rmse": rmse + 0.01, "train_s": seconds},
        content={"config": config},
    )


def test_the_best_and_its_command_and_the_fastest_and_its_gain_are_told():
    runs = [
        a_run("0", 0.95, 2.0, backend="process", workers=5),
        a_run("1", 0.91, 3.0, backend="process", workers=2),
        a_run("2", 0.92, 1.0, backend="thread", workers=3),
        a_run("3", 0.99, 40.0, backend="thread", workers=4),
        a_run("4", 0.5, 0.1, "failed", workers=9),
    ]
    assert best_and_fastest(runs) == [
        ("best", "backend=process, workers=2: validation RMSE 0.9100, test 0.9200"),
        ("repeat", "python train.py backend=process workers=2"),
        (
            "fastest",
            "backend=thread, workers=3: training took 1.00 s, the 3 others 2.0 to 40 times as"
            " long; validation RMSE +0.0100",
        ),
    ]


def test_the_best_of_several_seeds_is_their_mean_and_the_command_has_all_seeds():
    runs = [
        a_run(f"{backend}{seed}", rmse, seconds, backend=backend, seed=seed)
        for backend, seed, rmse, seconds in (
            ("thread", 3, 0.90, 1.0), ("thread", 7, 0.98, 3.0),
            ("process", 3, 0.92, 5.0), ("process", 7, 0.92, 3.0),
        )
    ]  # fmt: skip
    best, repeat, fastest = (text for _, text in best_and_fastest(runs))
    about = "on average over 2 seeds"
    tie = "(a tie with 1 other, within the spread of 2"  # thread: 0.94, with 0.057 of deviation
    assert best == f"backend=process: validation RMSE 0.9200, test 0.9300 {about} {tie} seeds)"
    assert repeat == "python train.py -m seed=3,7 backend=process"
    told = f"training took 2.00 s {about}, the other 2.0 times as long; validation RMSE +0.0200"
    assert fastest == f"backend=thread: {told}"


def test_differences_within_the_spread_are_ties():
    runs = [
        a_run(f"{workers}{seed}", rmse, seconds, workers=workers, seed=seed)
        for workers, seed, rmse, seconds in (
            (1, 0, 0.90, 2.0), (1, 0, 0.90, 4.0), (1, 1, 0.92, 3.0),  # RMSE 0.91, seconds 3.0
            (2, 0, 0.91, 1.0), (2, 1, 0.93, 5.0),  # 0.92 and 3.0: deviations 0.014 and 2.8
            (3, 0, 0.94, 6.0), (3, 1, 0.94, 6.0),  # 0.94 and 6.0, without a deviation
        )
    ]  # fmt: skip
    best, _, fastest = (text for _, text in best_and_fastest(runs))
    assert best.endswith("(a tie with 1 other, within the spread of 2 seeds)")
    assert "times as long (a tie with 1 other, within the spread of 3 runs)" in fastest
    assert tie([0.91], [0.91, 0.93])
    assert not tie([0.9], [0.9])  # one run shows no spread
    assert not tie([], [0.9, 1.1])


def test_equal_runs_are_told_and_the_best_can_be_the_fastest():
    runs = [a_run(str(workers), 0.9, workers, workers=workers) for workers in (1, 2, 3)]
    (_, best), _, (_, fastest) = best_and_fastest(runs)
    assert best == "workers=1: validation RMSE 0.9000, test 0.9100 (2 others have the same)"
    assert fastest.endswith("; it is the best as well")


def test_a_command_with_blanks_is_quoted():
    data = {"name": "csv", "path": "my data.csv"}
    runs = [a_run(str(seed), 0.9 + workers / 10, 1.0, data=data, workers=workers, seed=seed)
            for seed, workers in ((0, 1), (1, 2))]  # fmt: skip
    ((_, command),) = [line for line in best_and_fastest(runs) if line[0] == "repeat"]
    assert shlex.split(command)[2:] == ["data=csv", "data.path='my data.csv'", "workers=1"]


@pytest.mark.parametrize(
    "runs",
    [
        [],
        [a_run("0", 0.9, 1.0)],
        [a_run("0", 0.9, 1.0, seed=0), a_run("1", 0.9, 1.0, seed=1)],
        [a_run("0", 0.9, 1.0), a_run("1", 0.9, 1.0, "failed", workers=3)],
        [a_run("0", 0.9, 1.0), a_run("1", 0.8, 1.0, data={"name": "synthetic"})],
    ],
    ids=["none", "one", "one of two seeds", "one that ended well", "other ratings"],
)
def test_nothing_is_told_where_there_is_nothing_to_compare(runs):
    assert best_and_fastest(runs) == []


@pytest.mark.parametrize("missing", [float("nan"), 0.0, 1e300])
def test_figures_that_are_missing_or_no_figures_are_left_out(missing):
    runs = [a_run("0", missing, missing, workers=1), a_run("1", 0.9, 1.0, workers=2)]
    (_, best), (label, _) = best_and_fastest(runs)
    assert best.startswith("workers=2: validation RMSE 0.9000")
    assert label == "repeat"
    assert best_and_fastest([a_run(str(n), missing, missing, workers=n) for n in (1, 2)]) == []
    damaged = RunFile(directory=Path("2"), status="ok", settings={"workers": 1}, outcome={})
    assert best_and_fastest([damaged, damaged]) == []
