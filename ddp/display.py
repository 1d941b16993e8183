"""What a run shows on the terminal: progress while it goes, a table at the end."""

import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from ddp.config import Config
from ddp.messages import AggregateRound, EpochDone, Started
from ddp.record import RunResult
from ddp.tracking import AGGREGATED, Tracker, worker_name

BUSY, WAITING = "training", "waiting for the aggregate"


def make_display(config: Config, console: Console) -> Tracker:
    """The tracker that `display` names; `auto`: bars on a terminal, one line a round where the output is piped."""
    kind = config.display
    if kind == "auto":
        kind = "bars" if console.is_terminal else "lines"
    return {"bars": Bars, "lines": Lines}[kind](config, console) if kind != "none" else Tracker()


class Lines(Tracker):
    """One line a round: readable in a file."""

    def __init__(self, config: Config, console: Console) -> None:
        self.config = config
        self.console = console

    def aggregate_round(self, row: AggregateRound) -> None:
        self.console.print(
            f"round {row.round_index + 1}/{self.config.rounds}  aggregated RMSE:"
            f" validation {row.valid.rmse:.4f}  test {row.test.rmse:.4f}  after {row.elapsed_s:.2f} s",
            highlight=False,
        )


class Bars(Tracker):
    """One live bar per worker, counting local epochs, and one for the aggregate, counting rounds."""

    def __init__(self, config: Config, console: Console) -> None:
        self.config = config
        columns = (TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"))
        self.progress = Progress(*columns, TimeElapsedColumn(), console=console, refresh_per_second=5)
        num_epochs = config.rounds * config.local_epochs
        self.workers: list[TaskID] = [
            self.progress.add_task(worker_name(worker), total=num_epochs, start=False, note="starting")
            for worker in range(config.workers)
        ]
        self.aggregate = self.progress.add_task(AGGREGATED, total=config.rounds, note="")
        self.progress.start()

    def started(self, message: Started) -> None:
        self.progress.start_task(self.workers[message.worker])
        self.progress.update(self.workers[message.worker], note=BUSY)

    def epoch(self, message: EpochDone) -> None:
        last = message.epoch == self.config.local_epochs - 1
        self.progress.update(self.workers[message.worker], advance=1, note=WAITING if last else BUSY)

    def aggregate_round(self, row: AggregateRound) -> None:
        note = f"RMSE validation {row.valid.rmse:.4f}  test {row.test.rmse:.4f}"
        self.progress.update(self.aggregate, advance=1, note=note)

    def close(self) -> None:
        for task in self.workers:
            self.progress.update(task, note="")
        self.progress.stop()


def print_result(result: RunResult, console: Console) -> None:
    """The table at the end of a run: RMSE per worker and aggregated, seconds by kind, and where the files are."""
    config = result.config
    table = Table(
        title=f"{config.backend.name}, {config.workers} workers, {config.rounds} rounds x {config.local_epochs} local epochs"
    )
    table.add_column("")
    for name in ("ratings", "RMSE valid", "RMSE test", "start-up s", "compute s", "evaluate s", "wait s"):
        table.add_column(name, justify="right")
    for name in ("publish", "receive", "lock wait", "pickle", "transfer"):
        table.add_column(f"{name} ms", justify="right")
    for row in result.worker_rows():
        cells = [f"{row['num_train']:,}", f"{row['valid_rmse']:.4f}", f"{row['test_rmse']:.4f}", f"{row['startup_s']:.2f}"]
        cells += [f"{row[f'{phase}_s']:.2f}" for phase in ("compute", "evaluate", "wait")]
        cells += [f"{row[f'{kind}_s'] * 1e3:.2f}" for kind in ("publish", "receive", "lock_wait", "pickle", "transfer")]
        table.add_row(worker_name(row["worker"]), *cells)
    table.add_section()
    row = result.aggregator_row()
    cells = [f"{row['num_train']:,}", f"{row['valid_rmse']:.4f}", f"{row['test_rmse']:.4f}", ""]
    cells += [
        "",
        f"{row['evaluate_s']:.2f}",
        f"{row['wait_s']:.2f}",
        f"{row['broadcast_s'] * 1e3:.2f}",
        f"{row['gather_s'] * 1e3:.2f}",
    ]
    cells += [f"{row[f'{kind}_s'] * 1e3:.2f}" for kind in ("lock_wait", "pickle", "transfer")]
    table.add_row(AGGREGATED, *cells, style="bold")
    wide = Console(width=max(console.width, 140)) if not console.is_terminal else console
    wide.print(table)
    seconds = "  ".join(f"{name} {value:.2f} s" for name, value in result.seconds.items())
    console.print(
        f"{seconds}\nfiles: {result.output_dir}   tensorboard --logdir {result.output_dir}", highlight=False, soft_wrap=True
    )


def stdout() -> Console:
    """Standard output, looked up when it is needed: a test or a sweep may have replaced it."""
    return Console(file=sys.stdout)
