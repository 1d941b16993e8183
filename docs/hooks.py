"""Pages that mkdocs makes from the code: options, the Python API, copies of root documents.

A page says with `<!-- made: options -->` or `<!-- made: python -->` where its made part stands.
"""

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Any, get_args

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from ddp.config.defaults import CONF
from ddp.config.options import OPTIONS
from ddp.config.schema import Scalars
from ddp.config.simulate import Simulate
from ddp.config.tracker import TRACKERS

ROOT = Path(__file__).parent.parent
COPIES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
KINDS = {int: "whole number", float: "number", bool: "true or false", str: "text"}
NAMED = ("experiment", "sweep")  # groups whose files set values anywhere
LINE = re.compile(r"^(?P<indent> *)(?P<key>[\w/ ]+): *(?P<value>[^#]*?) *(?:# *(?P<note>.*))?$")
# Parts of a signature: as Python prints them, and as a reader knows them.
SHORT = {
    r"'([\w.]*[A-Z.][^']*)'": r"\1",
    r"numpy\.ndarray\[.*?, numpy\.dtype\[numpy\.(\w+)\]\]": r"NDArray[\1]",
    r"\b(?:[a-z_]+\.)+(?=[A-Z])": "",
}
# The names that the page of the Python API describes, in its order.
API = (
    "ddp.run",
    "ddp.results.run_result.RunResult",
    "ddp.load_model",
    "ddp.results.predicting.SavedModel",
    "ddp.workers.backend.Backend",
    "ddp.workers.exchange.Exchange",
    "ddp.aggregation.combine.Combine",
    "ddp.trainers.trainer.Trainer",
    "ddp.tracking.tracker.Tracker",
    "ddp.tracking.tracker.RunFacts",
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the documents of the root folder."""
    for name, page in COPIES.items():
        text = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fills in the made parts of a page."""
    for name, lines in (("options", option_lines), ("python", api_lines)):
        mark = f"<!-- made: {name} -->"
        if mark in markdown:
            markdown = markdown.replace(mark, "\n".join(lines()))
    return markdown


# --- every option ---


def option_lines() -> Iterator[str]:
    """The settings of conf/config.yaml, then those of each option of each group."""
    notes = _notes(CONF / "config.yaml")
    yield from ("## Settings without a group", "", *_head())
    for key, value, note in notes:
        if not key.startswith(("hydra", "defaults")):
            schema = Simulate if key.startswith("simulate.") else Scalars
            yield _line(key, _kind(schema, key.removeprefix("simulate.")), value, note)
    groups = {key.removeprefix("defaults."): note for key, _, note in notes}
    for folder in sorted(path for path in CONF.iterdir() if path.is_dir()):
        chosen = next((value for key, value, _ in notes if key == f"defaults.{folder.name}"), "")
        yield from ("", f"## `{folder.name}`", "", f"{_sentence(groups.get(folder.name, ''))}")
        if chosen not in ("", "null"):
            yield f"Default: `{folder.name}={chosen}`."
        for option in sorted(folder.glob("*.yaml")):
            yield from _option(folder.name, option)


def _option(group: str, path: Path) -> Iterator[str]:
    first = next(
        line.lstrip("# ")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("#") and "@package" not in line
    )
    yield from ("", f"### `{group}={path.stem}`", "", _sentence(first))
    if group in NAMED:
        return
    known = TRACKERS if group == "tracker" else OPTIONS[group]
    prefix = f"tracker.{path.stem}" if group == "tracker" else group
    lines = [
        _line(f"{prefix}.{key}", _kind(known.get(path.stem), key), value, note)
        for key, value, note in _with_bases(path)
        if key != "name"
    ]
    if lines:
        yield from ("", *_head(), *lines)


def _with_bases(path: Path) -> list[tuple[str, str, str]]:
    """The settings of an option's file and of the files that it extends."""
    own = _notes(path)
    bases = [value for key, value, _ in own if key == "defaults"]
    found = {key: (key, value, note) for key, value, note in own if key != "defaults"}
    for name in re.findall(r"[\w/]+(?=@_here_)", " ".join(bases)):
        for line in _with_bases(path.parent / f"{name}.yaml"):
            found.setdefault(line[0], line)
    return list(found.values())


def _notes(path: Path) -> list[tuple[str, str, str]]:
    """Each `key: value  # note` line of a YAML file; an inner key is outer.key."""
    found, outer = [], ""
    for line in path.read_text(encoding="utf-8").splitlines():
        match = LINE.match(line.replace("  - ", "  ", 1))
        if match is None:
            continue
        key, value = match["key"].strip(), match["value"]
        if not match["indent"]:
            outer = key
        if value:
            name = f"{outer}.{key}" if match["indent"] else key
            found.append((name, value, match["note"] or ""))
    return found


def _head() -> tuple[str, str]:
    return "| setting | kind | default | meaning |", "|---|---|---|---|"


def _line(*cells: str) -> str:
    key, kind, value, note = (cell.replace("|", r"\|") for cell in cells)
    return f"| `{key}` | {kind} | `{value}` | {note} |"


def _kind(schema: type | None, key: str) -> str:
    """The kind of value that a setting takes, from its dataclass."""
    for field in fields(schema) if schema else ():
        if field.name == key:
            is_union = isinstance(field.type, UnionType)
            kinds: tuple[Any, ...] = get_args(field.type) if is_union else (field.type,)
            names = [KINDS.get(kind, "list of texts") for kind in kinds if kind is not type(None)]
            return " or ".join([*names, *(["null"] if type(None) in kinds else [])])
    return ""


def _sentence(text: str) -> str:
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if not text or text.endswith('.') else '.'}"


# --- the Python API ---


def api_lines() -> Iterator[str]:
    """The signature and the docstring of each public name, and of each method of a class."""
    for path in API:
        module, _, name = path.rpartition(".")
        found = getattr(import_module(module), name)
        yield from ("", f"## `{path}`", "", *_signature(name, found), *_docstring(found))
        if inspect.isclass(found):
            for method, value in vars(found).items():
                if not method.startswith("_") and (callable(value) or isinstance(value, property)):
                    yield from _member(name, method, value)


def _member(owner: str, name: str, value: Any) -> Iterator[str]:
    shown = value.fget if isinstance(value, property) else value
    if not inspect.getdoc(shown):
        return
    yield from ("", f"### `{owner}.{name}`", "")
    if not isinstance(value, property):
        yield from _signature(name, value)
    yield from _docstring(shown)


def _signature(name: str, found: Any) -> tuple[str, ...]:
    """The call with short names of types; a long one has a line per argument."""
    try:
        text = str(inspect.signature(found)).replace("self, ", "").replace("(self)", "()")
    except (TypeError, ValueError):
        return ()
    for long, short in SHORT.items():
        text = re.sub(long, short, text)
    if len(name + text) > 80:
        arguments, arrow, result = text.removeprefix("(").rpartition(") ->")
        parts = "".join(f"    {each},\n" for each in re.split(r", (?=\*?\w+:|\*,)", arguments))
        text = f"(\n{parts}{arrow}{result}"
    return ("```python", f"{name}{text}", "```", "")


def _docstring(found: Any) -> tuple[str, ...]:
    return tuple((inspect.getdoc(found) or "").splitlines())
