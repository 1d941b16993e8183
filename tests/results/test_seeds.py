"""The spread over seeds: its figures, and the runs that belong to one configuration."""

import math
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddp.results.run_file import RunFile
from ddp.results.screen import print_runs, rows_of
from ddp.results.seeds import over_seeds, spread, t_of

# Student's t, 97.5 %, of the tables (NIST/SEMATECH e-Handbook, 1.3.6.7.2)
TABLE = {
    **{1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262},
    **{10: 2.228, 15: 2.131, 19: 2.093, 24: 2.064, 29: 2.045, 40: 2.021, 60: 2.000, 99: 1.984},
}
figures = st.integers(-(10**9), 10**9).map(lambda number: number / 1e4)


def run(seed=0, status="ok", rmse=1.0, seconds=1.0, machine="one", **settings):
    known = {"workers": 2, "backend": "thread", "split.seed": None, "seed": seed} | settings
    return RunFile(
        directory=Path(str(seed)),
        status=status,
        settings=known,
        outcome={"test_rmse": rmse, "valid_rmse": rmse + 1, "total_s": 9.0, "train_s": seconds},
        content={"environment": {"cpu_model": machine, "usable_cores": 2}},
    )


def unknown():
    return RunFile(directory=Path("unknown"), status="no result", error="killed")


@pytest.mark.parametrize(("degrees", "expected"), TABLE.items())
def test_t_is_that_of_the_tables(degrees, expected):
    assert t_of(degrees) == pytest.approx(expected, abs=5.1e-4)


@given(st.integers(1, 60))
def test_t_encloses_95_percent_of_its_density(degrees):
    half = np.linspace(0.0, t_of(degrees), 20_001)
    scale = math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2))
    density = scale / math.sqrt(degrees * math.pi) * (1 + half**2 / degrees) ** -((degrees + 1) / 2)
    assert 2 * np.trapezoid(density, half) == pytest.approx(0.95, abs=1e-6)


@given(st.integers(1, 3000))
def test_t_falls_towards_that_of_the_normal_distribution(degrees):
    assert t_of(degrees) > t_of(degrees + 1) > NormalDist().inv_cdf(0.975)


@given(st.lists(figures, min_size=2, max_size=30))
def test_a_spread_is_that_of_numpy(values):
    found = spread(values)
    size = max(map(abs, values))
    assert found.count == len(values)
    assert found.mean == pytest.approx(np.mean(values), abs=1e-9 * size)
    assert found.std == pytest.approx(np.std(values, ddof=1), abs=1e-7 * size)
    half = t_of(len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    assert found.high - found.mean == pytest.approx(half, abs=1e-6 * size)
    assert found.mean - found.low == pytest.approx(half, abs=1e-6 * size)


def test_the_interval_holds_the_true_mean_in_95_of_100_samples():
    draws = np.random.default_rng(0).normal(3.0, 2.0, (4000, 5))
    spreads = [spread(row.tolist()) for row in draws]
    assert np.mean([own.low <= 3.0 <= own.high for own in spreads]) == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize("values", [[], [2.5]])
def test_one_seed_has_neither_a_deviation_nor_an_interval(values):
    found = spread(values)
    assert (found.count, found.mean) == (len(values), values[0] if values else None)
    assert (found.std, found.low, found.high) == (None, None, None)


def test_runs_that_differ_in_their_seed_alone_are_one_configuration():
    runs = [
        run(seed, rmse=seed + shift, seconds=shift, workers=workers, tracker=str(seed))
        for seed in (0, 1, 5)
        for workers, shift in ((1, 1.0), (2, 2.0))
    ]
    one, two = over_seeds(runs)
    assert [own.settings["workers"] for own in (one, two)] == [1, 2]
    assert one.spreads["test_rmse"] == spread([1.0, 2.0, 6.0])
    assert two.spreads["test_rmse"] == spread([2.0, 3.0, 7.0])
    assert two.spreads["valid_rmse"] == spread([3.0, 4.0, 8.0])
    assert two.spreads["train_s"] == spread([2.0] * 3)
    assert "seed" not in one.settings


@pytest.mark.parametrize(
    "other",
    [{"workers": 3}, {"split.seed": 0}, {"backend": "serial"}, {"machine": "two"}, {"lr": 0.1}],
)
def test_any_other_difference_makes_another_configuration(other):
    assert over_seeds([run(0), run(1, **other)]) == []
    one, two = over_seeds([run(0), run(0, **other), run(1), run(1, **other)])
    assert one.settings != two.settings


@pytest.mark.parametrize("runs", [[], [run(3)], [run(3), run(3)], [unknown(), run(1)]])
def test_without_two_seeds_there_is_no_configuration(runs):
    assert over_seeds(runs) == []


def test_a_setting_that_an_older_version_did_not_have_is_the_same_as_null():
    old = run(0)
    del old.settings["split.seed"]
    old.settings["split.seed"] = "-"
    (both,) = over_seeds([old, run(1)])
    assert both.spreads["test_rmse"].count == 2


def test_runs_of_one_seed_count_once():
    (own,) = over_seeds([run(0, seconds=1.0), run(0, seconds=3.0), run(1, rmse=2.0, seconds=4.0)])
    assert own.spreads["test_rmse"] == spread([1.0, 2.0])
    assert own.spreads["train_s"] == spread([2.0, 4.0])


def test_failed_runs_do_not_count_and_are_said(capsys):
    nan = math.nan
    runs = [run(0, rmse=1.0), run(1, rmse=7.0, status="failed"), run(2, rmse=nan, seconds=nan)]
    (own,) = over_seeds([*runs, unknown()])
    assert own.failed == 1
    assert own.spreads == {name: spread([value]) for name, value in
                           (("test_rmse", 1.0), ("valid_rmse", 2.0), ("train_s", 1.0))}  # fmt: skip
    (none,) = over_seeds([run(seed, status="interrupted") for seed in (0, 1)])
    assert (none.failed, none.spreads) == (2, {"test_rmse": spread([])})
    print_runs([*runs, unknown()], None)
    lines = capsys.readouterr().out.splitlines()
    assert "thread 2 test rmse 1 1 1.0000 - - -" in [" ".join(reversed_keys(x)) for x in lines]
    assert "in no row: 1 run without known settings" in lines


def reversed_keys(line):
    """The words of a line of the table, the backend first."""
    words = line.split()
    return [words[1], words[0], *words[2:]] if words[:1] == ["2"] else words


@pytest.mark.parametrize("value", [10**400, 1e308, math.inf, -math.inf, "x", None, True])
def test_nothing_in_a_damaged_file_costs_the_table(value):
    runs = [run(seed, lr=value) for seed in (0, 1)] + [run(value), run(value)]
    outcomes = {"test_rmse": 1e308, "valid_rmse": math.inf, "train_s": -math.inf, "total_s": 0.0}
    large = [
        RunFile(directory=Path(), status="ok", settings=run(seed).settings, outcome=outcomes)
        for seed in (0, 1)
    ]
    print_runs([*runs, *large], None)
    assert len(rows_of(runs)) == 4
