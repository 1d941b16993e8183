"""The parts of the page without pictures.

They are the ratings, versions and commands, warnings, and the list of missing parts,
seconds and files.
"""

import os
import shlex
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from ddp.counting import counted
from ddp.report.markup import Value, escape, listing, pairs
from ddp.report.reading import Run
from ddp.report.rounds import number
from ddp.results.table import cell

MAX_LISTED = 5  # items of a list; it ends with the number of the others
TIME = "Where the time went"


def data(runs: Sequence[Run]) -> str | None:
    """The facts about each set of ratings; None if no run says them."""
    whose: defaultdict[tuple[tuple[str, str], ...], list[Run]] = defaultdict(list)
    for run in runs:
        if run.data:
            whose[tuple(run.data.items())].append(run)
    content = ""
    for known, own in list(whose.items())[:MAX_LISTED]:
        if len(whose) > 1:
            more = f" and {len(own) - 1} more" if len(own) > 1 else ""
            content += f"<h3>{escape(own[0].label + more)}</h3>"
        texts = dict.fromkeys(note for run in own for note in run.notes)
        notes = [("note", text) for text in texts]
        notes += [("simplest predictors", text) for text in _simplest(own)]
        content += pairs(known) + (listing(notes) if notes else "")
    left = len(whose) - MAX_LISTED
    if left > 0:
        content += f"<p>And {left} more, see data in result.json.</p>"
    return content or None


def _simplest(runs: Sequence[Run]) -> list[str]:
    """The figures of the simplest predictors; they differ where other ratings are held out."""
    told = list(dict.fromkeys(text for run in runs for text in run.simplest))
    more = len(told) - MAX_LISTED
    return told[:MAX_LISTED] + ([f"and {more} more, of other held out parts"] if more > 0 else [])


def value_of(name: str, value: Any) -> Value:
    """The cell of a value of the column `name`."""
    text = cell(name, value)
    as_number = number(value) if not isinstance(value, str) else None
    return Value(text=text, key=None if text == "-" else text if as_number is None else as_number)


def origin(runs: Sequence[Run], place: str) -> str:
    """Versions, machines and command lines."""
    content = ""
    names = dict.fromkeys(name for run in runs for name in run.environment)
    machine = []
    for name in names:
        where: defaultdict[str, list[str]] = defaultdict(list)
        for run in runs:
            if name in run.environment:
                where[run.environment[name]].append(os.path.relpath(run.directory, place))
        known = [
            value if len(where) == 1 else f"{value} (in {_some(own)})"
            for value, own in where.items()
        ]
        machine.append((name, ", ".join(known)))
    if machine:
        content += f"<h3>Versions and machine</h3>{pairs(machine)}"
    commands = dict.fromkeys(shlex.join(run.command) for run in runs if run.command)
    if commands:
        content += f"<h3>Command{'s' * (len(commands) > 1)}</h3>" + "".join(
            f"<pre>{escape(each)}</pre>" for each in commands
        )
    return content or "<p>No run says so.</p>"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(names[:MAX_LISTED]) + more


def warnings(runs: Sequence[Run]) -> str:
    """The warnings of all runs, each text once, the most frequent first; "" if there are none."""
    whose: defaultdict[str, list[str]] = defaultdict(list)
    for run in runs:
        for warning in dict.fromkeys(run.warnings):
            whose[warning].append(run.label)
    lines = [
        (own[0] if len(own) == 1 else counted(len(own), "run"), text) for text, own in whose.items()
    ]
    lines.sort(key=lambda line: -len(whose[line[1]]))
    left = len(lines) - MAX_LISTED
    more = [("and", f"{left} more, see warnings in result.json")] if left > 0 else []
    return listing(lines[:MAX_LISTED] + more) if lines else ""


def missing(runs: Sequence[Run], absent: Sequence[tuple[str, str]]) -> str:
    """The list of all that is missing; "" if nothing is.

    It has the `absent` parts, runs that no part compares, and files that cannot be read.
    """
    lines = list(absent)
    without = sum(run.status == "ok" and not run.lanes and not run.resumed for run in runs)
    if without and any(run.lanes for run in runs):
        lines.append((TIME, f"{without} run{'s have' if without > 1 else ' has'} no account"))
    again = [run.label for run in runs if run.resumed]
    if again:
        text = "their seconds and accounts are of the last process only, and are left out"
        lines.append(("Resumed", f"{_some(again)}: {text}"))
    lines += [(run.label, trouble) for run in runs for trouble in run.troubles]
    return listing(lines) if lines else ""
