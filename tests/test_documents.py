"""Documents name existing files, modules and names; README and the reading path are short."""

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from document_commands import STEP

from benchmarks.tables import BLOCK, RESULTS, documents, with_tables

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    path
    for pattern in (
        *("*.md", "docs/**/*.md", "data/*.md", "outputs/*.md"),
        *("conf/**/*.yaml", "Makefile", "setup.cfg"),
    )
    for path in ROOT.glob(pattern)
)  # fmt: skip
PATH = re.compile(r"(?<![\w./-])(?:ddp|conf|benchmarks|tests|docs|\.ci)/[\w./-]*")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")
NAME = re.compile(r"(?<![\w./-])(?:ddp|benchmarks|tests)(?:\.\w+)+")
COMMAND = re.compile(r"python -m ((?:ddp|benchmarks|tests)[\w.]*\w)")
IMPORT = re.compile(r"^from (ddp[\w.]*) import (\w+)$", re.MULTILINE)


def there(name):
    """Whether a dotted name is a module, or a name in a module."""
    module, _, attribute = name.rpartition(".")
    try:
        return find_spec(name) is not None or hasattr(import_module(module), attribute)
    except ModuleNotFoundError:  # `module` is no package, or it is missing itself
        return find_spec(module) is not None and hasattr(import_module(module), attribute)


def runs(module):
    """Whether `python -m` finds a module to run."""
    spec = find_spec(module)
    return bool(spec) and (not spec.submodule_search_locations or find_spec(f"{module}.__main__"))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_names_files_modules_and_names_that_are_there(path):
    text = STEP.sub("", path.read_text(encoding="utf-8"))  # changes that a reader may make
    files = {ROOT / name.rstrip(".") for name in PATH.findall(text)}
    files |= {path.parent / name for name in LINK.findall(text)} if path.suffix == ".md" else set()
    names = {*NAME.findall(text), *map(".".join, IMPORT.findall(text))}
    missing = [str(file.relative_to(ROOT)) for file in files if not file.exists()]
    missing += [name for name in names if not there(name)]
    missing += [f"python -m {name}" for name in COMMAND.findall(text) if not runs(name)]
    assert not sorted(missing)


def test_the_reading_path_is_eight_files_of_1400_lines_at_most():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.partition("## A reading path")[2].partition("\n## ")[0]
    files = re.findall(r"^\d\. `(ddp/\S+\.py)`", section, re.MULTILINE)
    assert 5 <= len(files) == len(set(files)) <= 8
    lines = sum(len((ROOT / name).read_text(encoding="utf-8").splitlines()) for name in files)
    assert lines <= 1400, f"{lines} lines"


def test_the_tables_are_those_of_the_figures():
    for path in documents():
        text = path.read_text(encoding="utf-8")
        assert with_tables(text) == text, "python -m benchmarks.tables writes them anew"


def test_every_file_of_figures_has_a_table():
    shown = {block["name"] for path in documents() for block in BLOCK.finditer(path.read_text())}
    assert shown == {path.stem for path in RESULTS.glob("*.json")}


def test_readme_is_one_page_without_wide_tables():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    assert [line for line in lines if line.startswith("|") and len(line) > 100] == []
