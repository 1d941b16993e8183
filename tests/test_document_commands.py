"""Every command in README and docs/ works: those of README by default, all others when asked."""

import os
import re
import shlex
import subprocess
import sys

import document_commands as shown
import pytest
from machines import write_calibration
from programs import own_environment

MOST_S = 600  # Optuna runs forty jobs
COMMANDS = shown.commands()
MAKE = [command for _, command in COMMANDS if command.startswith("make ")]
RUN = [(path, command) for path, command in COMMANDS if not command.startswith("make ")]
FIRST = [
    command
    for path, command in RUN
    if path in ("README.md", "docs/tutorial.md") and command.startswith(shown.TRAIN)
]


@pytest.mark.parametrize("command", sorted({command.split()[1] for command in MAKE}))
def test_make_has_the_target(command):
    makefile = (shown.ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^## {command}: ", makefile, re.MULTILINE)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory with all files that the commands name, on a machine with known constants."""
    place = tmp_path_factory.mktemp("documents")
    shown.prepare(place)
    write_calibration(place / "cache" / "ddp" / "calibration.json")
    return place


@pytest.mark.parametrize("command", FIRST)
def test_the_settings_of_the_first_commands_are_accepted(command, place, train):
    _, _, arguments = command.partition(shown.TRAIN)
    first_job = [word.partition(",")[0] for word in shlex.split(arguments) if word != "-m"]
    done = train(place, *first_job, "--cfg", "job")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def ran(place):
    """`ran(command)`: runs it in a shell, after runs and a sweep that others may read."""
    environment = own_environment(
        shown.ROOT,
        PATH=f"{place / 'bin'}:{os.environ['PATH']}",
        XDG_CACHE_HOME=str(place / "cache"),
        BROWSER="true",
    )

    def run(command):
        return subprocess.run(
            ["bash", "-c", f"{command}\nwait"],
            cwd=place, env=environment, capture_output=True, text=True, check=False,
            timeout=MOST_S,
        )  # fmt: skip

    csv = "data=csv data.path=ratings.csv workers=2"
    for command in (
        f"{shown.TRAIN} {csv} hydra.run.dir=outputs/run",
        f"{shown.TRAIN} {csv} hydra.run.dir=from-the-second/run",
        f"{shown.TRAIN} -m {csv} seed=0,1 hydra.sweep.dir=outputs/multirun/sweep",
    ):
        done = run(shown.small(command, place))
        assert done.returncode == 0, done.stderr
    return run


@pytest.mark.slow
@pytest.mark.watchdog(2 * MOST_S)
@pytest.mark.parametrize(("document", "command"), RUN)
def test_a_command_ends_well(document, command, place, ran):
    done = ran(shown.small(command, place))
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("document", "code"), shown.python_blocks())
def test_python_in_a_document_runs(document, code, place, ran):
    # the columns of a table with these names, as the page says
    frame = "import pandas; frame = pandas.DataFrame({'user': [196], 'item': [242]})\n"
    code = re.sub(r'"outputs/[\d/-]+"', '"outputs/run"', frame + code)
    done = ran(shlex.join(["python", "-c", code]))
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.watchdog(2 * MOST_S)
def test_the_example_of_a_script_runs_as_one(tmp_path):
    """Its workers in processes import the script itself."""
    (code,) = [code for path, code in shown.python_blocks() if path == "docs/how-to/notebook.md"]
    (tmp_path / "example.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "example.py"],
        cwd=tmp_path, env=own_environment(shown.ROOT), capture_output=True, text=True, check=False,
        timeout=MOST_S,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("aggregated RMSE") == 4 * 3
    assert done.stdout.splitlines()[-10].startswith("run: ")
