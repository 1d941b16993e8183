"""The figures that a report draws, before and after they are drawn."""

from xml.etree import ElementTree

import pytest
from pages import page_of
from report_files import KINDS, lane, write_run

from ddp.report.bars import MAX_STACKS, per_backend, time
from ddp.report.comparing import Look, differing, groups_over, repetitions
from ddp.report.curves import Curve, curves
from ddp.report.maps import grid
from ddp.report.parts import AXES, points_of
from ddp.report.reading import read_run
from ddp.report.scaling import GRIDS, Point, grids, heat_maps, scaling, speedups
from ddp.report.svg import page_style
from ddp.results.run_file import find_runs, read_runs

pytestmark = pytest.mark.usefixtures("fonts")


def read(folder):
    runs = [read_run(file) for file in read_runs(find_runs([folder]))]
    for number, run in enumerate(runs):
        run.label = f"run {number}"
    return runs


def texts(svg):
    """The texts in a picture -> their places."""
    return {element.text: place(element) for element in ElementTree.fromstring(svg).iter("text")}


def place(element):
    if element.get("x") is not None:
        return float(element.get("x")), float(element.get("y"))
    x, _, y = element.get("transform").removeprefix("translate(").partition(")")[0].partition(" ")
    return float(x), float(y)


@pytest.mark.parametrize(
    ("axis", "points"),
    [
        ("rounds", [(1, 0.96), (2, 0.95)]),
        ("seconds", [(1.0, 0.96), (2.0, 0.95)]),
        # a round: 1 MB pickled and 2 MB copied, by two workers and the aggregator
        ("bytes", [(9.0, 0.96), (18.0, 0.95)]),
    ],
)
def test_rmse_stands_where_its_round_does(tmp_path, axis, points):
    write_run(tmp_path / "run")
    [run] = read(tmp_path)
    assert points_of(run, AXES[axis][2]) == points


def test_speedup_and_efficiency_are_over_one_worker(tmp_path):
    for workers, train_s in ((1, 12.0), (2, 8.0), (4, 4.0)):
        write_run(tmp_path / str(workers), workers=workers, train_s=train_s)
    [group] = groups_over(read(tmp_path), ("workers",))
    assert speedups(group) == [Point(1, 1.0), Point(2, 1.5), Point(4, 3.0)]
    assert [point.efficiency for point in speedups(group)] == [1.0, 0.75, 0.75]
    assert repetitions([group]) == ""


def test_seeds_are_repetitions_of_which_the_median_counts(tmp_path):
    for seed, one, two in ((0, 8.0, 4.0), (1, 10.0, 5.0), (2, 90.0, 9.0)):
        write_run(tmp_path / f"{seed}-1", seed=seed, workers=1, train_s=one)
        write_run(tmp_path / f"{seed}-2", seed=seed, workers=2, train_s=two)
    runs = read(tmp_path)
    [group] = groups_over(runs, ("workers",))
    assert speedups(group) == [Point(1, 1.0), Point(2, 2.0)]
    assert repetitions([group]) == ", median of 3 runs each"
    [group] = groups_over(runs[:-1], ("workers",))
    assert repetitions([group]) == ", median of 2 to 3 runs each"
    with page_style():
        content = scaling(runs)
    assert "<figcaption>Speed-up, median of 3 runs each" in content
    assert ">seed<" not in content  # the legend


def test_what_could_be_reached_is_a_straight_line():
    """The axis is not logarithmic, even if the lines end far apart."""
    lines = [Curve(label=f"{n}", x=[1.0, n], y=[0.25, 0.75], look=Look()) for n in (2.0, 64.0)]
    with page_style():
        straight = texts(curves(lines, "workers", "efficiency", tip="", ideal=[(1, 1), (64, 1)]))
        other = texts(curves(lines, "rounds", "RMSE", tip=""))
    assert straight["45"][0] - straight["30"][0] == pytest.approx(
        straight["30"][0] - straight["15"][0], abs=0.1
    )
    assert "10" in other
    assert "15" not in other


def test_a_seed_is_the_last_that_is_told_apart(tmp_path):
    for number, (seed, trainer_lr, rounds) in enumerate(
        [(0, 0.1, 2), (1, 0.1, 2), (0, 0.2, 3), (1, 0.2, 3)]
    ):
        write_run(tmp_path / str(number), seed=seed, lr=trainer_lr, rounds=rounds)
    assert differing(read(tmp_path)) == ["rounds", "trainer.lr", "seed"]


def test_a_heat_map_has_workers_across_and_local_epochs_down():
    cells = {
        (workers, epochs): 10.0 * workers + epochs
        for workers in (1.0, 2.0, 8.0)
        for epochs in (3.0, 5.0)
    }
    with page_style():
        svg = grid(cells, "{:g}", 13.0, 85.0, "what")
    at = texts(svg)
    for (workers, epochs), value in cells.items():
        x, y = at[f"{value:g}"]
        assert x == pytest.approx(at[f"{workers:g}"][0], abs=12)
        assert y == pytest.approx(at[f"{epochs:g}"][1], abs=8)
    assert at["1"][0] + 30 < at["2"][0] < at["8"][0] - 30
    assert at["3"][1] + 20 < at["5"][1]
    assert at["workers"][1] > at["1"][1]
    assert at["local epochs"][0] < at["3"][0]
    strengths = [
        float(style.partition("opacity: ")[2].partition(";")[0])
        for style in styles(svg)
        if "opacity" in style
    ]
    # as the figures were given: each higher than the one before
    assert strengths == sorted(strengths) == sorted(set(strengths))
    assert len(strengths) == len(cells)


def styles(svg):
    return [element.get("style", "") for element in ElementTree.fromstring(svg).iter("path")]


def test_no_heat_map_hides_another(tmp_path):
    """Learning rates differ with the number of workers: they name runs, but not groups."""
    for lr, counts in ((0.1, (1, 2)), (0.2, (4, 8))):
        for workers in counts:
            for epochs in (1, 5):
                directory = tmp_path / f"{workers}-{epochs}"
                write_run(
                    directory,
                    lr=lr,
                    workers=workers,
                    local_epochs=epochs,
                    total_s=workers + epochs / 8,
                )
    runs = read(tmp_path)
    groups = groups_over(runs, ("workers", "local_epochs"))
    maps = heat_maps(groups, GRIDS["seconds, the whole run"][1])
    assert [label for label, *_ in maps] == ["trainer.lr=0.1", "trainer.lr=0.2"]
    assert maps[1].cells == {(4, 1): 4.125, (4, 5): 4.625, (8, 1): 8.125, (8, 5): 8.625}
    assert [label for label, *_ in heat_maps(groups[:1] * 2, GRIDS["test RMSE"][1])] == [
        "trainer.lr=0.1, trainer.lr=0.1"
    ]
    for group in groups:
        group.label = "the same"
    assert len(heat_maps(groups, GRIDS["seconds, the whole run"][1])) == 2


@pytest.mark.parametrize(("columns", "wide"), [(6, False), (8, True)])
def test_a_heat_map_that_is_wider_than_a_phone_scrolls(tmp_path, columns, wide):
    for workers in range(1, columns + 1):
        for epochs in (1, 5):
            write_run(
                tmp_path / f"{workers}-{epochs}", workers=workers, local_epochs=epochs, parts=()
            )
    with page_style():
        assert ("<figure class=wide>" in grids(read(tmp_path))) is wide


def test_a_backends_bars_are_the_mean_of_the_means_of_its_runs_that_ended_well(tmp_path):
    """Each run counts once, however many workers it has."""
    for name, workers, compute_s, status in (
        ("0", 1, 1.0, "ok"),
        ("1", 3, 3.0, "ok"),
        ("2", 1, 99.0, "failed"),
    ):
        account = [
            lane(f"worker_{n}", {"compute": compute_s, "wait": 1.0}, {}) for n in range(workers)
        ]
        account.append(lane("aggregator", {"wait": 4.0 * workers}, {}))
        write_run(tmp_path / name, workers=workers, status=status, also={"account": account})
    write_run(tmp_path / "3", backend="serial", workers=1)
    thread, serial = per_backend(read(tmp_path))
    assert (thread.label, serial.label) == ("thread: 2 runs", "serial: 1 run")
    assert [(bar.name, bar.seconds, bar.thin) for bar in thread.bars] == [
        ("mean worker", {"compute": 2.0, "wait": 1.0}, False), ("aggregator", {"wait": 8.0}, True)
    ]  # fmt: skip
    assert serial.bars[0].seconds == KINDS


def test_there_is_no_mean_of_one_run(tmp_path):
    write_run(tmp_path / "0", workers=MAX_STACKS + 1)
    write_run(tmp_path / "1", workers=2, status="failed")
    runs = read(tmp_path)
    assert per_backend(runs) == []
    with page_style():
        content = time(runs[:1])
    assert f"worker_{MAX_STACKS}: compute" in content  # all of its lanes
    assert "mean" not in content


def test_of_many_runs_the_first_have_bars_and_all_are_in_the_mean(tmp_path):
    for number in range(MAX_STACKS + 2):
        write_run(tmp_path / f"{number:02}", seed=number, parts=("account",))
    with page_style():
        content = time(read(tmp_path))
    assert f"These are the first {MAX_STACKS} of {MAX_STACKS + 2} runs" in content
    assert f">thread: {MAX_STACKS + 2} runs<" in content
    assert content.count(f">run {MAX_STACKS - 1}</text>") == 2  # in seconds and in parts
    assert f">run {MAX_STACKS}</text>" not in content
    assert f">run {MAX_STACKS}</i></td>" in content  # the table has all


def test_the_spread_over_seeds_stands_below_the_accuracy(tmp_path):
    for number, (seed, workers) in enumerate((s, w) for s in (0, 1, 2) for w in (1, 2)):
        status = "failed" if number == 5 else "ok"
        write_run(
            tmp_path / str(number), seed=seed, workers=workers, rmse=0.9 + seed / 10, status=status
        )
    page = page_of(tmp_path)
    assert "Spread over seeds" in page.text
    # 1 worker: 0.9, 1.0 and 1.1; 2 workers: 0.9 and 1.0, the lower mean, within a deviation of it
    assert "workers=2 has the lowest validation RMSE" in page.text
    assert "(a tie with 1 other, within the spread of 3 seeds)" in page.text
    assert "Two settings tie if their means differ by at most the larger" in page.text
    for told in (
        "workers=1: mean 1 of 3, standard deviation 0.1",
        "workers=2: mean 0.95 of 2, standard deviation 0.071",
        "workers=2: test RMSE 0.9",
    ):
        assert told in page.titles
    rows = [row for row in page.rows if row[:1] in (["1"], ["2"]) and len(row) > 12]
    assert [row[:7] for row in rows] == [
        ["1", "3", "0", "1.0000", "0.1000", "0.7516", "1.2484"],
        ["2", "2", "1", "0.9500", "0.0707", "0.3147", "1.5853"],
    ]


def test_runs_of_one_seed_have_no_spread(tmp_path):
    for workers in (1, 2):
        write_run(tmp_path / str(workers), workers=workers)
    assert "Spread over seeds" not in page_of(tmp_path).text
