"""A page in a browser: its screen, its requests, its look and its table of runs."""

import json
from pathlib import Path

PHONE, DESK = 390, 1280
VARIANTS = [(width, mode) for width in (PHONE, DESK) for mode in ("light", "dark")]
SMALLEST_TEXT_PX = 9.0
LOWEST_CONTRAST = 4.5  # WCAG 2, AA
# Gives a text for each fault in the look of the page.
LOOK = (Path(__file__).parent.parent / "report_look.js").read_text()


def show(browser, page, width=DESK, mode="light"):
    """Opens the page on a screen of that width and mode."""
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
    """The button that is the header of a column."""
    return browser.find_element("xpath", f"//section[@id='runs']//th/button[text()='{name}']")


# --- those that sweeps leave ---
