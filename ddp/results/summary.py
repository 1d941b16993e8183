"""The tables that the terminal shows at the end of a run."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console

from ddp.config.defaults import default_scalars
from ddp.config.run_name import PLAIN_RUN
from ddp.config.schema import Config
from ddp.counting import counted, round_of
from ddp.machine.printable import printable
from ddp.results.accounts import total_seconds
from ddp.results.fitting import Column, in_tables, print_table
from ddp.results.run_result import RunResult
from ddp.results.simplest import in_words
from ddp.timing.kinds import in_columns, summary, unit_of
from ddp.tracking import texts
from ddp.tracking.terminal import failure_as_text, number, print_facts
from ddp.tracking.who import AGGREGATED, worker_name

# Column of the final table -> (key of the rows of RunResult, decimals, factor to the unit shown).
RMSES = {"RMSE\nvalid": ("valid_rmse", 4, 1.0), "RMSE\ntest": ("test_rmse", 4, 1.0)}
TIMES = ("startup_s", "compute_s", "gil_wait_s", "wait_s", "publish_ms", "receive_ms")
BACKEND_TIMES = {"thread": ("lock_wait_ms",), "process": ("pickle_ms", "transfer_ms")}


NOBODY_WAITS = (
    "with split={} no worker waits for an aggregate: agg_timeout={:g} was not used;"
    " round_timeout is how long a worker waits for rows"
)


def print_result(result: RunResult, console: Console) -> None:
    """Prints the end of a run.

    It shows a table with RMSE and seconds per worker and aggregated, remarks, where the time went,
    and where the files are.
    """
    console.print()
    _print_table(result, console)
    if result.config.trainer.sweeps:
        console.print("gap to one worker: none, it has the same bits", style="dim")
    elif result.reference is None:
        unknown = "gap to one worker: not measured (reference=true trains it, once)"
        console.print(unknown, style="dim")
    print_facts([*_ending(result), *_notes(result)], console)
    for failure in result.history.failures:
        console.print(printable(failure_as_text(failure)), soft_wrap=True)
    console.print()
    if result.config.account:
        lanes_of = {"workers": result.lanes()[:-1], "aggregator": result.lanes()[-1:]}
        shares = [(who, summary(total_seconds(lanes))) for who, lanes in lanes_of.items()]
        print_facts(shares, console)
    stages = "  ".join(f"{stage} {value:.2f}" for stage, value in result.seconds.items())
    print_facts([("seconds", stages)], console)
    console.print(printable(f"files:      {result.output_dir}"), soft_wrap=True)


def _print_table(result: RunResult, console: Console) -> None:
    """Prints the table, in several parts on a narrow terminal; at 80 columns it is one."""
    columns = columns_of(result.config)
    lanes = [in_columns(lane.seconds) if lane.seconds else {} for lane in result.lanes()]
    rows = [
        [worker_name(row["worker"]), *_cells(row | lanes[row["worker"]], columns.values())]
        for row in result.worker_rows()
    ]
    styles = ["" for _ in rows] + ["bold"]
    # Its end of the exchange: it receives when it gathers, and publishes when it broadcasts.
    aggregator = result.aggregator_row()
    aggregator |= {key: value for key, value in lanes[-1].items() if key in aggregator}
    aggregator |= {"publish_s": aggregator["broadcast_s"], "receive_s": aggregator["gather_s"]}
    rows.append([AGGREGATED, *_cells(aggregator, columns.values())])
    if result.reference is not None and result.kept is not None:
        one, own = result.reference, result.kept
        gaps = (own.valid.rmse - one.valid, own.test.rmse - one.test)
        nothing = [""] * (len(columns) - len(RMSES))
        rows.append(["one worker", number(one.valid, 4), number(one.test, 4), *nothing])
        rows.append(
            ["gap to it", *("-" if math.isnan(gap) else f"{gap:+.4f}" for gap in gaps), *nothing]
        )
    names, *cells = zip(*rows, strict=True)
    key = Column(header="", cells=names, right=False)
    others = [Column(header=header, cells=own) for header, own in zip(columns, cells, strict=True)]
    title = _title(result)
    for table in in_tables([key], others, console.width):
        print_table(console, title, table, styles)
        title = ""


def _title(result: RunResult) -> str:
    """The name of the run, if its command makes one, above the run in a few words."""
    name = result.config.name
    return result.title if name in (None, PLAIN_RUN) else f"{name}\n{result.title}"


def _ending(result: RunResult) -> list[tuple[str, str]]:
    """The round that the run keeps, an early end, the metrics, and the simplest predictors."""
    config, kept, lines = result.config, result.kept, list[tuple[str, str]]()
    done = len(result.history.aggregate_rounds)
    if kept is not None:
        why = "the lowest validation RMSE" if config.keeps_best else "the last one"
        which = round_of(kept.round_index)
        lines.append(("kept", f"the aggregate of round {which} of {done}, {why}"))
    if config.patience is not None and result.ended == "patience":
        reason = f"{counted(config.patience, 'round')} brought no lower validation RMSE (patience)"
        lines.append(("ended", f"after round {done} of {config.rounds}: {reason}"))
    elif result.ended == "max_seconds":
        reason = f"{config.max_seconds:g} s of training had passed (max_seconds)"
        lines.append(("ended", f"after round {done} of {config.rounds}: {reason}"))
    if (sampled := result.sampled) is not None:
        lines.append(("chain", texts.chain(sampled)))
    lines += _metrics(result)
    simplest = in_words(result.baselines, result.ranked)
    lines += [("" if place else "simplest", told) for place, told in enumerate(simplest)]
    return lines


def _metrics(result: RunResult) -> list[tuple[str, str]]:
    """The metrics besides RMSE, which the table has, and whose lists the ranking ones are about."""
    if result.measured is None:
        return []
    values = result.measured.values.items()
    told = ", ".join(f"{name} {number(value, 4)}" for name, value in values)
    if (ranked := result.measured.ranked) is not None:
        told += f" ({counted(ranked.users, 'user')})"
    lines = [("metrics", f"test {told}")] if told else []
    if covered := result.measured.coverage:
        shares, found = (
            ", ".join(f"{100 * share:.0f}" for share in shown)
            for shown in (covered, covered.values())
        )
        lines.append(("intervals", f"of {shares} % hold {found} % of the test ratings"))
    return lines


def _notes(result: RunResult) -> list[tuple[str, str]]:
    """Settings that the run did not use, and other remarks."""
    config, notes = result.config, list(result.notes)
    if config.has_owners and config.agg_timeout != default_scalars()["agg_timeout"]:
        notes.insert(0, NOBODY_WAITS.format(config.split.name, config.agg_timeout))
    return [("note", printable(note)) for note in notes]


def columns_of(config: Config) -> dict[str, tuple[str, int, float]]:
    """The columns of the final table for a run of this config: see RMSES."""
    columns = dict(RMSES)
    for column in (*TIMES, *BACKEND_TIMES.get(config.backend.name, ())):
        key, unit, factor = unit_of(column)
        if column == "gil_wait_s" and not (config.account and config.backend.name == "thread"):
            continue  # nobody measures it, or nobody waits
        name = "start" if column == "startup_s" else key.removesuffix("_s").replace("_", " ")
        columns[f"{name}\n{unit}"] = (key, 2, factor)
    return columns


def _cells(row: Mapping[str, Any], columns: Iterable[tuple[str, int, float]]) -> list[str]:
    return [
        number(row[key] * factor, digits) if key in row else "" for key, digits, factor in columns
    ]
