"""The Makefile chooses a Python that fits."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")

HANDED_DOWN = ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "PYTHON")
# `-c CODE`: gives the code another version, as it stands in {version}. `-m venv FOLDER`: makes one.
PYTHON = """\
#!{python}
import sys
if sys.argv[1] == "-c":
    sys.version_info = {version}
    exec(sys.argv[2])
else:
    print("{name}", *sys.argv[1:3])
    import os
    os.makedirs(sys.argv[3])
"""


@pytest.fixture
def created(tmp_path):
    """Makes the virtual environment on a machine that has only these Pythons."""

    def create(*arguments: str, **versions: tuple[int, ...]) -> subprocess.CompletedProcess:
        tools = tmp_path / "tools"
        tools.mkdir()
        for tool in ("make", "sh", "sed", "touch"):
            (tools / tool).symlink_to(shutil.which(tool))
        for name, version in versions.items():
            script = tools / name.replace("_", ".")
            script.write_text(
                PYTHON.format(python=sys.executable, name=script.name, version=version)
            )
            script.chmod(0o755)
        venv = tmp_path / "venv"
        # `make test PYTHON=...` hands its settings to every make below it
        usual = {key: value for key, value in os.environ.items() if key not in HANDED_DOWN}
        return subprocess.run(
            ["make", "-s", f"VENV={venv}", f"{venv}/created", *arguments],
            cwd=ROOT, env=usual | {"PATH": str(tools)}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip

    return create


def test_the_usual_one_is_taken_if_it_fits(created):
    assert created(python3=(3, 11, 7), python3_14=(3, 14, 0)).stdout == "python3 -m venv\n"


@pytest.mark.parametrize("old", [(3, 10, 13), (3, 12, 1), (3, 15, 0)])
def test_another_is_taken_if_the_usual_one_does_not_fit(created, old):
    made = created(python3=old, python3_12=(3, 12, 2), python3_13=old)
    assert made.stdout == "python3.12 -m venv\n"


@pytest.mark.parametrize("version", [(3, 10, 13), (3, 12, 1), (3, 15, 0)])
def test_one_that_is_named_and_does_not_fit_is_refused(created, version):
    made = created("PYTHON=python3.12", python3=(3, 11, 0), python3_12=version)
    assert (made.returncode, made.stdout.count("\n")) == (2, 2)
    assert made.stdout.startswith("needs Python 3.11 to 3.14, but not 3.12.1")


def test_without_any_the_message_says_what_is_needed(created):
    made = created()
    assert (made.returncode, made.stdout.count("\n")) == (2, 2)
    assert made.stdout.startswith("needs Python 3.11 to 3.14, but not 3.12.1")
