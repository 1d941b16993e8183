"""Reads result.json: every reader of a finished run gets it as a `RunFile`."""

import argparse
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from ddp.config.earlier import as_saved
from ddp.config.metrics import RMSE, is_metric
from ddp.config.schema import settings
from ddp.errors import UserError
from ddp.results.earlier import with_rounds_from_one
from ddp.results.run_directory import CONFIG_FILE, RESULT_FILE, is_held
from ddp.timing.kinds import TABLE_COLUMNS, in_columns, unit_of
from ddp.tracking.who import AGGREGATOR

# statuses that no result.json has
NO_RESULT, UNREADABLE, RUNNING = "no result", "unreadable", "running"
# Column of the table -> its place in result.json.
OUTCOME = {
    "test_rmse": "rmse.test",
    "valid_rmse": "rmse.valid",
    "kept_round": "kept_round",
    "effective_samples": "sampled.effective",
    "total_s": "seconds.total",
    "train_s": "seconds.train",
}
# settings that no comparison of runs shows; a CSV has them
NEVER = ("tracker", "display", "name", "metrics")
# Means over the workers, of the whole run: column -> (key in result.json, unit, factor to it).
WORKER_MEANS = {column: unit_of(column) for column in TABLE_COLUMNS}


@dataclass(slots=True, frozen=True, kw_only=True)
class RunFile:
    """The result.json in `directory`, parsed.

    | status     | meaning                                                                     |
    |------------|-----------------------------------------------------------------------------|
    | running    | a living process has the directory; the file may be that of its first part  |
    | no result  | no process has it, and the file is not there: the run was killed            |
    | unreadable | the file is damaged or foreign: `error` names the damage, and the other     |
    |            | fields hold the values before it                                            |
    | others     | those that the run gave itself                                              |

    | field          | holds                                                                     |
    |----------------|---------------------------------------------------------------------------|
    | `settings`     | the config in one row (`ddp.config.schema.settings`), {} if not known;    |
    |                | lists as text, None for NaN                                               |
    | `outcome`      | a number for each key of OUTCOME; NaN where the file has none             |
    | `metrics`      | metric of the test part -> its value; the RMSE is in `outcome`            |
    | `worker_means` | a number for each key of WORKER_MEANS; NaN where no worker has one        |
    | `resumed`      | another process began the run; the file has the seconds of the last only, |
    |                | so `outcome` has none                                                     |
    | `content`      | the whole JSON object, with rounds from 1 whatever its version; empty if  |
    |                | the file is not there or is damaged                                       |
    """

    directory: Path
    status: str
    error: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    outcome: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    worker_means: Mapping[str, float] = field(default_factory=dict)
    resumed: bool = False
    content: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The run's name; without one, as in earlier versions, the last part of its directory."""
        return str(self.settings.get("name") or self.directory.resolve().name)


def read_run_file(directory: Path) -> RunFile:
    """Reads the result.json of a run. Raises nothing: the status and `error` name a damage."""
    known: dict[str, Any] = {}
    try:
        told = json.loads((directory / RESULT_FILE).read_text(encoding="utf-8"))
        result = with_rounds_from_one(told)
        known["status"], error = str(result["status"]), result.get("error")
        known["error"] = None if error is None else str(error)
        known["settings"] = {
            name: _plain(value) for name, value in settings(_config_in(result)).items()
        }
        known["resumed"] = bool(result.get("resumed"))
        known["outcome"] = {
            name: math.nan if known["resumed"] and path.startswith("seconds") else value
            for name, path in OUTCOME.items()
            for value in [_number(result, path)]
        }
        known["metrics"] = metrics_of(result)
        workers = _workers(result)
        known["worker_means"] = {
            name: _mean(workers, key) * factor for name, (key, _, factor) in WORKER_MEANS.items()
        }
        known["content"] = result
    except FileNotFoundError:
        known = {"status": NO_RESULT, "error": "killed, or refused before it started"}
    except Exception as error:  # the file may hold anything, and must not cost the other runs
        known["status"] = UNREADABLE
        known["error"] = f"{RESULT_FILE}: {type(error).__name__}: {error}"
    if is_held(directory):
        known |= {"status": RUNNING, "error": "it has not ended yet"}
    return RunFile(directory=directory, **known)


def _config_in(result: Mapping[str, Any]) -> Mapping[str, Any]:
    config = result.get("config")
    return as_saved(config) if config else {}


def metrics_of(result: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of a result.json besides the RMSE: name -> value; those of no user are left out.

    Earlier versions had none.
    """
    told = result.get("metrics")
    known = told if isinstance(told, dict) else {}
    return {
        name: value
        for name, value in known.items()
        if name != RMSE and is_metric(name) and isinstance(value, float)
    }


def _workers(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The seconds of each worker by key: of its account, or without one of its rounds."""
    with suppress(LookupError, TypeError, AttributeError):  # a damaged account costs no figure
        lanes = [lane for lane in result["account"] if lane["who"] != AGGREGATOR]
        if lanes:
            return [in_columns(lane["seconds"]) for lane in lanes]
    # nobody measured the wait for the GIL
    return [{**worker, "gil_wait_s": None} for worker in result.get("workers") or []]


def _plain(value: Any) -> Any:
    if isinstance(value, list | dict):
        return str(value)
    return None if isinstance(value, float) and math.isnan(value) else value


def _number(result: Any, path: str) -> float:
    for key in path.split("."):
        result = result.get(key) if isinstance(result, dict) else None
    return math.nan if result is None else float(result)


def _mean(workers: Iterable[Mapping[str, Any]], key: str) -> float:
    values = [float(worker[key]) for worker in workers if worker.get(key) is not None]
    return fmean(values) if values else math.nan


def machine_of(content: Mapping[str, Any]) -> str:
    """The processor and its number of cores, of a result.json; older runs recorded less."""
    environment = content.get("environment")
    known = environment if isinstance(environment, dict) else {}
    model = known.get("cpu_model") or known.get("platform") or "unknown machine"
    cores = known.get("usable_cores") or known.get("cpu_count")
    return f"{model}" if cores is None else f"{model} with {cores} core{'s' * (cores != 1)}"


def read_runs(directories: Iterable[Path]) -> list[RunFile]:
    """Reads the result.json of each directory, in the given order."""
    return [read_run_file(directory) for directory in directories]


def add_roots(parser: argparse.ArgumentParser) -> None:
    """Adds the argument DIR... of the commands that read all runs below some directories."""
    parser.add_argument(
        "roots",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="directories that hold runs, at any depth",
    )


def runs_below(roots: Sequence[Path]) -> list[RunFile]:
    """Reads all runs below the directories. Raises UserError if one is none, or has no run."""
    for root in roots:
        if not root.is_dir():
            raise UserError(f"{root} is not a directory")
    runs = read_runs(find_runs(roots))
    if not runs:
        raise UserError(f"no {RESULT_FILE} below {', '.join(map(str, roots))}")
    return runs


def find_runs(roots: Iterable[Path]) -> list[Path]:
    """Finds the run directories below `roots`, also those of killed runs.

    They are sorted by path, the jobs of a sweep by number.
    """
    marks = (
        path for root in roots for name in (RESULT_FILE, CONFIG_FILE) for path in root.rglob(name)
    )
    return sorted(
        {mark.parent for mark in marks if mark.name == RESULT_FILE or _is_claim(mark)}, key=in_order
    )


def _is_claim(path: Path) -> bool:
    """Tells whether a run claims its directory with this config.yaml.

    Other files have this name as well; a run's begins with the first scalar.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return path.parent.name != ".hydra" and file.readline().startswith("workers:")
    except OSError:  # a folder of this name, or a file that we may not read
        return False


def in_order(directory: Path) -> list[tuple[int, str]]:
    """A key to sort paths by, in which 10 comes after 2."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part)
        for part in re.split(r"(\d+)", str(directory))
    ]
