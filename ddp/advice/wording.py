"""Turns predictions into the table and the sentences of the advice."""

from collections.abc import Sequence

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from ddp.advice.constants import Constants
from ddp.advice.kinds import KINDS
from ddp.advice.measuring.calibration import calibration_file
from ddp.advice.prediction import Prediction
from ddp.config.schema import Config
from ddp.config.simulate import Simulate
from ddp.counting import counted

SHOWN_S = 0.0005  # a shorter time is not shown, and is no reason
LARGE = 0.02  # a kind gets a column if it is a larger share of one of the walls
MATTERS = 0.2  # a further reason, or a gain, counts if it is a larger share of the first reason


def other_workers_change(config: Config) -> str:
    """The effect of another number of workers on the trained model, in words; "" if none."""
    if config.trainer.sweeps:  # the same bits
        return ""
    if config.stratified and config.trainer.compiled:
        # Any number of workers trains as one serial SGD, in another order of the ratings
        # (ddp/ratings/strata.py). Other optimizers keep a state per block.
        return ""
    if config.split.copies:  # each worker trains on all ratings
        return (
            "with split=copies another number of workers does another amount of work, for another"
            " model"
        )
    return "another number of workers trains another model"


def advice(
    config: Config, asked: Sequence[Prediction], everywhere: dict[int, list[Prediction]]
) -> list[str]:
    """The lines that name the fastest backend and number of workers, and give reasons.

    `asked`: the predictions for the config's number of workers, the fastest first. `everywhere`:
    those for each number of workers.
    """
    fastest, *others = asked
    lines = [
        f"with workers={fastest.workers} the fastest is backend={fastest.backend},"
        f" {seconds(fastest.wall_s)}"
    ]
    lines += [
        f"  {slower.backend} takes {seconds(slower.wall_s)}: {why(fastest, slower)}"
        for slower in others
    ]
    best = min(
        (found[0] for found in everywhere.values()), key=lambda prediction: prediction.wall_s
    )
    if best.workers != fastest.workers:
        but = f" ({changes})" if (changes := other_workers_change(config)) else ""
        lines.append(
            f"with any number of workers it is backend={best.backend} with workers={best.workers},"
            f" {seconds(best.wall_s)}{but}"
        )
        lines.append(f"  {fastest.backend} with workers={fastest.workers}: {why(best, fastest)}")
    return lines


def why(faster: Prediction, slower: Prediction) -> str:
    """The kinds of seconds that the slower run has more of, and the kind that it has less of."""
    more = {kind: slower.seconds.get(kind, 0.0) - faster.seconds.get(kind, 0.0) for kind in KINDS}
    lost = sorted((kind for kind in KINDS if more[kind] > SHOWN_S), key=lambda kind: -more[kind])
    gained = sorted((kind for kind in KINDS if more[kind] < -SHOWN_S), key=lambda kind: more[kind])
    if not lost:
        return "hardly anything is different"
    told = [kind for kind in lost[:2] if more[kind] > MATTERS * more[lost[0]]]
    gained = [kind for kind in gained if -more[kind] > MATTERS * more[lost[0]]]
    if gained:  # enough reasons to outweigh the gain
        while len(told) < len(lost) and sum(more[kind] for kind in told) <= -more[gained[0]]:
            told.append(lost[len(told)])
    reasons = " and ".join(f"{seconds(more[kind])} more {kind}" for kind in told)
    return f"{reasons} outweigh {seconds(-more[gained[0]])} less {gained[0]}" if gained else reasons


def seconds(value: float) -> str:
    """A time in words, with two or three digits."""
    if value >= 0.0995:  # as milliseconds this would be 1e+02
        return f"{value:.1f} s" if value >= 10 else f"{value:.2f} s"
    return f"{value * 1e3:.2g} ms"


def where(simulate: Simulate, constants: Constants) -> str:
    """The machine of the predictions, in words."""
    others = [counted(simulate.cores, "core")] if simulate.cores is not None else []
    others += [f"{simulate.bandwidth:g} GB/s"] if simulate.bandwidth is not None else []
    others += [f"a straggler of {simulate.straggler:g}"] if simulate.straggler > 1 else []
    return (
        f"simulated, {', '.join(others)}"
        if others
        else f"this machine, {counted(constants.cores, 'core')}"
    )


def sources(config: Config, simulate: Simulate, constants: Constants) -> list[str]:
    """The lines that say which numbers were measured, simulated or assumed."""
    file = calibration_file()
    lines = [
        f"\nmeasured: the constants, on this machine with {counted(constants.cores, 'core')}"
        f" ({file}: delete it to measure anew)"
    ]
    if where(simulate, constants).startswith("simulated"):
        lines.append("simulated: every number above; nothing was measured on such a machine")
        if simulate.bandwidth is None and constants.training.bandwidth:
            together = constants.training.bandwidth / 1e9
            lines.append(
                f"assumed: its memory is this one's, {together:.1f} GB/s of large batches"
                " (simulate.bandwidth)"
            )
        if constants.cores == 1 and simulate.cores not in (None, 1):
            lines.append(
                "unknown: the cost of the GIL for threads on several cores: this machine has one"
                " core, so it counts as nothing"
            )
    set_but_unknown = {
        "straggler_timeout": config.straggler_timeout is not None,
        "torch_threads": config.torch_threads != 1,
    }
    lines += [f"not in the prediction: {key}" for key, is_set in set_but_unknown.items() if is_set]
    if config.patience is not None:
        lines.append(
            f"not in the prediction: patience={config.patience}, which may end a run before the end"
            f" of its {counted(config.rounds, 'round')}"
        )
    if config.max_seconds is not None:
        lines.append(
            f"predicted: a run ends with the round in which max_seconds={config.max_seconds:g} have"
            " passed, or after all rounds; of runs that end early the faster one does more rounds"
        )
    return [
        *lines,
        "the wall: imports + start + train + stop + save of result.json, without data and metrics",
    ]


def make_table(everywhere: dict[int, list[Prediction]], title: str) -> Table:
    """A row per prediction: its wall, and its seconds of each kind that is large somewhere."""
    all_of_them = [prediction for found in everywhere.values() for prediction in found]
    large = [
        kind
        for kind in KINDS
        if any(one.seconds.get(kind, 0.0) > LARGE * one.wall_s for one in all_of_them)
    ]
    best = min(prediction.wall_s for prediction in all_of_them)
    table = Table(title=title, box=None, pad_edge=False)
    for column in ("workers", "backend", "wall", *large, "rest"):
        longest = max(map(len, column.split()))
        table.add_column(
            column,
            justify="left" if column == "backend" else "right",
            min_width=max(longest, len("0.000")),
        )
    for workers in sorted(everywhere):
        for one in everywhere[workers]:
            shown = [one.seconds.get(kind, 0.0) for kind in large]
            cells = [_cell(value) for value in (one.wall_s, *shown, one.wall_s - sum(shown))]
            table.add_row(
                str(workers), one.backend, *cells, style="bold" if one.wall_s == best else ""
            )
    return table


def width_of(table: Table, console: Console) -> int:
    """The width that folds no line of the table, also in a pipe or a narrow terminal."""
    return max(
        console.width, Measurement.get(console, console.options.update(width=1000), table).minimum
    )


def _cell(value: float) -> str:
    return (
        ""
        if value <= SHOWN_S
        else f"{value:.1f}"
        if value >= 10
        else f"{value:.2f}"
        if value >= 0.1
        else f"{value:.3f}"
    )
