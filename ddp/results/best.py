"""The lines below the table of many runs: which is best, which is fastest, and by how much.

Runs that differ only in their seed count together: the best of several seeds is luck.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from ddp.config.command import command_of
from ddp.config.earlier import as_saved
from ddp.machine.printable import printable
from ddp.results.run_file import NEVER, RunFile
from ddp.results.seeds import MAX_NUMBER, configurations
from ddp.results.table import telling_settings
from ddp.results.ties import tie, values_of

REPEAT = "repeat"  # the label of a command
Lines = list[tuple[str, str]]  # a label and its text


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Runs of one configuration that ended well, of one seed or of several."""

    runs: Sequence[RunFile]
    label: str
    machine: str

    @property
    def seeds(self) -> list[Any]:
        return [*dict.fromkeys(run.settings["seed"] for run in self.runs)]

    def mean(self, name: str) -> float:
        """The mean of an outcome over the runs; NaN if one has none."""
        return fmean(run.outcome[name] for run in self.runs)

    def values(self, name: str) -> list[float]:
        """The values of an outcome that count for its spread."""
        return values_of(self.runs, name)

    @property
    def about_seeds(self) -> str:
        return f" on average over {len(self.seeds)} seeds" if len(self.seeds) > 1 else ""

    @property
    def command(self) -> str | None:
        """The command that repeats the runs; None if their files do not tell it."""
        try:
            config = as_saved(self.runs[0].content["config"])
            seeds = self.seeds if len(self.seeds) > 1 else ()
            return printable(command_of(config, without=NEVER, seeds=seeds))
        except (LookupError, TypeError, AttributeError):
            return None


def best_and_fastest(runs: Sequence[RunFile]) -> Lines:
    """The lines; none if fewer than two configurations ended well, or on different ratings."""
    groups = groups_of(runs)
    if len(groups) < 2 or not are_comparable(groups):
        return []
    by_rmse = lowest_first(groups, "valid_rmse")
    lines = _best(by_rmse) if by_rmse else []
    by_time = lowest_first(groups, "train_s")
    return lines + (_fastest(by_time, by_rmse) if len(by_time) > 1 else [])


def are_comparable(groups: Sequence[Group]) -> bool:
    """Tells whether the groups have the same ratings: RMSEs on others cannot be compared."""
    return len({_ratings(group.runs[0]) for group in groups}) <= 1


def lowest_first(groups: Sequence[Group], name: str) -> list[Group]:
    """The groups that have a sensible mean, the lowest first."""
    means = [(group.mean(name), group) for group in groups]
    known = [(mean, group) for mean, group in means if 0 < mean < MAX_NUMBER]
    return [group for _, group in sorted(known, key=lambda pair: pair[0])]


def _best(by_rmse: Sequence[Group]) -> Lines:
    best = by_rmse[0]
    told = f"validation RMSE {best.mean('valid_rmse'):.4f}, test {best.mean('test_rmse'):.4f}"
    told += best.about_seeds + equals_of(by_rmse, "valid_rmse", 4)
    lines = [("best", f"{best.label}: {told}")]
    return [*lines, (REPEAT, best.command)] if best.command else lines


def equals_of(lowest_first: Sequence[Group], name: str, digits: int) -> str:
    """The number of groups that tie with the first, or have the same figure; "" without any."""
    first, others = lowest_first[0], lowest_first[1:]
    shown = [f"{group.mean(name):.{digits}f}" for group in lowest_first]
    same = shown.count(shown[0]) - 1
    values = [first.values(name), *(group.values(name) for group in others)]
    if ties := [own for own in values[1:] if tie(values[0], own)]:
        of = "runs" if name.endswith("_s") else "seeds"
        most = max(len(own) for own in (values[0], *ties))
        other = "others" if len(ties) > 1 else "other"
        return f" (a tie with {len(ties)} {other}, within the spread of {most} {of})"
    return f" ({same} other{'s have' if same > 1 else ' has'} the same)" if same else ""


def _fastest(by_time: Sequence[Group], by_rmse: Sequence[Group]) -> Lines:
    fastest, others = by_time[0], by_time[1:]
    seconds = fastest.mean("train_s")
    gains = [times(group.mean("train_s") / seconds) for group in (others[0], others[-1])]
    gain = " to ".join(dict.fromkeys(gains))
    whom = "the other" if len(others) == 1 else f"the {len(others)} others"
    text = f"{fastest.label}: training took {seconds:.2f} s{fastest.about_seeds}"
    text += f", {whom} {gain} times as long{equals_of(by_time, 'train_s', 2)}"
    if fastest in by_rmse:
        behind = fastest.mean("valid_rmse") - by_rmse[0].mean("valid_rmse")
        text += f"; validation RMSE {behind:+.4f}" if behind > 0 else "; it is the best as well"
    return [("fastest", text)]


def times(ratio: float) -> str:
    """A ratio for the words "times as fast"."""
    return f"{ratio:.1f}" if ratio < 9.95 else f"{ratio:.0f}"


def groups_of(runs: Sequence[RunFile]) -> list[Group]:
    """The configurations of which a run ended well."""
    ended = [run for run in runs if run.status == "ok" and run.settings.get("workers") is not None]
    known = [
        ({**own[0].settings, "machine": settings["machine"]}, own)
        for settings, own in configurations(ended)
    ]
    names = telling_settings([settings for settings, _ in known])
    labels = [_label(settings, names) or own[0].name for settings, own in known]
    return [
        Group(runs=own, label=label, machine=settings["machine"])
        for label, (settings, own) in zip(labels, known, strict=True)
    ]


def _label(settings: Mapping[str, Any], names: Sequence[str]) -> str:
    given = [
        f"{name}={settings[name]}"
        for name in names
        if name != "seed" and settings.get(name) not in (None, "-")
    ]
    return printable(", ".join(given))


def _ratings(run: RunFile) -> tuple[Any, ...]:
    """The settings that decide the ratings."""
    return tuple(
        value
        for name, value in run.settings.items()
        if name.partition(".")[0] == "data" and name != "data.cache"
    )
