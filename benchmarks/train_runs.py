"""Whole runs of train.py as candidates: their configuration, their command and their figures."""

import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir

from ddp.config.schema import Config
from ddp.launch.composed import load_config
from ddp.tracking.messages import AggregateRound

REPOSITORY = Path(__file__).parent.parent
TRAIN = (sys.executable, str(REPOSITORY / "train.py"))


def compose_config(overrides: Sequence[str]) -> Config:
    """The configuration that train.py would run with."""
    with initialize_config_dir(str(REPOSITORY / "conf"), version_base="1.3"):
        return load_config(compose("config", list(overrides)))


def timed_command(command: Sequence[str]) -> float:
    """Wall of a whole command, s. Raises CalledProcessError when the command fails."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def run_train(overrides: Sequence[str]) -> dict[str, Any]:
    """Runs `python train.py` in a process of its own.

    Gives the result of `read_run`, and the wall of the command as `command_s`. The later of two
    overrides of one key counts.
    """
    with tempfile.TemporaryDirectory() as directory:
        settings = (*last_of_each(overrides), "display=none", f"hydra.run.dir={directory}")
        command_s = timed_command([*TRAIN, *settings])
        return read_run(Path(directory)) | {"command_s": command_s}


def last_of_each(overrides: Sequence[str]) -> list[str]:
    """The overrides without those that a later one of the same key replaces."""
    return list({override.split("=")[0]: override for override in overrides}.values())


def aggregates(config: Config) -> list[AggregateRound]:
    """The aggregates of a run in this process, which writes no files."""
    # Not above: processes of other benchmarks import this module and need none of these.
    from ddp.experiment import train
    from ddp.ratings.load import load_ratings
    from ddp.workers.prepare import prepare

    prepared = prepare(config, load_ratings(config.data, config.data_seed, config.split.test_file))
    return [done.row for done in train(prepared)]


def read_run(directory: Path) -> dict[str, Any]:
    """The result.json of a run, and `elapsed_s`: seconds of training at the end of each round."""
    result: dict[str, Any] = json.loads((directory / "result.json").read_text(encoding="utf-8"))
    with (directory / "rounds.csv").open(encoding="utf-8", newline="") as file:
        elapsed_s = [
            float(row["elapsed_s"]) for row in csv.DictReader(file) if row["who"] == "aggregated"
        ]
    return result | {"elapsed_s": elapsed_s}


def per_worker(result: Mapping[str, Any], key: str) -> float:
    """One of the sums of a worker, the mean over the workers."""
    values: list[float] = [worker[key] for worker in result["workers"]]
    return statistics.mean(values)


def of_lanes(result: Mapping[str, Any], kind: str) -> float:
    """Seconds of one kind in the account of a worker, the mean over the workers."""
    values: list[float] = [lane["seconds"].get(kind, 0.0) for lane in result["account"][:-1]]
    return statistics.mean(values)


def training_s(result: Mapping[str, Any]) -> float:
    """Seconds of training: from the start of the last worker to the end of the last round.

    With serial they begin with the start of the first worker.
    """
    walls: list[float] = [worker["wall_s"] for worker in result["workers"]]
    return max(walls) if result["config"]["backend"]["name"] == "serial" else min(walls)
