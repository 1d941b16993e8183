"""The benchmark of the advice: its jobs, regret, and the command."""

from itertools import product

import pytest
from machines import write_calibration
from small_runs import DATA, median

from benchmarks.crossover import __main__ as crossover
from benchmarks.crossover.jobs import BACKENDS, GRID
from benchmarks.crossover.tables import (
    ERROR,
    MEASURED,
    OTHERS,
    PREDICTED,
    error,
    fastest,
    recommended,
    regret,
)
from benchmarks.harness import Row


@pytest.mark.slow
def test_crossover_predicts_then_measures(benchmark, tmp_path):
    file = tmp_path / "constants.json"
    write_calibration(file)
    options = ("--quick", "--simulation", "--repeats", "1", "--markdown", "--constants", str(file))
    rows, printed = benchmark("crossover", *options, "--", "data=synthetic", *DATA)
    jobs = dict.fromkeys(row["job"] for row in rows)
    assert [[row["backend"] for row in rows if row["job"] == job] for job in jobs] == [
        [*BACKENDS],
        ["thread", "shm"],
        ["thread", "shm"],
    ]
    for row in rows:
        assert median(row, PREDICTED) > 0
        assert median(row, MEASURED) > 0
        assert median(row, ERROR) == pytest.approx(
            (median(row, PREDICTED) / median(row, MEASURED) - 1) * 100
        )
        assert 0 <= median(row, OTHERS) <= 100
    assert printed.count("| median error, % |") == 2
    assert printed.count("| recommended is within 10% of the fastest |") == 1


def test_constants_of_another_machine_are_refused_and_stay_as_they_are(
    tmp_path, monkeypatch, capsys
):
    file = tmp_path / "constants.json"
    file.write_text('{"format": 0}')
    monkeypatch.setattr("sys.argv", ["crossover", "--quick", "--constants", str(file)])
    with pytest.raises(SystemExit):
        crossover.main()
    assert "holds no constants of this machine" in capsys.readouterr().err
    assert file.read_text() == '{"format": 0}'


def test_regret_is_that_of_the_recommended_against_the_fastest():
    def row(backend, predicted, measured):
        return Row(
            labels={"job": "x", "backend": backend},
            figures={PREDICTED: [predicted] * 3, MEASURED: measured},
        )

    rows = [row("thread", 1.0, [3.0, 2.0, 9.0]), row("shm", 1.5, [2.0, 1.0, 3.0])]
    assert recommended(rows).labels["backend"] == "thread"
    assert fastest(rows).labels["backend"] == "shm"
    assert regret(rows) == pytest.approx(1.5)
    assert error(rows[0]) == pytest.approx(-66.667, abs=0.01)


def test_the_grid_has_every_value_with_every_other_one_and_every_workers():
    configs = [cell.config("serial", ("data=synthetic",)) for cell in GRID]
    autograd = [config for config in configs if config.trainer.name == "autograd"]
    assert {(c.trainer.batch_size, c.model.dim) for c in autograd} == set(
        product((128, 1024, 8192), (8, 64, 256))
    )
    assert {(c.trainer.batch_size, c.workers) for c in autograd} == set(
        product((128, 1024, 8192), (1, 2, 4))
    )
    assert {(c.model.dim, c.workers) for c in autograd} == set(product((8, 64, 256), (1, 2, 4)))
    fused = [config for config in configs if config.trainer.name == "fused"]
    assert {(c.split.name, c.model.dim) for c in fused} == set(
        product(("iid", "stratified"), (8, 64, 256))
    )
    assert {(c.split.name, c.workers) for c in fused} == set(
        product(("iid", "stratified"), (1, 2, 4))
    )
    swept = [config for config in configs if config.trainer.sweeps]
    assert {c.trainer.name for c in swept} == {"gibbs", "als"}
    assert {c.workers for c in swept} == {1, 2, 4}
