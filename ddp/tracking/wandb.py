"""Weights & Biases: the run's settings, and the curves of ddp/tracking/points.py.

`mode=offline` writes files below the run directory, which `wandb sync` sends later. The axis of
each curve is `round`.
"""

import os
from typing import Any, cast

from ddp.config.tracker import WandbOptions
from ddp.tracking import texts
from ddp.tracking.hparams import known_values
from ddp.tracking.messages import AggregateRound, Event
from ddp.tracking.points import Point, Points
from ddp.tracking.tracker import RunFacts, Tracker

ROUND = "round"


class Wandb(Tracker):
    """Makes one run of W&B, and gives it the points of each round when the round has ended."""

    def __init__(self, run: RunFacts, options: WandbOptions) -> None:
        self._facts, self._options = run, options
        self._points = Points(int(run.settings["workers"]))
        self._results = texts.Results()
        self._unwritten: list[Point] = []
        self._run: Any = None

    def open(self) -> None:
        if self._options.mode == "offline":  # then nobody is told about a run of this machine
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        # It must neither write on the terminal, nor take samples while times are measured.
        quiet = wandb.Settings(
            console="off", silent=True, disable_git=True, save_code=False, x_disable_stats=True
        )
        self._run = wandb.init(
            project=self._options.project,
            name=self._facts.name,
            dir=self._facts.directory,
            mode=cast("Any", self._options.mode),  # a Literal there, one of MODES here
            config={**known_values(self._facts.settings), "command": self._facts.command},
            reinit="create_new",
            settings=quiet,
        )
        self._run.define_metric(ROUND)
        self._run.define_metric("*", step_metric=ROUND)

    def on(self, event: Event) -> None:
        self._results.on(event)
        self._unwritten += self._points.of(event)
        if isinstance(event, AggregateRound):
            self._write()

    def close(self) -> None:
        import wandb

        try:
            if self._run is not None:
                self._write()
                self._run.summary["result"] = self._results.as_markdown()
                self._run.finish(exit_code=0 if self._results.ended_well else 1)
        finally:
            wandb.teardown()  # ends its process and thread

    def _write(self) -> None:
        by_round: dict[int, dict[str, float]] = {}
        for tag, value, step in self._unwritten:
            by_round.setdefault(step, {})[tag] = value
        self._unwritten.clear()
        for step, values in sorted(by_round.items()):
            self._run.log({ROUND: step, **values})
