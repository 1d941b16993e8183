"""The report of a sweep: one page that needs no other file."""

import re

import matplotlib
import pytest
from pages import Page, page_of
from report_files import write_run, write_sweep

from ddp.report.page import PARTS, make_page
from ddp.report.svg import INKS
from ddp.results.run_file import find_runs, read_runs
from ddp.timing.kinds import KINDS as TABLE

pytestmark = pytest.mark.usefixtures("fonts")
EVERY_PART = [*PARTS, "runs", "origin"]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    return write_sweep(tmp_path_factory.mktemp("sweep"))


@pytest.fixture(scope="module")
def shown(sweep):
    return page_of(sweep)


def test_what_matplotlib_was_told_is_as_before_and_does_not_matter(sweep, shown):
    with matplotlib.rc_context({"font.size": 33, "axes.labelpad": 44, "svg.fonttype": "path"}):
        before = dict(matplotlib.rcParams)
        assert page_of(sweep).tags == shown.tags
        assert dict(matplotlib.rcParams) == before


def test_nothing_on_the_page_is_somewhere_else(sweep):
    text = make_page(read_runs(find_runs([sweep])))
    page = Page(text)
    assert "http:" not in text.replace("http-equiv", "")
    assert "https:" not in text
    assert not re.search(r"@import|url\((?!#)", text)
    links = [
        attrs[name]
        for _, attrs in page.tags
        for name in ("href", "src", "srcset", "data")
        if name in attrs
    ]
    assert links
    assert all(link.startswith("#") for link in links)
    assert {link[1:] for link in links} <= set(page.ids)
    assert len(set(page.ids)) == len(page.ids)
    policy = next(
        attrs["content"] for tag, attrs in page.tags if tag == "meta" and "http-equiv" in attrs
    )
    assert policy.startswith("default-src 'none'")


def test_every_colour_is_the_pages_in_both_modes(sweep):
    text = make_page(read_runs(find_runs([sweep])))
    style = text[text.index("<style>") : text.index("</style>")]
    for name in INKS:  # once for light pages, and once for dark ones
        assert style.count(f"--{name}:") == 2, name
    pictures = "".join(re.findall(r"<svg .*?</svg>", text, re.DOTALL))
    assert not re.search(r"(fill|stroke): ?#", pictures)
    assert set(re.findall(r"var\(--([\w-]+)\)", pictures)) <= set(INKS)


def test_a_sweep_with_everything_has_every_part(shown):
    assert [name for name in shown.sections if name != "missing"] == EVERY_PART
    assert "14 runs" in shown.titles[0]
    for told in (
        "runs12 of 14ended well; 1 failed, 1 unreadable",
        # equal for threads and processes: 0.95 - 0.004 * 5 + 0.002 * 1
        "best test RMSE0.9320backend=thread, workers=1, local_epochs=5 has the lowest validation"
        " RMSE, 0.9320 (1 other has the same)",
        "threads or processesequalbackend=thread, workers=4, local_epochs=1 trained in 2 s, ",
        "best speed-up4.0 times4 workers (thread, 1 local epoch) train 4.0 times as fast as one",
        "Each setting ran once, and one run shows no spread",
    ):
        assert told in shown.text


def test_one_timeline_per_backend_of_the_run_with_the_most_workers(shown):
    lanes = "aggregator; worker_0; worker_1; worker_2; worker_3"
    assert [label for label in shown.labels if "round 2" in label] == [
        f"{backend}, 4 workers, 1 local epoch: round 2: {lanes}"
        for backend in ("thread", "process")
    ]
    assert "process, 4 workers, 1 local epoch: round 2" in shown.text


def test_heat_maps_are_there_in_figures_and_equal_ones_are_one(shown):
    captions = [label for label in shown.labels if label.startswith(("test RMSE, ", "seconds, "))]
    assert captions == [
        "test RMSE, thread, process", "seconds, the whole run, thread", "seconds, the whole run,"
                                                                        " process"
    ]  # fmt: skip
    rows = [row for row in shown.rows if len(row) == 6 and row[0] in ("thread", "process")]
    assert rows[0] == ["thread", "1", "1", "0.9480", "10", "1"]
    assert rows[-1] == ["process", "4", "5", "0.9380", "5.75", "1"]
    assert len(rows) == 12


def test_memory_is_that_of_the_run_which_took_the_most(shown):
    assert "1,300 MB peak RSS" in shown.text  # the main process, and four workers
    assert "800 MB PSS" in shown.text
    assert "500 MB peak RSS" in shown.text  # threads are in the main process
    assert "400 MB PSS" in shown.text
    assert shown.text.count("23 MB shared") == 2


def test_the_table_has_every_run_and_what_they_differ_in(shown):
    assert re.search(r"trainer.lr=1e\+30: WorkerError: worker 1 diverged", shown.text)
    rows = [row for row in shown.rows if row and row[0] in ("ok", "failed", "unreadable")]
    assert [row[0] for row in rows] == ["ok"] * 12 + ["failed", "unreadable"]
    assert "WorkerError: worker 1 diverged" in rows[12]
    headers = shown.headers[shown.headers.index("status") :]
    assert {
        "workers",
        "local epochs",
        "backend",
        "trainer lr",
        "test rmse",
        "error",
        "directory",
    } <= set(headers)
    assert not {"seed", "rounds", "trainer"} & set(headers)
    assert re.search(r"\d+ settings, the same in all runs.*seed0", shown.text)
    assert "trainer.lr0.02" not in shown.text


def test_a_page_says_that_its_figures_are_measured(shown):
    assert "All figures are measured, none is simulated." in shown.text


def test_a_page_has_the_colours_of_the_table_in_both_modes(tmp_path):
    write_run(tmp_path / "run")
    style = re.search(r"<style>(.*)</style>", make_page(read_runs(find_runs([tmp_path]))), re.S)[1]
    light, dark, *rest = style.split("@media (prefers-color-scheme: dark)")
    variable = r"--kind-(\w+): (#[0-9a-f]{6});"
    assert re.findall(variable, light) == [(name, kind.light) for name, kind in TABLE.items()]
    assert re.findall(variable, dark) == [(name, kind.dark) for name, kind in TABLE.items()]
    assert not re.findall(variable, "".join(rest))
    assert set(re.findall(r"var\(--kind-(\w+)\)", "".join(rest))) <= set(TABLE)
