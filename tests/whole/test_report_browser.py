"""The report in a real browser: on a phone and on a desk, in light and dark; and the reports of
sweeps.
"""

import csv
import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from jobs import DATA, TYPED
from leaks import ignored
from programs import TIMEOUT_S
from report_files import write_run, write_sweep
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.keys import Keys

from ddp.report.page import write_report
from ddp.results.run_file import find_runs, read_runs

SMALL = (*DATA, *TYPED)
PHONE, DESK = 390, 1280
VARIANTS = [(width, mode) for width in (PHONE, DESK) for mode in ("light", "dark")]
SMALLEST_TEXT_PX = 9.0
LOWEST_CONTRAST = 4.5  # WCAG 2, AA
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
INSTALL = "no chromium and chromedriver: install Debian's, apt-get install chromium chromium-driver"

# Gives a text for each fault in the look of the page.
LOOK = (Path(__file__).parent.parent / "report_look.js").read_text()
pytestmark = pytest.mark.usefixtures("fonts")


@pytest.fixture(scope="session")
def started_browser():
    """A browser that records its messages and requests."""
    if not CHROMIUM or not DRIVER:
        # set by .ci/run where it has seen to them
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
    """The one browser of all tests: it shows nothing and has forgotten earlier messages and
    requests.
    """
    started_browser.get("about:blank")
    for kind in ("browser", "performance"):
        started_browser.get_log(kind)
    return started_browser


def show(browser, page, width=DESK, mode="light"):
    screen = {
        "width": width,
        "height": 900,
        "screenWidth": width,
        "screenHeight": 900,
        "deviceScaleFactor": 1,
    }
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", screen | {"mobile": width == PHONE}
    )
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": mode}]},
    )
    browser.get(page.as_uri())
    seen = browser.execute_script(
        "return [screen.width, matchMedia('(prefers-color-scheme: dark)').matches]"
    )
    assert seen == [width, mode == "dark"]


def requested(browser):
    """The addresses that the page asked for."""
    import json

    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [
        each["params"]["request"]["url"]
        for each in messages
        if each["method"] == "Network.requestWillBeSent"
    ]


def check_look(browser, page, variants=VARIANTS[:1]):
    """In every variant the page fits, is readable, and asks for nothing else."""
    surfaces = set()
    for width, mode in variants:
        show(browser, page, width, mode)
        seen = browser.execute_script(LOOK, width, SMALLEST_TEXT_PX, LOWEST_CONTRAST)
        assert seen["problems"] == [], (width, mode)
        assert seen["pictures"] > 0
        assert seen["texts"] > 100
        surfaces.add(seen["surface"])
    assert len(surfaces) == len({mode for _, mode in variants})
    assert browser.get_log("browser") == []
    assert {url.partition(":")[0] for url in requested(browser)} == {"file"}


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
    # which alone would keep it in
    assert "Content Security Policy" in str(browser.get_log("browser"))


def column(browser, name):
    """The cells below a header of the table of runs, and the order that the header announces."""
    return browser.execute_script(
        """const table = document.querySelector("#runs table");
        const at = [...table.rows[0].cells].findIndex((cell) => cell.textContent === arguments[0]);
        const texts = [...table.tBodies[0].rows].map((row) => row.cells[at].textContent);
        return [texts, table.rows[0].cells[at].ariaSort]""",
        name,
    )


def header(browser, name):
    return browser.find_element("xpath", f"//section[@id='runs']//th/button[text()='{name}']")


def test_a_click_sorts_by_number_another_the_other_way_and_holes_stay_last(browser, page):
    show(browser, page)
    cells, order = column(browser, "total s")
    known = sorted(float(cell) for cell in cells if cell != "-")
    assert order is None
    assert known[0] == 2.5
    assert known[-1] == 13.25  # which as a text comes before 2.5
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


def test_a_run_that_failed_is_in_the_table(browser, page):
    show(browser, page)
    cells, _ = column(browser, "status")
    assert cells.count("failed") == 1
    assert "WorkerError: worker 1 diverged" in column(browser, "error")[0]


# --- those that sweeps leave ---


@pytest.fixture(scope="module")
def sweep(train, tmp_path_factory):
    """A real one: two backends, one and two workers, and a learning rate with which every job
    fails.
    """
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


def statuses(directory):
    with (directory / "sweep.csv").open(newline="") as file:
        return [row["status"] for row in csv.DictReader(file)]


def test_a_sweep_leaves_its_table_and_its_report_also_when_jobs_fail(sweep):
    home, ended = sweep
    assert ended.returncode == 1
    assert "Traceback" not in ended.stdout + ended.stderr
    assert "table: sweep/sweep.csv\nreport: sweep/report.html\n" in ended.stdout
    assert ended.stdout.count("report: ") == 1
    assert statuses(home / "sweep") == ["ok", "failed"] * 4
    page = (home / "sweep" / "report.html").read_text()
    assert "8 runs" in page
    assert page.count("diverged in epoch 0 at learning rate 1e+30") >= 4


def test_the_report_of_a_real_sweep_fits_and_can_be_read(browser, sweep):
    home, _ = sweep
    check_look(browser, home / "sweep" / "report.html", [(DESK, "dark")])
    show(browser, home / "sweep" / "report.html")
    assert column(browser, "status")[0] == ["ok", "failed"] * 4
    header(browser, "test rmse").click()
    cells, _ = column(browser, "test rmse")
    assert cells[4:] == ["-"] * 4
    assert cells[:4] == sorted(cells[:4])


def test_a_sweep_that_is_interrupted_leaves_them_too(started, tmp_path):
    process = started(tmp_path, "-m", "rounds=100000", "seed=0,1", "hydra.sweep.dir=sweep")
    try:
        os.killpg(process.pid, signal.SIGINT)
        shown, errors = process.communicate(timeout=TIMEOUT_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "report: sweep/report.html\n" in shown
    assert statuses(tmp_path / "sweep") == ["interrupted"]
    assert "1 interrupted" in (tmp_path / "sweep" / "report.html").read_text()


@pytest.mark.parametrize(
    ("matplotlib", "code", "said"),
    [
        ("raise ImportError('no such thing')", 1, "ImportError: no such thing"),
        (
            "import os, signal\nos.kill(os.getpid(), signal.SIGINT)",
            130,
            "error: interrupted before the sweep's table and report",
        ),
        (
            "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)",
            143,
            "error: interrupted before the sweep's table and report",
        ),
    ],
)
def test_a_report_that_does_not_come_about_costs_nothing_else(
    train, tmp_path, matplotlib, code, said
):
    (tmp_path / "matplotlib.py").write_text(matplotlib)
    sweep = ("-m", *SMALL, "seed=0,1", "display=none", "hydra.sweep.dir=sweep")
    # where the server has them already
    ended = train(tmp_path, *sweep, forget=["matplotlib", "ddp.report"])
    assert ended.returncode == code
    assert said in ended.stderr
    assert "KeyboardInterrupt" not in ended.stderr
    assert statuses(tmp_path / "sweep") == ["ok", "ok"]
    assert not (tmp_path / "sweep" / "report.html").exists()


def test_a_sweep_can_do_without(train, tmp_path):
    sweep = ("-m", *SMALL, "trainer.lr=1e30,0.02", "display=none", "hydra.sweep.dir=sweep")
    ended = train(tmp_path, *sweep, "~hydra.callbacks.summary")
    assert ended.returncode == 1
    assert sorted(path.name for path in (tmp_path / "sweep").iterdir()) == [
        "0",
        "1",
        "multirun.yaml",
    ]


def test_a_sweep_whose_table_cannot_be_written_has_its_report(train, tmp_path):
    (tmp_path / "sweep" / "sweep.csv").mkdir(parents=True)
    ended = train(tmp_path, "-m", *SMALL, "seed=0,1", "display=none", "hydra.sweep.dir=sweep")
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: sweep/sweep.csv: ")
    assert ended.stderr.count("\n") == 1
    assert "2 runs" in (tmp_path / "sweep" / "report.html").read_text()


def test_ctrl_c_while_the_results_of_a_sweep_are_read_is_one_line(started, tmp_path):
    """A result that never comes keeps it there."""
    job = tmp_path / "sweep" / "9"
    (job / ".hydra").mkdir(parents=True)
    (job / ".hydra" / "config.yaml").write_text("")
    os.mkfifo(job / "result.json")
    process = started(tmp_path, "-m", "seed=0,1", "hydra.sweep.dir=sweep")
    try:
        deadline, pipe = time.monotonic() + TIMEOUT_S, None
        while pipe is None and time.monotonic() < deadline:
            with suppress(OSError):  # until somebody reads
                pipe = os.open(job / "result.json", os.O_WRONLY | os.O_NONBLOCK)
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=TIMEOUT_S)
        os.close(pipe)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert (process.returncode, errors) == (
        130,
        "error: interrupted before the sweep's table and report were written\n",
    )


def test_a_sweep_whose_report_cannot_be_written_says_so(train, tmp_path):
    (tmp_path / "sweep" / "report.html").mkdir(parents=True)
    ended = train(tmp_path, "-m", *SMALL, "seed=0,1", "display=none", "hydra.sweep.dir=sweep")
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: sweep/report.html: ")
    assert ended.stderr.count("\n") == 1
    assert statuses(tmp_path / "sweep") == ["ok", "ok"]
