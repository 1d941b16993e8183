"""MLflow: the run's settings as parameters, and the curves of ddp/tracking/points.py as metrics.

A round that began again has two values at its step, because MLflow forgets nothing.
"""

import os
import time
from typing import Any

from ddp.config.tracker import MlflowOptions
from ddp.tracking import texts
from ddp.tracking.hparams import known_values
from ddp.tracking.messages import AggregateRound, Event
from ddp.tracking.points import Point, Points
from ddp.tracking.tracker import RunFacts, Tracker

AT_ONCE = 100  # parameters, and 1000 metrics: more than that MLflow refuses
STATUS = {"ok": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


class Mlflow(Tracker):
    """Makes one run of MLflow, and gives it the points of each round when the round has ended."""

    def __init__(self, run: RunFacts, options: MlflowOptions) -> None:
        self._run, self._options = run, options
        self._points = Points(int(run.settings["workers"]))
        self._results = texts.Results()
        self._unwritten: list[tuple[Point, int]] = []  # with the wall time in ms
        self._client: Any = None
        self._id = ""

    def open(self) -> None:
        # a folder needs the first; the second: nobody is told about a run of this machine
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient
        from mlflow.entities import Param

        self._client = client = MlflowClient(tracking_uri=self._options.uri)
        name = self._options.experiment
        experiment = client.get_experiment_by_name(name)
        number = experiment.experiment_id if experiment else client.create_experiment(name)
        tags = {"command": self._run.command, "directory": str(self._run.directory)}
        self._id = client.create_run(number, run_name=self._run.name, tags=tags).info.run_id
        known = known_values(self._run.settings)
        params = [
            Param(key, f"{value:g}" if isinstance(value, float) else value)
            for key, value in known.items()
        ]
        for first in range(0, len(params), AT_ONCE):
            client.log_batch(self._id, params=params[first : first + AT_ONCE])

    def on(self, event: Event) -> None:
        self._results.on(event)
        self._add(self._points.of(event))
        if isinstance(event, AggregateRound):
            self._write()

    def close(self) -> None:
        if not self._id:
            return
        self._write()
        self._client.log_text(self._id, self._results.as_markdown(), "result.md")
        ended = self._results.ended
        self._client.set_terminated(self._id, STATUS["ok" if ended is None else ended.status])

    def _add(self, points: list[Point]) -> None:
        now = time.time_ns() // 1_000_000
        self._unwritten += [(point, now) for point in points]

    def _write(self) -> None:
        from mlflow.entities import Metric

        metrics = [Metric(tag, value, at, step) for (tag, value, step), at in self._unwritten]
        self._unwritten.clear()
        for first in range(0, len(metrics), 10 * AT_ONCE):
            self._client.log_batch(self._id, metrics=metrics[first : first + 10 * AT_ONCE])
