"""Finds the settings in which runs differ.

It derives labels, looks in pictures and groups of runs from them.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ddp.report.reading import Run
from ddp.report.rounds import number
from ddp.report.svg import NUM_SERIES
from ddp.results.run_file import NEVER
from ddp.results.table import harmless

FIRST = ("backend", "workers", "local_epochs")  # the settings that studies vary most often
DASHES = ("0", "5 2.5", "1.5 2", "7 2 1.5 2")  # lengths of dashes and gaps, as SVG writes them
MARKERS = ("o", "s", "^", "D", "v", "P")


def differing(runs: Iterable[Run]) -> list[str]:
    """The settings in which runs differ: those of FIRST first, and the seed last."""
    known = [run.settings for run in runs if run.settings]
    names = (
        sorted(known[0], key=lambda name: (*(name != first for first in FIRST), name == "seed"))
        if known
        else []
    )
    return [name for name in names if name not in NEVER and len({each[name] for each in known}) > 1]


def telling(runs: Sequence[Run], without: Sequence[str] = ()) -> list[str]:
    """The differing settings that tell runs apart, except `without`.

    It leaves out a setting that follows from those before it: such a setting tells nothing new.
    """
    chosen: list[str] = []
    for name in differing(runs):
        if name not in without and len(set(_keys(runs, [*chosen, name]))) > len(
            set(_keys(runs, chosen))
        ):
            chosen.append(name)
    return chosen


def _keys(runs: Iterable[Run], names: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(run.settings[name] for name in names) for run in runs if run.settings]


def call(runs: Sequence[Run]) -> list[str]:
    """The differing settings of each run, in words.

    It leaves out a value that most runs have, except for FIRST.
    """
    names = telling(runs)
    usual = {}
    for name in set(names) - set(FIRST):
        counts = Counter(run.settings[name] for run in runs if run.settings)
        [(value, times)] = counts.most_common(1)
        usual[name] = value if 2 * times > len(runs) else None
    return [
        ", ".join(
            in_words(name, run.settings[name])
            for name in names
            if run.settings and run.settings[name] != usual.get(name)
        )
        for run in runs
    ]


def in_words(name: str, value: str) -> str:
    """A setting with its value, as in "1 worker" or "seed=7"."""
    if name in ("backend", "split", "trainer", "aggregation", "data", "model"):
        return value
    if name == "workers":
        return "1 worker" if value == "1" else f"{value} workers"
    if name == "local_epochs":
        return "1 local epoch" if value == "1" else f"{value} local epochs"
    return f"on {value}" if name == "machine" else f"{name}={value}"


def give_labels(runs: Sequence[Run]) -> None:
    """Sets the label of every run: its name, or the settings in which it differs.

    | runs                        | label                        |
    |-----------------------------|------------------------------|
    | all names differ            | the name                     |
    | all differ in their settings| the settings                 |
    | some agree in them          | the settings, the directory  |
    | settings are not known      | the directory                |
    """
    names = [run.settings.get("name", "-") for run in runs if run.settings]
    if len(names) > 1 and "-" not in names and len(set(names)) == len(names):
        labels = [run.settings.get("name", "") for run in runs]
    else:
        labels = call(runs)
    if not any(labels):
        labels = [
            ", ".join(in_words(name, run.settings[name]) for name in FIRST[:2] if run.settings)
            for run in runs
        ]
    times = Counter(labels)
    for run, label in zip(runs, labels, strict=True):
        place = str(harmless("/".join(run.directory.parts[-2:])))
        run.label = (
            label if label and times[label] == 1 else f"{label} ({place})" if label else place
        )


@dataclass(slots=True, kw_only=True)
class Look:
    """The look of a run: the number of a series, an index into DASHES, and one into MARKERS."""

    colour: int = 0
    dash: int = 0
    marker: int = 0


@dataclass(slots=True, kw_only=True)
class Looks:
    """The look of every run, and the legend.

    The legend maps a setting to its channel (a field of Look) and the look of each value.
    """

    of: dict[str, Look] = field(default_factory=dict)  # by label
    legend: dict[str, tuple[str, dict[str, Look]]] = field(default_factory=dict)
    unseen: list[str] = field(default_factory=list)  # settings without a channel


def looks_of(runs: Sequence[Run], shown: Sequence[Run], without: Sequence[str] = ()) -> Looks:
    """Chooses looks for `runs`, so that a value has the same look in every picture.

    There are three channels, so pictures show three settings at most. The legend is for the runs
    `shown`, and has no settings of `without`.
    """
    looks = Looks(of={run.label: Look() for run in runs})
    room = {"colour": NUM_SERIES, "dash": len(DASHES), "marker": len(MARKERS)}
    for name in telling(runs):
        values = _ordered(run.settings[name] for run in runs if run.settings)
        present = {run.settings[name] for run in shown if run.settings}
        channel = next((channel for channel in room if room[channel] >= len(values)), None)
        if channel is not None:
            del room[channel]
            for run in runs:
                if run.settings:
                    setattr(looks.of[run.label], channel, values.index(run.settings[name]))
        if len(present) > 1 and name not in without:
            if channel is None:
                looks.unseen.append(name)
            else:
                meant = {
                    value: Look(**{channel: place})
                    for place, value in enumerate(values)
                    if value in present
                }
                looks.legend[name] = (channel, meant)
    return looks


def _ordered(values: Iterable[str]) -> list[str]:
    """Each value once: numbers by size, then text in its order."""
    return sorted(
        dict.fromkeys(values),
        key=lambda value: math.inf if (known := number(value)) is None else known,
    )


@dataclass(slots=True, kw_only=True)
class Group:
    """Runs that differ in the axes and the seed only.

    `points` maps values on the axes to the runs that have them.
    """

    label: str = ""
    points: dict[tuple[float, ...], list[Run]] = field(default_factory=lambda: defaultdict(list))


def groups_over(runs: Sequence[Run], axes: Sequence[str]) -> list[Group]:
    """Groups the runs that ended well by all other settings in which runs differ.

    Runs that differ only in the seed are repetitions of one point.
    """
    free = (*axes, "seed")
    others = [name for name in differing(runs) if name not in free]
    groups: dict[tuple[str, ...], Group] = defaultdict(Group)
    first: dict[tuple[str, ...], Run] = {}
    for run in runs:
        place = [number(run.settings.get(axis)) for axis in axes]
        if run.status == "ok" and None not in place:
            key = tuple(run.settings[name] for name in others)
            groups[key].points[tuple(value for value in place if value is not None)].append(run)
            first.setdefault(key, run)
    names = telling(list(first.values()), without=free)
    for key, run in first.items():
        groups[key].label = (
            ", ".join(in_words(name, run.settings[name]) for name in names) or run.backend
        )
    return list(groups.values())


def repetitions(groups: Iterable[Group]) -> str:
    """The note on figures that are medians of several runs; "" if each is of one run."""
    counts = {len(own) for group in groups for own in group.points.values()}
    if max(counts, default=1) == 1:
        return ""
    least, most = min(counts), max(counts)
    return f", median of {most if least == most else f'{least} to {most}'} runs each"
