"""Every benchmark at a tiny size: its output and its file are consistent. Speed is no matter."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import exchange, kernel, overhead, time_to_accuracy
from benchmarks.harness import Row, Unavailable, add_ratio, compose_config, in_turn, shown
from benchmarks.quality import __main__ as quality
from benchmarks.quality import contenders
from benchmarks.quality import grid as quality_grid
from benchmarks.quality.contenders import Case, save
from ddp.ratings.load import load_ratings
from ddp.timing.account import Account
from ddp.tracking.messages import AggregateRound, WorkerRound
from ddp.tracking.metrics import SquaredError

REPOSITORY = Path(__file__).parent.parent.parent
COMMANDS = sorted(
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
    for path in (REPOSITORY / "benchmarks").rglob("*.py")
    if 'command_line("' in path.read_text(encoding="utf-8")
)
DATA = ("data.num_users=60", "data.num_items=40", "data.num_ratings=1200", "data.popularity=0.3")


@pytest.fixture
def benchmark(tmp_path):
    """`benchmark(name, *arguments)`: runs it; gives its rows by their labels, and its output."""

    def run(name, *arguments):
        output = tmp_path / "deeper" / f"{name}.json"
        command = [sys.executable, "-m", f"benchmarks.{name}", "--output", str(output), *arguments]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        document = json.loads(output.read_text(encoding="utf-8"))
        assert document["benchmark"] == name
        assert document["command"] == " ".join(["python -m", f"benchmarks.{name}", *command[3:]])
        assert document["machine"]["cores"] > 0
        assert "torch" in document["machine"]["versions"]
        for row in document["rows"]:
            for figure in row["figures"].values():
                assert len(figure["values"]) == document["repeats"]
                assert (
                    min(figure["values"])
                    == figure["low"]
                    <= figure["median"]
                    <= figure["high"]
                    == max(figure["values"])
                )
        return document["rows"], done.stdout

    return run


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


@pytest.mark.parametrize(
    ("number", "low", "high"),
    [(3, 1, 3), (5, 1, 5), (6, 1, 6), (10, 2, 9), (20, 6, 15), (60, 22, 39)],
)
# the ranks of any book's table
def test_the_interval_of_a_median_is_that_of_the_sign_test(number, low, high):
    assert overhead.interval_of_median(list(range(number, 0, -1))) == (low, high)


def test_what_an_account_costs_is_measured_in_whole_runs():
    figures = overhead.measured(("data=synthetic", *DATA, "backend=serial", "rounds=1"))
    assert figures[overhead.RUN] > figures[overhead.TRAINING] > 0
    assert figures[overhead.CPU] > 0


def median(row, figure):
    return row["figures"][figure]["median"]


# --- what they share ---


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
    fast, slow, gap = (
        Row(labels={}, figures={"s": [1.0, 2.0]}),
        Row(labels={}, figures={"s": [10.0, 40.0]}),
        Row(labels={}),
    )
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


# --- what is measured ---


def test_a_round_of_exchange_is_publishing_waiting_and_receiving():
    def worker_round(worker, round_index, publish_s, wait_s, hold_s):
        seconds = {
            "compute": 9.0,
            "publish": publish_s,
            "publish/lock_hold": hold_s,
            "wait": wait_s,
            "receive": 0.25,
            "other": 9.0,
        }
        account = Account(seconds=seconds, num_bytes={"publish": 1000 * (worker + 1)})
        row = {
            "train_loss": 0.0,
            "valid": SquaredError(),
            "test": SquaredError(),
            "best_epoch": 0,
            "aggregate_received": True,
        }
        return WorkerRound(worker=worker, round_index=round_index, account=account, **row)

    workers, aggregates = [], []
    for number, factor in enumerate((100.0, 100.0, 1.0, 2.0, 6.0)):  # the first two rounds warm up
        workers += [
            worker_round(0, number, 1.0 * factor, 2.0, 0.5),
            worker_round(1, number, 3.0 * factor, 1.0, 0.125 * factor),
        ]
        account = Account(
            seconds={"average": 4.0 * factor, "broadcast/lock_hold": 0.25, "evaluate": 9.0}
        )
        none = {
            "valid": SquaredError(),
            "test": SquaredError(),
            "weights": (0.5, 0.5),
            "elapsed_s": 0.0,
        }
        aggregates.append(AggregateRound(round_index=number, account=account, **none))
    figures = exchange.figures(workers, aggregates)
    assert figures == {
        # means over workers, of the middle round
        "publish, ms": pytest.approx(((1 + 3) / 2 * 2 + (0.5 + 0.25) / 2) * 1e3),
        "wait, ms": 1500.0,
        "receive, ms": 250.0,
        "round, ms": pytest.approx((4 + 0.375 + 1.5 + 0.25) * 1e3),
        "last to publish, ms": 4750.0,
        "gather, ms": 0.0,
        "average, ms": 8000.0,
        "broadcast, ms": 250.0,
        "lock held, ms": 500.0,
        "lock held at most, ms": 750.0,
        "pickled, kB": 1.5,
    }


def test_exchange_measures_the_real_loops():
    figures = exchange.exchange("thread", size=2000, workers=2, rounds=3)
    assert all(figures[f"{part}, ms"] > 0 for part in ("publish", "wait", "receive", "round"))
    assert figures["lock held, ms"] > 0
    assert figures["pickled, kB"] == 0


@pytest.mark.parametrize(
    ("workers", "cores", "copies"), [(1, 2, 2 + 1), (2, 2, 2 + 1.5), (5, 2, 6 + 3), (5, 8, 2 + 3)]
)
def test_copies_needed_go_as_many_at_a_time_as_there_are_cores(workers, cores, copies, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    assert exchange.copies_needed(workers) == copies


@pytest.fixture
def case(tmp_path):
    """1,200 ratings of 60 users for 40 items, one worker."""
    overrides = ("data=synthetic", *DATA)
    save(load_ratings(compose_config(overrides).data, 0), tmp_path / "ratings.npz")
    file = tmp_path / "ratings.npz"
    return Case(
        ratings_file=file,
        num_users=60,
        num_items=40,
        dim=8,
        workers=1,
        num_visits=50_000,
        overrides=overrides,
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_each_worker_of_a_trainer_visits_its_share_of_the_ratings(case, workers, monkeypatch):
    seen = []

    def trainer_for(options):
        def make(options, model, train):
            seen.append(train)
            return real(options)(options, model, train)

        make.arrange = real(options).arrange
        return make

    real = contenders.trainer_for
    monkeypatch.setattr(contenders, "trainer_for", trainer_for)
    threads = torch.get_num_threads()
    try:
        assert contenders.trainer("autograd", dataclasses.replace(case, workers=workers)) > 0
    finally:
        torch.set_num_threads(threads)
    whole = case.load()
    pairs = [
        pair
        for share in seen
        for pair in zip(share.users.tolist(), share.items.tolist(), strict=True)
    ]
    assert len(seen) == workers
    assert sorted(pairs) == sorted(zip(whole.users.tolist(), whole.items.tolist(), strict=True))


@pytest.mark.parametrize("peer", [contenders.libmf, contenders.cornac, contenders.surprise])
def test_a_peer_that_is_missing_says_how_to_get_it(case, peer, monkeypatch, tmp_path):
    monkeypatch.setattr(contenders, "LIBMF", tmp_path / "nowhere")
    monkeypatch.setitem(sys.modules, "cornac.models.mf", None)
    monkeypatch.setitem(sys.modules, "surprise", None)
    with pytest.raises(Unavailable, match="make benchmark-peers"):
        peer(case)


# --- the commands ---


@pytest.mark.slow
def test_exchange(benchmark):
    arguments = (
        "--sizes",
        "2000",
        "--workers",
        "2",
        "--rounds",
        "3",
        "--backends",
        "thread",
        "process",
    )
    rows, _ = benchmark("exchange", "--repeats", "2", *arguments)
    by = {row["by"]: row for row in rows}
    assert [*by] == ["copy", "gloo", "thread", "process"]
    for ratio, baseline in (("times the copies needed", by["copy"]), ("times gloo", by["gloo"])):
        both = zip(
            by["thread"]["figures"]["round, ms"]["values"],
            baseline["figures"]["round, ms"]["values"],
            strict=True,
        )
        assert by["thread"]["figures"][ratio]["values"] == pytest.approx(
            [own / base for own, base in both]
        )
    # published and received, four bytes each
    assert median(by["process"], "pickled, kB") > 2 * 4 * 1.9


def test_a_contender_that_hangs_is_killed_and_given_up_after_a_few_attempts(capsys):
    with (
        kernel.Child("fused", deadline_s=1e-3) as child,
        pytest.raises(Unavailable, match=r"fused: has not ended .* 3 times"),
    ):
        child.measure(None)
    assert capsys.readouterr().err.count("killed, and begun anew") == 3


class Some:
    """300 ratings of 30 users."""

    num_users = 30

    def __init__(self):
        random = np.random.default_rng(3)
        self.users, self.items = np.divmod(random.permutation(600)[:300], 20)
        self.timestamps = random.integers(0, 1000, 300)

    def __len__(self):
        return 300


def test_the_protocols_hold_out_what_they_say():
    ratings, data = Some(), compose_config(["data=ml100k", "data.root=nowhere"]).data
    drawn = list(quality.test_parts("random", data, ratings, 2))
    assert [len(set(part.tolist())) for part in drawn] == [60, 60]
    assert set(drawn[0].tolist()) != set(drawn[1].tolist())
    assert sorted(np.concatenate(list(quality.test_parts("folds", data, ratings, 9)))) == list(
        range(300)
    )
    (latest,) = quality.test_parts("time", data, ratings, 1)
    for user in range(30):
        own = np.flatnonzero(ratings.users == user)
        held = np.intersect1d(own, latest)
        assert len(held) == len(own) // 5
        if len(held):
            assert (
                ratings.timestamps[held].min() >= ratings.timestamps[np.setdiff1d(own, held)].max()
            )


def test_the_grid_has_every_way_once_and_counts_what_travels():
    cells = quality_grid.cells([1, 2, 5], [1, 10])
    assert len(set(cells)) == len(cells) == 2 + 2 * 2 * (1 + 3 * len(quality_grid.AGGREGATIONS))
    averaged = quality_grid.Cell(workers=5, local_epochs=10, split="iid", averaged="rows")
    assert averaged.bytes_per_round(100, 50, 3) == 2 * 5 * 150 * 3 * 4  # there and back
    stratified = quality_grid.Cell(workers=5, local_epochs=10, split="stratified", averaged=None)
    # all items in every turn, all rows at the end
    assert stratified.bytes_per_round(100, 50, 3) == (10 * 5 * 50 + 150) * 3 * 4


@pytest.mark.slow
def test_quality(benchmark):
    ways = ("one worker", "5 workers, by user, 1 local epoch, uniform")
    rows, printed = benchmark(
        "quality", "--repeats", "2", "--protocols", "time", "--ways", *ways, "--markdown"
    )
    assert [row["way"] for row in rows] == list(ways)
    for row in rows:
        assert 0.85 < median(row, quality.TEST) < 1.05
        assert "epochs" in row["chosen"]
    tests = [row["figures"][quality.TEST]["values"] for row in rows]
    assert rows[1]["figures"][quality.GAP]["values"] == pytest.approx(
        [own - one for own, one in zip(*reversed(tests), strict=True)]
    )
    assert "| one worker |" in printed


@pytest.mark.slow
def test_quality_grid(benchmark, tmp_path):
    pytest.importorskip("matplotlib", reason="for the plots; `make benchmark-peers` installs it")
    rows, _ = benchmark(
        "quality.grid", "--repeats", "1", "--workers", "1", "2", "--local-epochs", "20"
    )
    assert len(rows) == 1 + 1 + 3 * len(quality_grid.AGGREGATIONS)
    one, stratified, *averaged = rows
    assert median(one, quality_grid.GAP) == 0
    assert abs(median(stratified, quality_grid.GAP)) < 0.01
    for row in averaged:
        assert median(row, quality_grid.GAP) == pytest.approx(
            median(row, quality_grid.TEST) - median(one, quality_grid.TEST)
        )
    for plot in ("quality_seconds.png", "quality_mb.png"):
        assert (tmp_path / "deeper" / plot).read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_time_to_accuracy(benchmark):
    rows, _ = benchmark("time_to_accuracy", "--repeats", "1", "--data", "ml100k")
    assert [row["by"] for row in rows][:3] == list(time_to_accuracy.OURS)
    assert len(rows) == 5
    for row in rows:
        assert median(row, time_to_accuracy.RATIO) == pytest.approx(
            median(row, time_to_accuracy.TIME) / median(rows[0], time_to_accuracy.TIME)
        )
        assert 1 <= median(row, time_to_accuracy.EPOCHS) <= 60


@pytest.mark.slow
def test_kernel(benchmark):
    arguments = (
        "--data",
        "synthetic",
        "--dims",
        "8",
        "--visits",
        "50000",
        "--contenders",
        "autograd",
        "Surprise",
        "--",
        *DATA,
    )
    (autograd, surprise), printed = benchmark(
        "kernel", "--markdown", "--repeats", "2", "--workers", "2", *arguments
    )
    assert (autograd["k"], autograd["workers"], autograd["contender"]) == (8, 2, "autograd")
    assert median(autograd, "million ratings/s") > 0
    assert surprise["figures"] == {}  # it has no threads, wherever it is installed
    assert surprise["note"] in printed
    (line,) = [line for line in printed.splitlines() if line.startswith("| synthetic")]
    assert line.endswith("| - |")


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
        )  # 5 % are held out
    one, two = rows
    assert median(one, "speed-up") == median(one, "efficiency") == 1.0
    assert median(two, "speed-up") == pytest.approx(
        median(one, "training, s") / median(two, "training, s")
    )
    assert median(two, "efficiency") == pytest.approx(
        median(two, "speed-up") / min(2, os.cpu_count())
    )


@pytest.mark.slow
def test_claims(benchmark):
    small = ("data=synthetic", *DATA, "local_epochs=1")
    rows, printed = benchmark("claims", "--repeats", "1", "--markdown", "--", *small)
    by = {row["what"]: row for row in rows}
    assert median(by["single calls"], "manager of 64 MB, ms") > median(
        by["single calls"], "manager of 0.008 MB, ms"
    )
    for row in (by["thread, 2 workers"], by["process, 2 workers"]):
        whole = median(row, "to begin and to end, s") + 6 * median(row, "a round, s")
        assert whole == pytest.approx(median(row, "whole command, s"))
    assert median(by["process, 4 workers"], "memory of all processes, MB") > 100
    lines = [
        line
        for line in printed.splitlines()
        if line.startswith(("| threads", "| processes", "| in total"))
    ]
    assert len(lines) == 8
    assert all(line.count("|") == 5 for line in lines)


@pytest.mark.slow
def test_limits_tells_what_works_and_what_grew(benchmark):
    rows, printed = benchmark("limits", "--only", "24 processes, shm", "50 runs, thread")
    assert [row["what"] for row in rows] == ["24 processes, shm", "50 runs, thread"]
    assert [row["note"] for row in rows] == [None, None]
    assert all(median(row, "peak, MB") > 100 for row in rows)
    assert (median(rows[1], "descriptors grew"), median(rows[1], "threads grew")) == (0, 0)
    assert "yes" in printed


# --- whether the advice is right ---


@pytest.mark.slow
def test_crossover_predicts_then_measures(benchmark, tmp_path):
    from machines import write_calibration

    from benchmarks.crossover import BACKENDS, ERROR, MEASURED, OTHERS, PREDICTED

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
    from benchmarks import crossover

    file = tmp_path / "constants.json"
    file.write_text('{"format": 0}')
    monkeypatch.setattr("sys.argv", ["crossover", "--quick", "--constants", str(file)])
    with pytest.raises(SystemExit):
        crossover.main()
    assert "holds no constants of this machine" in capsys.readouterr().err
    assert file.read_text() == '{"format": 0}'


def test_regret_is_that_of_the_recommended_against_the_fastest():
    from benchmarks.crossover import MEASURED, PREDICTED, error, fastest, recommended, regret

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
    from itertools import product

    from benchmarks.crossover import GRID

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
