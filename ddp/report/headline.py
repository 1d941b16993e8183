"""The cards at the top: what people came for, a sentence each, as far as the runs allow it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, NamedTuple

from ddp.config.options import OPTIONS
from ddp.report.comparing import Group, groups_over
from ddp.report.markup import Tile, lead, tiles
from ddp.report.reading import Run
from ddp.report.rounds import number
from ddp.report.scaling import speedups
from ddp.results.best import Group as Configuration
from ddp.results.best import are_comparable, equals_of, groups_of, lowest_first, times
from ddp.results.run_file import NEVER, RunFile
from ddp.results.ties import tie

NO_SPREAD = (
    "Each setting ran once, and one run shows no spread: a small difference may be chance."
    " sweep=seeds repeats runs with other seeds."
)
SPREAD = (
    "Two settings tie if their means differ by at most the larger of their standard deviations over"
    " seeds (RMSE) or runs (seconds)."
)


class Told(NamedTuple):
    """All that a card may be made of."""

    files: Sequence[RunFile]
    runs: Sequence[Run]
    groups: Sequence[Configuration]


def headline(files: Sequence[RunFile], runs: Sequence[Run]) -> str:
    """The cards. One whose files are damaged is left out."""
    told = Told(files, runs, groups_of(files))
    cards = [_statuses(runs)]
    for make in _ONE_RUN if len(runs) == 1 else _SEVERAL:
        try:
            card = make(told)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
            continue  # the files may hold anything
        if card is not None:
            cards.append(card)
    return tiles(cards) + _about_ties(told.groups)


def _about_ties(groups: Sequence[Configuration]) -> str:
    if len(groups) < 2:
        return ""
    return lead(SPREAD if any(len(group.runs) > 1 for group in groups) else NO_SPREAD)


def _statuses(runs: Sequence[Run]) -> Tile:
    counts = Counter(run.status for run in runs)
    others = ", ".join(f"{count} {status}" for status, count in counts.items() if status != "ok")
    text = f"ended well; {others}" if others else "ended well"
    return Tile("runs", f"{counts['ok']} of {len(runs)}", text)


def _best(told: Told) -> Tile | None:
    """The setting with the lowest validation RMSE; one chosen by test RMSE would look too good."""
    if not are_comparable(told.groups):
        return None
    judged = lowest_first(told.groups, "valid_rmse")
    name = "valid_rmse" if judged else "test_rmse"  # there may be no validation part
    groups = judged or lowest_first(told.groups, name)
    if not groups:
        return None
    best = groups[0]
    if len(groups) == 1:
        return _only(best)
    text = f"{best.label} has the lowest {'validation' if judged else 'test'} RMSE"
    if judged:
        text += f", {best.mean(name):.4f}"
    text += best.about_seeds + equals_of(groups, name, 4)
    return Tile("best test RMSE", f"{best.mean('test_rmse'):.4f}", text, best.command or "")


def _only(group: Configuration) -> Tile:
    """The mean of the only setting, and its spread."""
    values = group.values("test_rmse")
    text = f"{len(group.runs)} runs of one setting and seed"
    if len(values) > 1:
        text = f"the mean of {len(values)} seeds, with a standard deviation of {stdev(values):.4f}"
    return Tile("test RMSE", f"{fmean(values):.4f}", text, group.command or "")


def _threads_and_processes(told: Told) -> Tile | None:
    """The fastest of each among settings that differ in the backend and workers alone.

    If there are several such sets, that with the longest training: a start counts least there.
    """
    sets: defaultdict[tuple[Any, ...], list[Configuration]] = defaultdict(list)
    for group in told.groups:
        values = {**group.runs[0].settings, "machine": group.machine}
        sets[tuple(value for key, value in values.items() if _is_fixed(key))].append(group)
    pairs = []
    for groups in sets.values():
        threads, processes = (
            lowest_first([group for group in groups if _in_processes(group) is kind], "train_s")
            for kind in (False, True)
        )
        if threads and processes:
            pairs.append((threads[0], processes[0]))
    if not pairs:
        return None
    pair = max(pairs, key=lambda pair: sum(group.mean("train_s") for group in pair))
    (fast, fast_s), (slow, slow_s) = sorted(
        ((group, group.mean("train_s")) for group in pair), key=lambda each: each[1]
    )
    text = f"{fast.label} trained in {fast_s:.3g} s, {slow.label} in {slow_s:.3g} s"
    if tie(fast.values("train_s"), slow.values("train_s")):
        return Tile("threads or processes", "a tie", f"{text}: within the spread of their runs")
    ratio = times(slow_s / fast_s)
    if ratio == times(1.0):
        return Tile("threads or processes", "equal", text)
    winner = "processes" if _in_processes(fast) else "threads"
    return Tile("threads or processes", winner, f"{ratio} times as fast: {text}")


def _is_fixed(key: str) -> bool:
    return key not in ("workers", "seed", *NEVER) and key.partition(".")[0] != "backend"


def _in_processes(group: Configuration) -> bool | None:
    """True for processes, False for threads, None for neither."""
    backend = str(group.runs[0].settings.get("backend"))
    if backend == "thread":
        return False
    return True if getattr(OPTIONS["backend"].get(backend), "in_processes", False) else None


def _fastest(told: Told) -> Tile | None:
    """The fastest setting, where no threads stand against processes."""
    by_time = lowest_first(told.groups, "train_s")
    if len(by_time) < 2 or not are_comparable(told.groups) or _threads_and_processes(told):
        return None
    seconds, slowest = by_time[0].mean("train_s"), by_time[-1].mean("train_s")
    text = f"{by_time[0].label} trained fastest{by_time[0].about_seeds}"
    text += f", {times(slowest / seconds)} times as fast as the slowest"
    text += equals_of(by_time, "train_s", 2)
    return Tile("fastest training", f"{seconds:.3g} s", text)


def _speedup(told: Told) -> Tile | None:
    """The highest speed-up over one worker, and its number of workers."""
    found = [
        (point, group)
        for group in groups_over(told.runs, ("workers",))
        for point in speedups(group)
        if point.workers != 1
    ]
    if not found:
        return None
    point, group = max(found, key=lambda each: each[0].speedup)
    text = f"{point.workers:g} workers ({group.label}) train {times(point.speedup)} times"
    text += " as fast as one"
    if tie(_seconds(group, 1.0), _seconds(group, point.workers)):
        text += ": a tie, within the spread of their runs"
    elif point.speedup < 1:
        text += ": no number of workers is faster than one"
    return Tile("best speed-up", f"{times(point.speedup)} times", text)


def _seconds(group: Group, workers: float) -> list[float]:
    return [run.train_s for run in group.points[workers,] if run.train_s is not None]


def _rmse_of_one(told: Told) -> Tile | None:
    """The RMSE of the only run, against the simplest predictors and one worker."""
    run, content = told.runs[0], told.files[0].content
    if run.rmse is None:
        return None
    means = number(_at(content, "baselines", "user and item means", "test"))
    one = number(_at(content, "rmse", "reference", "test"))
    sentences = []
    if means is not None:
        side = "below" if run.rmse < means else "not below"
        sentences.append(f"{side} the means of users and items ({means:.4f})")
    if one is not None:
        sentences.append(f"one worker reaches {one:.4f} (gap {run.rmse - one:+.4f})")
    return Tile("test RMSE", f"{run.rmse:.4f}", "; ".join(sentences))


def _samples_of_one(told: Told) -> Tile | None:
    """The Markov chain of the only run, if its aggregate is a mean of samples."""
    sampled = _at(told.files[0].content, "sampled")
    if sampled is None:
        return None
    effective, precision = (number(sampled[name]) for name in ("effective", "precision"))
    if effective is None or precision is None:
        return None
    text = f"worth {effective:.0f} independent ones; precision of the noise {precision:.3g}; "
    text += "no drift was found" if sampled["settled"] is True else "the chain has not settled"
    return Tile("samples", f"{number(sampled['count']):g}", text)


def _at(content: Any, *keys: str) -> Any:
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content


def _time_of_one(told: Told) -> Tile | None:
    """The seconds of the only run, and those of its workers by kind."""
    run = told.runs[0]
    if run.train_s is None:
        return None
    total: Counter[str] = Counter()
    for lane in run.workers():
        total.update(lane.seconds)
    whole = sum(total.values())
    most = [(kind.replace("_", " "), value / whole) for kind, value in total.most_common(3)]
    shares = [f"{kind} {share:.0%}" for kind, share in most]
    text = f"of {run.total_s:.3g} s in all" if run.total_s is not None else ""
    text += f"; the time of workers went to {', '.join(shares)}" if shares else ""
    return Tile("training", f"{run.train_s:.3g} s", text.removeprefix("; "))


_ONE_RUN: tuple[Callable[[Told], Tile | None], ...] = (
    _rmse_of_one,
    _samples_of_one,
    _time_of_one,
)
_SEVERAL: tuple[Callable[[Told], Tile | None], ...] = (
    _best,
    _threads_and_processes,
    _fastest,
    _speedup,
)
