"""The command `python -m ddp.report`."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import Page
from program_server import REPOSITORY
from programs import own_environment
from report_files import write_run

pytestmark = pytest.mark.usefixtures("fonts")

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def command(programs):
    return lambda *arguments, cwd: programs.run("-m", "ddp.report", *arguments, cwd=cwd)


def test_the_command_writes_one_file_and_says_where(command, tmp_path):
    write_run(tmp_path / "a" / "run")
    write_run(tmp_path / "b" / "run")
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    ended = command("a", "b", cwd=tmp_path)
    link = (tmp_path / "a" / "report.html").as_uri()
    assert (ended.returncode, ended.stderr, ended.stdout) == (0, "", f"report: {link}\n")
    assert {path for path in tmp_path.rglob("*") if path.is_file()} - before == {
        tmp_path / "a" / "report.html"
    }
    assert "2 runs" in Page((tmp_path / "a" / "report.html").read_text()).titles[0]
    ended = command("a", "--out", "new place/mine.html", cwd=tmp_path)
    assert ended.stdout == f"report: {tmp_path.as_uri()}/new%20place/mine.html\n"
    assert "1 run" in Page((tmp_path / "new place" / "mine.html").read_text()).titles[0]


def test_the_page_opens_in_a_browser_and_it_is_said_where_none_is(programs, tmp_path):
    write_run(tmp_path / "run")
    browser = tmp_path / "browser"
    browser.write_text('#!/bin/sh\nprintf %s "$1" > opened\n')
    browser.chmod(0o755)
    link = (tmp_path / "run" / "report.html").as_uri()
    for command, code, message in (
        (str(browser), 0, ""),
        ("/bin/false", 1, "error: no browser started on this machine; open the link above"),
    ):
        environment = own_environment(REPOSITORY, BROWSER=command, PATH="", DISPLAY="")
        ended = programs.run(
            "-m", "ddp.report", "run", "--open", cwd=tmp_path, environment=environment
        )
        assert (ended.returncode, ended.stdout) == (code, f"report: {link}\n")
        assert ended.stderr.startswith(message) if message else ended.stderr == ""
    assert (tmp_path / "opened").read_text() == link


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "error: nowhere is not a directory"),
        ((".", "file"), "error: file is not a directory"),
        (("empty",), "error: no result.json below empty"),
    ],
)
def test_nothing_to_report_is_one_line(command, tmp_path, arguments, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    ended = command(*arguments, cwd=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", message + "\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file"]


def test_a_report_that_cannot_be_written_is_one_line_and_leaves_nothing(command, tmp_path):
    write_run(tmp_path / "run")
    (tmp_path / "taken").mkdir()
    before = sorted(tmp_path.rglob("*"))
    ended = command("run", "--out", "taken", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.fullmatch(r"error: taken: Is a directory.*--out FILE\n", ended.stderr)
    assert sorted(tmp_path.rglob("*")) == before


def test_only_a_report_pays_for_matplotlib():
    code = (
        "import sys, ddp.launch.command, ddp.results.table, ddp.experiment, ddp.tracking.terminal\n"
        "print('matplotlib' in sys.modules)\n"
        "import ddp.report.__main__\n"
        "print('matplotlib.pyplot' in sys.modules)\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert shown == "False\nFalse\n"
