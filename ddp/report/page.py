"""The page: its parts in order, what they could not show, and everything that it needs inside of
it.
"""

import base64
import hashlib
import os
import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from ddp.machine.files import atomic_file
from ddp.report import bars, parts, scaling
from ddp.report.comparing import give_labels
from ddp.report.markup import Value, colours_of_kinds, details, escape, listing, pairs, table
from ddp.report.reading import Run, number, read_run
from ddp.report.svg import page_style
from ddp.results.run_directory import TRACE_FILE
from ddp.results.table import agreed_settings, cell, comparison, harmless

MAX_TOLD = 5  # failures above the table, warnings below it
# id -> title, how it is made, and what to say where its data is not there.
PARTS: dict[str, tuple[str, Callable[[Sequence[Run]], str | None], str]] = {
    "accuracy": ("Accuracy", parts.accuracy, "no run has finished a round"),
    "time": (
        "Where the time went",
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
}


def write_report(runs: pd.DataFrame, path: Path) -> None:
    """Writes the page about these runs (of `ddp.results.table.read_runs`), whole or not at all.
    Raises OSError.
    """
    page = make_page(runs)
    with atomic_file(path) as file:
        file.write(page.encode())


def make_page(runs: pd.DataFrame) -> str:
    """The page about these runs."""
    read = [
        read_run({str(name): value for name, value in row.items()})
        for row in runs.to_dict("records")
    ]
    runs = runs.map(harmless)
    give_labels(read)
    sections = {}
    absent: list[tuple[str, str]] = []
    with page_style():
        for name, (title, make, why_not) in PARTS.items():
            try:
                content = make(read)
                if content is None:
                    absent.append((title, why_not))
                else:
                    sections[name] = (title, content)
            # whatever the files made of it: the other parts are worth their reader's time
            except Exception as error:
                absent.append((title, f"could not be drawn ({type(error).__name__}: {error})"))
    place = os.path.commonpath([run.directory.absolute() for run in read])
    sections["runs"] = ("All runs", _runs_table(runs, read, place))
    sections["origin"] = ("Where it comes from", _origin(read, place))
    if warnings := _warnings(read):
        sections["warnings"] = ("Warnings", warnings)
    if missing := _missing(read, absent):
        sections["missing"] = ("What is not here", missing)
    return _document(read, place, sections)


def _document(runs: Sequence[Run], place: str, sections: dict[str, tuple[str, str]]) -> str:
    title = f"{len(runs)} run{'s' * (len(runs) != 1)}"
    near = os.path.relpath(place) if Path(place).is_relative_to(Path.cwd()) else place
    written = f"{near}, reported on {datetime.now():%Y-%m-%d at %H:%M}. All figures are measured, none is simulated."
    style, script = (
        Path(__file__).with_name(name).read_text(encoding="utf-8")
        for name in ("page.css", "page.js")
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    links = "".join(
        f'<a href="#{name}">{escape(heading)}</a>' for name, (heading, _) in sections.items()
    )
    body = "".join(
        f'<section id="{name}"><h2>{escape(heading)}</h2>{content}</section>'
        for name, (heading, content) in sections.items()
    )
    # The policy: nothing is loaded from anywhere, and no script runs but this one.
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)} in {escape(Path(place).name)}</title>
<style>{colours_of_kinds()}{style}</style>
</head>
<body>
<header><h1>{title}</h1><p class="muted">{escape(written)}</p>{_headline(runs)}</header>
<nav aria-label="Parts of the report">{links}</nav>
<main>{body}</main>
<script>{script}</script>
</body>
</html>
"""


def _headline(runs: Sequence[Run]) -> str:
    ok = [run for run in runs if run.status == "ok"]
    statuses = Counter(run.status for run in runs if run.status != "ok")
    tiles = [
        ("ended well", f"{len(ok)}", f"of {len(runs)}"),
        (
            "did not",
            f"{len(runs) - len(ok)}",
            ", ".join(f"{number} {status}" for status, number in statuses.items()) or "none",
        ),
    ]
    if timed := [(run.total_s, run.label) for run in ok if run.total_s is not None]:
        seconds, label = min(timed)
        tiles.append(
            (
                "fastest, the whole run" if len(ok) > 1 else "the whole run",
                f"{seconds:.3g} s",
                label,
            )
        )
    if best := _best(ok):
        tiles.append(best)
    return '<div class="tiles">{}</div>'.format(
        "".join(
            "<div><span"
            f' class="muted">{escape(name)}</span><b>{escape(figure)}</b><span>{escape(more)}</span></div>'
            for name, figure, more in tiles
        )
    )


def _best(ok: Sequence[Run]) -> tuple[str, str, str] | None:
    """The run that the validation part chose, with its RMSE on the test part: chosen by that, it
    would look too good.
    """
    judged = [run for run in ok if run.rmse is not None and run.valid_rmse is not None]
    by = "validation" if judged else "test"  # there may be no validation part
    scores = [
        (score, run.total_s or 0.0, run.label, run.rmse)
        for run in judged or ok
        if (score := run.valid_rmse if judged else run.rmse) is not None
    ]
    if not scores:
        return None
    score, _, label, rmse = min(scores)
    equal = sum(other == score for other, *_ in scores) - 1
    title = f"test RMSE of the run with the lowest {by} RMSE" if len(scores) > 1 else "test RMSE"
    return title, f"{rmse:.4f}", label + (f", and {equal} more" if equal else "")


def _runs_table(runs: pd.DataFrame, read: Sequence[Run], place: str) -> str:
    told = next((run.told for run in read if run.told), {})
    agreed = [(name, told[name]) for name in agreed_settings(runs) if name in told]
    summary = (
        f"{len(agreed)} settings that are the same in all runs" if len(read) > 1 else "Its settings"
    )
    content = details(summary, pairs(agreed)) if agreed else ""
    shown = comparison(
        runs.assign(directory=[os.path.relpath(run.directory, place) for run in read])
    )
    machines = [run.told.get("machine", "-") for run in read]
    if len({*machines} - {"-"}) > 1:
        shown.insert(len(shown.columns) - 1, "machine", machines)
    rows = [
        [_value(str(name), row[name]) for name in shown.columns] for row in shown.to_dict("records")
    ]
    names = [str(name).replace("_", " ").replace(".", " ") for name in shown.columns]
    failed = {number for number, run in enumerate(read) if run.status != "ok"}
    content = (
        _failures(runs, read) + f'<p class="lead">Press on a header to sort by it.</p>{content}'
    )
    return content + table("All runs", names, rows, failed)


def _failures(runs: pd.DataFrame, read: Sequence[Run]) -> str:
    """Why runs did not end well, where nobody has to look for it; the table has all of them."""
    errors = [
        (run.label, error)
        for run, error in zip(read, runs["error"], strict=True)
        if isinstance(error, str)
    ]
    more = [("and", f"{len(errors) - MAX_TOLD} more")] if len(errors) > MAX_TOLD else []
    return listing(errors[:MAX_TOLD] + more) if errors else ""


def _value(name: str, value: Any) -> Value:
    text = cell(name, value)
    as_number = number(value) if not isinstance(value, str) else None
    return Value(text=text, key=None if text == "-" else text if as_number is None else as_number)


def _origin(read: Sequence[Run], place: str) -> str:
    content = ""
    names = dict.fromkeys(name for run in read for name in run.environment)
    machine = []
    for name in names:
        where: defaultdict[str, list[str]] = defaultdict(list)
        for run in read:
            if name in run.environment:
                where[run.environment[name]].append(os.path.relpath(run.directory, place))
        known = [
            value if len(where) == 1 else f"{value} (in {_some(own)})"
            for value, own in where.items()
        ]
        machine.append((name, ", ".join(known)))
    if machine:
        content += f"<h3>Versions and machine</h3>{pairs(machine)}"
    commands = dict.fromkeys(shlex.join(run.command) for run in read if run.command)
    if commands:
        content += f"<h3>Command{'s' * (len(commands) > 1)}</h3>" + "".join(
            f"<pre>{escape(each)}</pre>" for each in commands
        )
    return content or "<p>No run says so.</p>"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_TOLD} more" if len(names) > MAX_TOLD else ""
    return ", ".join(names[:MAX_TOLD]) + more


def _warnings(runs: Sequence[Run]) -> str:
    """What runs warned of, each text once: the ones that most runs have come first."""
    whose: defaultdict[str, list[str]] = defaultdict(list)
    for run in runs:
        for warning in dict.fromkeys(run.warnings):
            whose[warning].append(run.label)
    lines = [(own[0] if len(own) == 1 else f"{len(own)} runs", text) for text, own in whose.items()]
    lines.sort(key=lambda line: -len(whose[line[1]]))
    more = (
        [("and", f"{len(lines) - MAX_TOLD} more, see warnings in result.json")]
        if len(lines) > MAX_TOLD
        else []
    )
    return listing(lines[:MAX_TOLD] + more) if lines else ""


def _missing(runs: Sequence[Run], absent: Sequence[tuple[str, str]]) -> str:
    """What could not be read, what is not comparable, and which parts have no data."""
    lines = [(title, reason) for title, reason in absent]
    without = sum(run.status == "ok" and not run.lanes and not run.resumed for run in runs)
    if without and any(run.lanes for run in runs):
        lines.append((PARTS["time"][0], f"{without} runs have no account"))
    again = [run.label for run in runs if run.resumed]
    if again:
        lines.append(
            (
                "Resumed",
                f"{_some(again)}: their seconds and accounts are of the last process only, and are"
                " left out",
            )
        )
    lines += [(run.label, trouble) for run in runs for trouble in run.troubles]
    return listing(lines) if lines else ""
