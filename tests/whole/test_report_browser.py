"""The report in a real browser: on a phone and on a desk, in light and dark."""

import os
import shutil

import pytest
from browsing import (
    DESK,
    LOOK,
    LOWEST_CONTRAST,
    PHONE,
    SMALLEST_TEXT_PX,
    VARIANTS,
    check_look,
    column,
    header,
    show,
)
from commands import SMALL, statuses
from leaks import ignored
from report_files import write_run, write_sweep
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.keys import Keys

from ddp.report.page import write_report
from ddp.results.run_file import find_runs, read_runs

pytestmark = pytest.mark.usefixtures("fonts")

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
INSTALL = "no chromium and chromedriver: install Debian's, apt-get install chromium chromium-driver"


@pytest.fixture(scope="session")
def started_browser():
    """A browser that records its messages and requests."""
    if not CHROMIUM or not DRIVER:
        # .ci/run sets it after it has installed them
        assert "REQUIRE_BROWSER" not in os.environ, INSTALL
        pytest.skip(INSTALL)
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(flag)
    service = Service(DRIVER)
    driver = webdriver.Chrome(options=options, service=service)
    ignored.add(service.process.pid)
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def browser(started_browser):
    """The one browser of all tests; it has forgotten the page, messages and requests of others."""
    started_browser.get("about:blank")
    for kind in ("browser", "performance"):
        started_browser.get_log(kind)
    return started_browser


# --- one that was written by hand ---


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report with every part."""
    folder = write_sweep(tmp_path_factory.mktemp("sweep"))
    write_report(read_runs(find_runs([folder])), folder / "report.html")
    return folder / "report.html"


def test_a_report_fits_and_can_be_read_on_every_screen(browser, page):
    check_look(browser, page, VARIANTS)


def test_long_words_fit_as_well(browser, tmp_path):
    for number in range(2):
        data = {"name": "csv", "path": f"/{number}" + "/a-long-way" * 30, "paths": None}
        directory = write_run(tmp_path / str(number), data=data, error="x" * 500, status="failed")
        text = (directory / "trace.json").read_text().replace("worker_0", "a-worker" * 20)
        (directory / "trace.json").write_text(text)
    write_report(read_runs(find_runs([tmp_path])), tmp_path / "report.html")
    check_look(browser, tmp_path / "report.html")


def test_heat_maps_with_many_columns_can_be_read_on_a_phone(browser, tmp_path):
    for workers in range(1, 12):
        for epochs in (1, 5):
            write_run(
                tmp_path / f"{workers}-{epochs}", workers=workers, local_epochs=epochs, parts=()
            )
    write_report(read_runs(find_runs([tmp_path])), tmp_path / "report.html")
    check_look(browser, tmp_path / "report.html")


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ("<style>td { color: #999 !important }</style>", "contrast"),
        ("<style>svg text { fill: #888 !important }</style>", "contrast"),
        ("<style>figure > svg { width: 60px !important }</style>", "text of"),
        ("<style>main { width: 2000px }</style>", "wider"),
        ("<style>figure > svg { height: 0 !important }</style>", "no size"),
        ("<style>figure > svg { margin-left: 2000px }</style>", "outside"),
    ],
)
def test_what_is_wrong_with_a_look_is_found(browser, page, tmp_path, damage, problem):
    (tmp_path / "page.html").write_text(page.read_text().replace("</head>", damage + "</head>"))
    show(browser, tmp_path / "page.html", PHONE)
    assert any(
        problem in each
        for each in browser.execute_script(LOOK, PHONE, SMALLEST_TEXT_PX, LOWEST_CONTRAST)[
            "problems"
        ]
    )


def test_a_page_that_asks_the_network_is_found(browser, page, tmp_path):
    text = page.read_text().replace("default-src 'none'", "default-src *")
    (tmp_path / "page.html").write_text(
        text.replace("<main>", '<main><img src="http://127.0.0.1:9/x.png">')
    )
    with pytest.raises(AssertionError):
        check_look(browser, tmp_path / "page.html")
    (tmp_path / "page.html").write_text(
        page.read_text().replace("<main>", '<main><img src="http://127.0.0.1:9/x.png">')
    )
    show(browser, tmp_path / "page.html")
    # this policy alone would stop the request
    assert "Content Security Policy" in str(browser.get_log("browser"))


def test_a_click_sorts_by_number_another_the_other_way_and_holes_stay_last(browser, page):
    show(browser, page)
    cells, order = column(browser, "total s")
    known = sorted(float(cell) for cell in cells if cell != "-")
    assert order is None
    assert known[0] == 2.5
    assert known[-1] == 13.25  # as a text it comes before 2.5
    for direction, expected in (
        ("ascending", known),
        ("descending", known[::-1]),
        ("ascending", known),
    ):
        header(browser, "total s").click()
        cells, order = column(browser, "total s")
        assert order == direction
        assert [float(cell) for cell in cells if cell != "-"] == expected
        assert cells[len(known) :] == ["-"] * (len(cells) - len(known)) != []
    header(browser, "backend").click()
    cells, order = column(browser, "backend")
    assert [cell for cell in cells if cell != "-"] == sorted(cell for cell in cells if cell != "-")
    assert (order, column(browser, "total s")[1]) == ("ascending", None)


def test_the_keyboard_sorts(browser, page):
    show(browser, page)
    browser.execute_script("document.querySelector('#runs summary').focus()")
    for _ in range(50):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        if browser.switch_to.active_element.text.startswith("workers"):
            break
    assert (
        browser.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
        != "none"
    )
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    cells, order = column(browser, "workers")
    assert (order, cells[0], cells[11]) == ("ascending", "1", "4")
    browser.switch_to.active_element.send_keys(Keys.SPACE)
    cells, order = column(browser, "workers")
    assert (order, cells[0]) == ("descending", "4")


def test_the_first_columns_stay_in_sight_on_a_phone_and_no_row_has_two_lines(browser, page):
    show(browser, page, PHONE)
    seen = browser.execute_script(
        """const box = document.querySelector("#runs .scroll");
        const row = box.querySelector("tbody tr");
        const left = (cell) => cell.getBoundingClientRect().left;
        const before = [...row.cells].map(left);
        box.scrollLeft = 200;
        const after = [...row.cells].map(left);
        const cells = [...box.querySelectorAll("tr:not(:has(.long)) td")];
        const lines = cells.map((cell) => cell.clientHeight);
        const first = [...row.cells].slice(0, 2).map((cell) => cell.getBoundingClientRect().right);
        return [before, after, Math.max(...lines), first[1], box.scrollWidth]"""
    )
    before, after, tallest, end_of_name, width = seen
    assert after[:2] == before[:2]
    assert [round(old - new) for old, new in zip(before[2:], after[2:], strict=True)] == [200] * (
        len(before) - 2
    )
    assert tallest < 40  # one line of 13 pixels, and its padding
    assert end_of_name < PHONE * 0.6
    assert width > PHONE


def test_a_value_shows_below_the_pointer_and_with_the_keyboard(browser, page):
    show(browser, page)
    picture = browser.find_element("css selector", "#accuracy figure svg")
    marks = picture.find_elements("css selector", "g[data-points] use")
    webdriver.ActionChains(browser).move_to_element(marks[0]).perform()
    tip = browser.find_element("css selector", ".tip")
    assert tip.text == "thread, 1 worker, 1 local epoch\nround 1: test RMSE 0.958"
    bar = browser.find_element("css selector", "#time figure svg g path[style*='kind-compute']")
    webdriver.ActionChains(browser).move_to_element(bar).perform()
    assert tip.text == "thread: 6 runs: mean worker: compute 1 s, 50.0%"
    cell = browser.find_element("css selector", "#grids figure svg g path[style*='accent']")
    webdriver.ActionChains(browser).move_to_element(cell).perform()  # to the figure upon it
    assert tip.text == "test RMSE, thread, process: 0.948 with 1 worker and 1 local epoch"
    picture.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert tip.text == "thread, 1 worker, 1 local epoch\nround 2: test RMSE 0.948"
    picture.send_keys(Keys.ESCAPE)
    assert not tip.is_displayed()


def test_a_run_that_failed_is_in_the_table(browser, page):
    show(browser, page)
    cells, _ = column(browser, "status")
    assert cells.count("failed") == 1
    assert "WorkerError: worker 1 diverged" in column(browser, "error")[0]


# --- those that sweeps leave ---


@pytest.fixture(scope="module")
def sweep(train, tmp_path_factory):
    """A real one: two backends, one and two workers, and a learning rate that fails every job."""
    home = tmp_path_factory.mktemp("home")
    return home, train(
        home,
        "-m",
        *SMALL,
        "backend=thread,serial",
        "workers=1,2",
        "trainer.lr=0.02,1e30",
        "display=none",
        "hydra.sweep.dir=sweep",
    )


def test_a_sweep_leaves_its_table_and_its_report_also_when_jobs_fail(sweep):
    home, ended = sweep
    assert ended.returncode == 1
    assert "Traceback" not in ended.stdout + ended.stderr
    assert "table: sweep/sweep.csv\nreport: sweep/report.html\n" in ended.stdout
    assert ended.stdout.count("report: ") == 1
    assert statuses(home / "sweep") == ["ok", "failed"] * 4
    page = (home / "sweep" / "report.html").read_text()
    assert "8 runs" in page
    assert page.count("diverged in epoch 1 at learning rate 1e+30") >= 4


def test_the_report_of_a_real_sweep_fits_and_can_be_read(browser, sweep):
    home, _ = sweep
    check_look(browser, home / "sweep" / "report.html", [(DESK, "dark")])
    show(browser, home / "sweep" / "report.html")
    assert column(browser, "status")[0] == ["ok", "failed"] * 4
    header(browser, "test rmse").click()
    cells, _ = column(browser, "test rmse")
    assert cells[4:] == ["-"] * 4
    assert cells[:4] == sorted(cells[:4])
