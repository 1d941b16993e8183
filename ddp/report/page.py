"""Makes the page: one HTML file that needs no other file. Its inputs pass through these modules:

    result.json, rounds.csv --> reading.py --> comparing.py --+--> parts.py ----+
                                                              |                 |
    trace.json ---------------> tracing.py -------------------+--> bars.py -----+--> page.py
                                                              |                 |
                                                              +--> scaling.py --+
                                                              |                 |
                                                              +--> overview.py -+

| module                        | makes                                                            |
|-------------------------------|------------------------------------------------------------------|
| reading.py, rounds.py         | a `Run` of a run's files, with its rounds                        |
| tracing.py                    | one round of its trace                                           |
| comparing.py                  | labels and looks of runs, groups of runs that belong together    |
| headline.py                   | the cards at the top                                             |
| parts.py, bars.py, scaling.py | the parts with pictures                                          |
| seeds.py                      | the spread over seeds                                            |
| all_runs.py, overview.py      | the parts without pictures                                       |
| curves.py, pictures.py,       | the pictures, with svg.py                                        |
| maps.py, spreads.py           |                                                                  |
| cutting.py                    | labels that fit, and still differ                                |
| page.py                       | the whole page, of page.html, page.css and page.js               |

All parts are made of the pieces of HTML in markup.py.
"""

import base64
import hashlib
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from string import Template

from ddp.counting import counted
from ddp.machine.files import atomic_file
from ddp.report import all_runs, bars, overview, parts, scaling, seeds
from ddp.report.comparing import give_labels
from ddp.report.headline import headline
from ddp.report.markup import colours_of_kinds, escape, link, section
from ddp.report.reading import Run, read_run
from ddp.report.svg import page_style
from ddp.results.run_directory import TRACE_FILE
from ddp.results.run_file import RunFile
from ddp.results.table import rows_of

# id -> title, function that makes it, and the reason to give where its data is missing.
PARTS: dict[str, tuple[str, Callable[[Sequence[Run]], str | None], str]] = {
    "accuracy": ("Accuracy", parts.accuracy, "no run has finished a round"),
    "time": (
        overview.TIME,
        bars.time,
        "no run has an account (older runs, or account=false)",
    ),
    "rounds": ("One round", parts.rounds, f"no run has a {TRACE_FILE} with a round in it"),
    "scaling": (
        "Speed-up",
        scaling.scaling,
        "no runs differ only in their number of workers, with one worker among them",
    ),
    "grids": (
        "Workers and local epochs",
        scaling.grids,
        "no runs form a grid of at least two numbers of each",
    ),
    "memory": ("Memory", parts.memory, "no run says what it took"),
    "data": ("The ratings", overview.data, "no run describes its ratings (older runs)"),
}


def write_report(files: Sequence[RunFile], path: Path) -> None:
    """Writes the page about these runs to `path`, whole or not at all. Raises OSError."""
    page = make_page(files)
    with atomic_file(path) as file:
        file.write(page.encode())


def make_page(files: Sequence[RunFile]) -> str:
    """The page about these runs, as HTML."""
    runs = [read_run(file) for file in files]
    give_labels(runs)
    sections, absent = _parts(runs)
    place = os.path.commonpath([run.directory.absolute() for run in runs])
    if spread := seeds.seeds(files):
        title, curves = sections.get("accuracy", (PARTS["accuracy"][0], ""))
        sections["accuracy"] = (title, curves + spread)
    sections["runs"] = ("All runs", all_runs.runs_table(rows_of(files), runs, place))
    sections["origin"] = ("Where it comes from", overview.origin(runs, place))
    if warnings := overview.warnings(runs):
        sections["warnings"] = ("Warnings", warnings)
    if missing := overview.missing(runs, absent):
        sections["missing"] = ("What is not here", missing)
    return _document(files, runs, place, sections)


def _parts(
    runs: Sequence[Run],
) -> tuple[dict[str, tuple[str, str]], list[tuple[str, str]]]:
    """The PARTS with data: id -> title and content; and the absent ones: title and reason."""
    sections, absent = {}, []
    with page_style():
        for name, (title, make, why_not) in PARTS.items():
            try:
                content = make(runs)
            except Exception as error:  # the files may hold anything, and must not cost the page
                absent.append((title, f"could not be drawn ({type(error).__name__}: {error})"))
                continue
            if content is None:
                absent.append((title, why_not))
            else:
                sections[name] = (title, content)
    return sections, absent


def _document(
    files: Sequence[RunFile],
    runs: Sequence[Run],
    place: str,
    sections: dict[str, tuple[str, str]],
) -> str:
    near = os.path.relpath(place) if Path(place).is_relative_to(Path.cwd()) else place
    written = (
        f"{near}, reported on {datetime.now():%Y-%m-%d at %H:%M}."
        " All figures are measured, none is simulated."
    )
    html, style, script = (
        Path(__file__).with_name(name).read_text(encoding="utf-8")
        for name in ("page.html", "page.css", "page.js")
    )
    # the page's policy: it loads nothing from anywhere, and runs no script but this one
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return Template(html).substitute(
        digest=digest,
        title=escape(counted(len(runs), "run")),
        name=escape(Path(place).name),
        style=colours_of_kinds() + style,
        written=escape(written),
        headline=headline(files, runs),
        links="".join(link(name, heading) for name, (heading, _) in sections.items()),
        sections="".join(section(name, *parts) for name, parts in sections.items()),
        script=script,
    )
