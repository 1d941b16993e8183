"""The document's two systems side by side: `python -m benchmarks.seed_systems [--repeats 5]`.

Runs `experiment=seed_thread` and `experiment=seed_process` as written, the same two without polling, and the same job with
its workers one after another (`backend=serial`), in turn, each as a whole command of its own. Prints the median of each
figure with its range. Figures per worker are means over the workers of a run; figures in ms are per round.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

TRAIN = Path(__file__).parent.parent / "train.py"
NOTIFIED = "backend.poll_interval_s=null"
SYSTEMS = {
    "serial": ["experiment=seed_thread", "~backend.poll_interval_s", "backend=serial"],
    "seed_thread": ["experiment=seed_thread"],
    "thread, notified": ["experiment=seed_thread", NOTIFIED],
    "seed_process": ["experiment=seed_process"],
    "process, notified": ["experiment=seed_process", NOTIFIED],
}


def _per_worker(key: str) -> Callable[[dict[str, Any]], float]:
    return lambda result: statistics.mean(worker[key] for worker in result["workers"])


def _per_round_ms(key: str) -> Callable[[dict[str, Any]], float]:
    return lambda result: _per_worker(key)(result) * 1e3 / result["rounds_completed"]


def _training_s(result: dict[str, Any]) -> float:
    """From the moment when the last worker had started (serial: the first) to the end of the last round."""
    walls: list[float] = [worker["wall_s"] for worker in result["workers"]]
    return max(walls) if result["config"]["backend"]["name"] == "serial" else min(walls)


FIGURES: dict[str, Callable[[dict[str, Any]], float]] = {
    "whole command, s": lambda result: result["command_s"],
    "run without imports, s": lambda result: result["seconds"]["total"],
    "start, until all have their job, s": lambda result: result["seconds"]["start"],
    "start-up of a worker, s": _per_worker("startup_s"),
    "training, all started, s": _training_s,
    "compute per worker, s": _per_worker("compute_s"),
    "publish, ms per round": _per_round_ms("publish_s"),
    "receive, ms per round": _per_round_ms("receive_s"),
    "lock wait, ms per round": _per_round_ms("lock_wait_s"),
    "pickle, ms per round": _per_round_ms("pickle_s"),
    "transfer, ms per round": _per_round_ms("transfer_s"),
    "pickled, kB per round": lambda result: _per_worker("pickled_bytes")(result) / 1e3 / result["rounds_completed"],
    "wait for the aggregate, ms per round": _per_round_ms("wait_s"),
    "peak memory, MB": lambda result: result["peak_rss_bytes"] / 1e6,
    "aggregated test RMSE": lambda result: result["rmse"]["test"],
}


def run_once(system: str, overrides: list[str]) -> dict[str, Any]:
    """One whole command; its result.json, and the command's own wall."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, str(TRAIN), *SYSTEMS[system], "display=none", f"hydra.run.dir={directory}", *overrides]
        began = time.perf_counter()
        subprocess.run(command, check=True)
        command_s = time.perf_counter() - began
        result: dict[str, Any] = json.loads((Path(directory) / "result.json").read_text(encoding="utf-8"))
    return result | {"command_s": command_s}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, default=Path("outputs/benchmarks/seed_systems.json"))
    parser.add_argument("overrides", nargs="*", help="further options of train.py, for all")
    arguments = parser.parse_args()
    measured: dict[str, dict[str, list[float]]] = {system: {name: [] for name in FIGURES} for system in SYSTEMS}
    environment: dict[str, Any] = {}
    for _ in range(arguments.repeats):
        for system in SYSTEMS:  # in turn, so that a noisy minute hits both
            result = run_once(system, arguments.overrides)
            environment = result["environment"]
            for name, figure in FIGURES.items():
                measured[system][name].append(figure(result))
    _print(measured, arguments.repeats)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps({"measured": measured, "environment": environment}, indent=2), encoding="utf-8")
    print(f"written: {arguments.json}")


def _print(measured: dict[str, dict[str, list[float]]], repeats: int) -> None:
    table = Table(title=f"median (lowest - highest) of {repeats} runs")
    table.add_column("")
    for system in SYSTEMS:
        table.add_column(system, justify="right")
    table.add_column("process / thread", justify="right")
    for name in FIGURES:
        thread, process = (statistics.median(measured[system][name]) for system in ("seed_thread", "seed_process"))
        ratio = f"{process / thread:.2f}" if thread else "-"
        table.add_row(name, *(_cell(measured[system][name]) for system in SYSTEMS), ratio)
    Console(width=180).print(table)


def _cell(values: list[float]) -> str:
    """The median with three figures (an RMSE with four), and the range if there is one."""
    digits = max(0, 3 - len(f"{statistics.median(values):.0f}")) if statistics.median(values) > 1.5 else 4

    def shown(value: float) -> str:
        return f"{value:.{digits}f}"

    return f"{shown(statistics.median(values))} ({shown(min(values))} - {shown(max(values))})"


if __name__ == "__main__":
    main()
