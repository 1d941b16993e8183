"""The examples of docs/how-to/extend.md, applied to a copy of the repository, do what they say."""

import shutil
import subprocess
import sys

import pytest
from document_commands import ROOT, STEP
from jobs import DATA
from programs import own_environment

PAGE = ROOT / "docs/how-to/extend.md"
MOST_S = 900  # a compilation from the beginning takes half a minute
COPIED = ("ddp", "conf", "hydra_plugins", "benchmarks", "docs", "tests", "train.py", "setup.cfg",
          "pyproject.toml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile")  # fmt: skip
# example -> the settings that use it, and the tests that hold it to its laws
EXAMPLES = {
    "An aggregation": (("split=iid", "aggregation=root_samples"), ("aggregation", "config")),
    "A split": (("split=blocks", "aggregation=uniform"), ("ratings/test_splits.py", "config")),
    "A trainer": (("trainer=descent",), ("config", "trainers")),
}


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A copy of the repository with every example of the page."""
    copy = tmp_path_factory.mktemp("extended")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name)  # with the caches of compiled loops
        else:
            shutil.copy(ROOT / name, copy / name)
    for step in STEP.finditer(PAGE.read_text(encoding="utf-8")):
        apply(copy / step["file"], step)
    return copy


def apply(path, step):
    """Makes one change that the page shows. The place must be there, and new files must be new."""
    if step["where"] is None:
        assert not path.exists()
        path.write_text(step["code"], encoding="utf-8")
        return
    before, found, after = path.read_text(encoding="utf-8").partition(step["text"])
    assert found, f"{path.name} has no {step['text']}"
    if step["inline"]:
        code = step["code"].rstrip("\n")
        path.write_text(f"{before}{found}{code}{after}", encoding="utf-8")
        return
    lines, rest = f"{before}{found}{after}".splitlines(keepends=True), before.count("\n")
    after = step["where"] == "after"
    lines.insert(rest + after, step["code"] if after else f"{step['code']}\n\n")
    path.write_text("".join(lines), encoding="utf-8")


def run(copy, *arguments):
    return subprocess.run(
        [sys.executable, *arguments], cwd=copy, env=own_environment(copy), check=False,
        capture_output=True, text=True, timeout=MOST_S,
    )  # fmt: skip


def test_the_page_has_steps_for_each_example():
    sections = PAGE.read_text(encoding="utf-8").split("\n## ")
    for example in EXAMPLES:
        (section,) = (each for each in sections if each.startswith(example))
        assert len(STEP.findall(section)) >= 4


@pytest.mark.slow
@pytest.mark.watchdog(2 * MOST_S)
@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_trains_and_passes_the_tests(example, extended):
    settings, tests = EXAMPLES[example]
    done = run(extended, "train.py", *DATA, *settings, "rounds=2", "local_epochs=1", "workers=2")
    assert done.returncode == 0, done.stderr
    passed = run(
        extended, "-m", "pytest", "-q", "-x", *(f"tests/{name}" for name in tests),
        "tests/launch", "tests/test_layering.py",
    )  # fmt: skip
    assert passed.returncode == 0, passed.stdout[-3000:]
