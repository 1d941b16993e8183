"""The files that a `RunResult` is written to."""

import dataclasses
import hashlib
import json
import math
import pickle
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ddp.config.schema import Config
from ddp.counting import FORMAT, round_of
from ddp.machine.files import atomic_file
from ddp.machine.memory import peak_rss_bytes
from ddp.results.environment import environment
from ddp.results.rounds_csv import aggregate_columns, rounds_csv, worker_columns
from ddp.results.run_directory import RESULT_FILE, ROUNDS_FILE, TRACE_FILE
from ddp.results.run_result import RunResult
from ddp.tracking.messages import Failure
from ddp.tracking.sampled import Sampled
from ddp.tracking.who import PARTS


def config_hash(config: Config) -> str:
    """SHA-256 over all settings but the name: equal for runs with equal settings."""
    settings = dataclasses.asdict(config) | {"name": None}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def write_result(result: RunResult, directory: Path) -> None:
    """Writes rounds.csv, the seed systems' pickle, trace.json and result.json, each atomically.

    result.json comes last. If another file cannot be written, result.json says so. Raises the first
    OSError.
    """
    failure: OSError | None = None
    for name, content in _files(result).items():
        try:
            with atomic_file(directory / name) as file:
                file.write(content(result))
        except OSError as error:
            failure = failure or error
            result = result.failed_by(error)
    if failure:
        raise failure


def _files(result: RunResult) -> dict[str, Callable[[RunResult], bytes]]:
    """The files in the order of writing: name -> the function that makes its content."""
    return {
        ROUNDS_FILE: lambda result: rounds_csv(result.history).encode(),
        f"ddp_{result.config.backend.name}_results.pkl": _seed_results,
        **({} if result.trace is None else {TRACE_FILE: _trace}),
        RESULT_FILE: lambda result: json.dumps(_null_for_nan(_as_json(result)), indent=2).encode(),
    }


def _trace(result: RunResult) -> bytes:
    assert result.trace is not None
    return "".join(result.trace.as_json(result.title)).encode()


def _as_json(result: RunResult) -> dict[str, Any]:
    best, kept = result.state.best, result.kept
    return {
        "format": FORMAT,
        "status": result.status,
        "error": result.error,
        "resumed": result.resumed,
        "warnings": result.warnings,
        "command": sys.argv,
        "config": dataclasses.asdict(result.config),
        "config_hash": config_hash(result.config),
        "data": result.data.as_json() if result.data else None,
        "rmse": {
            "test": result.test_rmse,
            "valid": result.valid_rmse,
            "best_valid_round": round_of(best.round_index) if best else None,
            "noise_floor": result.noise_floor,
            "reference": dataclasses.asdict(result.reference) if result.reference else None,
            "gap": result.gap,
        },
        "metrics": result.metrics,
        "ranked": result.ranked,
        "coverage": result.measured.coverage if result.measured else {},
        "sampled": _sampled(result.sampled),
        "baselines": result.baselines,
        "seconds": result.seconds,
        "kept_round": round_of(kept.round_index) if kept else None,
        "ended": result.ended,
        "notes": result.notes,
        "rounds_completed": len(result.history.aggregate_rounds),
        "failures": [_failure(failure) for failure in result.history.failures],
        "restarts": result.history.num_restarts,
        "workers": result.worker_rows(),
        "aggregator": result.aggregator_row(),
        "account": [lane.as_json() for lane in result.lanes()] if result.config.account else [],
        "memory": {
            "shared_bytes": result.history.shared_bytes,
            "processes": [
                {"who": who, **dataclasses.asdict(memory)}
                for who, memory in result.history.processes.items()
            ],
        },
        "peak_rss_bytes": _peak_rss_bytes(result),
        "environment": environment() | {"torch_threads": result.history.torch_threads},
    }


def _sampled(sampled: Sampled | None) -> dict[str, Any] | None:
    if sampled is None:
        return None
    told = dataclasses.asdict(sampled) | {"settled": sampled.settled}
    rmses = {f"{part}_rmse": getattr(sampled, part).rmse for part in PARTS}
    return rmses | {name: value for name, value in told.items() if name not in PARTS}


def _failure(failure: Failure) -> dict[str, Any]:
    told = dataclasses.asdict(failure)
    index, worker = told.pop("round_index"), told.pop("worker")
    return {"worker": worker, "round": None if index is None else round_of(index), **told}


def _peak_rss_bytes(result: RunResult) -> int | None:
    """The peak of the parent plus those of the worker processes; shared pages count in each."""
    parts: list[int | None] = [peak_rss_bytes()]
    if result.config.backend.in_processes:
        parts += [
            message.memory.peak_rss_bytes for message in result.history.finished_with.values()
        ]
    return None if None in parts else sum(part for part in parts if part is not None)


def _null_for_nan(value: Any) -> Any:
    """The value with None for NaN and infinity, which JSON does not have."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _null_for_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_null_for_nan(inner) for inner in value]
    return value


def _seed_results(result: RunResult) -> bytes:
    """For readers of the seed systems: plain dicts, lists and numbers. Nothing of ours reads it."""
    history, workers = result.history, range(result.config.workers)
    results = {
        "status": result.status,
        "config": dataclasses.asdict(result.config),
        "workers": [[worker_columns(row) for row in history.worker(worker)] for worker in workers],
        "aggregated": [
            aggregate_columns(row) | {"weights": row.weights} for row in history.aggregate_rounds
        ],
    }
    return pickle.dumps(results)
