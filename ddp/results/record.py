"""What a run leaves behind: `RunResult`, and the files it is written to."""

import dataclasses
import hashlib
import json
import math
import pickle
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ddp.config.schema import Config
from ddp.machine.files import atomic_file
from ddp.machine.memory import Memory, memory_of, peak_rss_bytes
from ddp.results.accounts import NO_MEMORY, Lane, aggregator_lane, worker_lane
from ddp.results.environment import environment
from ddp.results.reference import Reference
from ddp.results.rounds_csv import aggregate_columns, costs, rounds_csv, worker_columns
from ddp.results.run_directory import RESULT_FILE, ROUNDS_FILE, TRACE_FILE
from ddp.timing.spans import AGGREGATOR_PHASES, WORKER_PHASES, Account, Spans, total_account
from ddp.tracking.messages import AggregateRound
from ddp.tracking.trace import Trace
from ddp.tracking.tracker import History
from ddp.workers.state import RunState

FORMAT = 1  # of result.json


@dataclass(slots=True, kw_only=True)
class RunResult:
    """One run. `seconds`: its wall by stage; `shards`: sizes and skew; `status`: ok, failed or interrupted.

    `state`: where it stands; `kept`: the last state that it can be gone on from, in which all workers have handed over what they
    remember; `torch_threads`: the intra-op threads that training had, None if it never began; `reference`: one worker's RMSEs, if
    known.
    """

    config: Config
    output_dir: Path
    status: str = "running"
    error: str | None = None
    shards: list[dict[str, Any]] = field(default_factory=list)
    noise_floor: float | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    torch_threads: int | None = None
    reference: Reference | None = None
    state: RunState = field(default_factory=RunState)
    kept: RunState = field(default_factory=RunState)
    history: History = field(default_factory=History)
    spans: Spans = field(default_factory=Spans)  # of the main process
    accounts: list[Account] = field(default_factory=list)  # of what it did before, after and between rounds
    began: float = field(default_factory=time.perf_counter)
    wall_s: float = math.nan  # since then, when the account was ended
    resumed: bool = False
    memories: dict[str, Memory] = field(default_factory=dict)  # of the processes that are no worker's
    shared_bytes: int = 0
    trace: Trace | None = None
    warnings: list[str] = field(default_factory=list)  # what the run had to do without
    elsewhere: Path | None = None  # where ddp.results.rescue has saved what could not be saved in output_dir

    def keep_account(self) -> None:
        """What the spans have gathered belongs to no round."""
        self.accounts.append(self.spans.take())
        if self.trace is not None:
            self.trace.add(None, None, self.accounts[-1].slices)

    def note_memory(self, processes: Mapping[str, int], shared_bytes: int) -> None:
        """What the run holds while its workers are there: this process, and those (name -> id) that serve it."""
        alone = self.config.backend.name in ("serial", "thread")
        self.memories = {"main": memory_of(alone=alone), **{name: memory_of(pid) for name, pid in processes.items()}}
        self.shared_bytes = shared_bytes

    def end_account(self) -> None:
        """All that is to be accounted for has been done."""
        self.keep_account()
        self.wall_s = time.perf_counter() - self.began
        self.spans.close()

    def lanes(self) -> list[Lane]:
        """The account of each worker and of the aggregator."""
        whole = self.status == "ok"
        workers = [worker_lane(self.history, worker, self.config.backend.name) for worker in range(self.config.workers)]
        memory = self.memories.get("main", NO_MEMORY)
        return [*workers, aggregator_lane(self.history, total_account(self.accounts), self.wall_s, memory, closed=whole)]

    @property
    def last(self) -> AggregateRound | None:
        """The last aggregate's row; None if there was none."""
        return self.history.aggregate_rounds[-1] if self.history.aggregate_rounds else None

    @property
    def gap(self) -> float:
        """By how much the aggregated test RMSE is above that of one worker; NaN where there is no reference."""
        return self.test_rmse - self.reference.test if self.reference else math.nan

    @property
    def test_rmse(self) -> float:
        """The aggregated test RMSE after the last round; NaN if there was none."""
        return self.last.test.rmse if self.last else math.nan

    def worker_rows(self) -> list[dict[str, Any]]:
        """One row per worker: its last RMSEs, and its seconds by phase and kind over all rounds."""
        rows = []
        for shard in self.shards:
            rounds = self.history.worker(shard["worker"])
            rmse = {"valid_rmse": rounds[-1].valid.rmse, "test_rmse": rounds[-1].test.rmse} if rounds else {}
            startup_s = self.history.startup_s.get(shard["worker"], math.nan)
            account = costs(total_account(row.account for row in rounds), WORKER_PHASES)
            timeouts = sum(not row.aggregate_received for row in rounds)
            others = {"startup_s": startup_s, "timeouts": timeouts, "absent": self._rounds_without(shard["worker"])}
            rows.append({**shard, **others, **_RMSE_UNKNOWN, **rmse, **account})
        return rows

    def _rounds_without(self, worker: int) -> int:
        """Rounds whose aggregate does not have the worker in it, which was late or had been dropped."""
        return sum(row.weights[worker] == 0 for row in self.history.aggregate_rounds)

    def aggregator_row(self) -> dict[str, Any]:
        """The same for the aggregator."""
        account = costs(total_account(row.account for row in self.history.aggregate_rounds), AGGREGATOR_PHASES)
        rmse = {"valid_rmse": self.last.valid.rmse, "test_rmse": self.last.test.rmse} if self.last else _RMSE_UNKNOWN
        return {"num_train": sum(shard["num_train"] for shard in self.shards), **rmse, **account}


_RMSE_UNKNOWN = {"valid_rmse": math.nan, "test_rmse": math.nan}


def config_hash(config: Config) -> str:
    """SHA-256 over all values: equal for runs that were told the same."""
    return hashlib.sha256(json.dumps(dataclasses.asdict(config), sort_keys=True).encode()).hexdigest()


def write_result(result: RunResult, directory: Path) -> None:
    """rounds.csv, the document's pickle and result.json, each atomically.

    result.json comes last, also when the others cannot be written, and then says so. Raises the first OSError.
    """
    failure: OSError | None = None
    for name, content in _files(result):
        try:
            with atomic_file(directory / name) as file:
                file.write(content)
        except OSError as error:
            failure = failure or error
            result.status = "failed" if result.status == "ok" else result.status
            result.error = result.error or f"{type(error).__name__}: {error}"
    if failure:
        raise failure


def _files(result: RunResult) -> Iterator[tuple[str, bytes]]:
    yield ROUNDS_FILE, rounds_csv(result.history).encode()
    # For the document's readers: plain dicts, lists and numbers. Nothing of ours ever reads it.
    document = {"status": result.status, **_document_results(result)}
    yield f"ddp_{result.config.backend.name}_results.pkl", pickle.dumps(document)
    if result.trace is not None:
        config = result.config
        title = f"{config.backend.name}: {config.workers} workers, {config.rounds} rounds of {config.local_epochs} local epochs"
        yield TRACE_FILE, "".join(result.trace.as_json(title)).encode()
    yield RESULT_FILE, json.dumps(_null_for_nan(_as_json(result)), indent=2).encode()


def _as_json(result: RunResult) -> dict[str, Any]:
    judged = [row for row in result.history.aggregate_rounds if row.valid.count]
    best = min(judged, key=lambda row: row.valid.mse, default=None)
    return {
        "format": FORMAT,
        "status": result.status,
        "error": result.error,
        "resumed": result.resumed,  # `seconds` and `account` are then of the last process, rounds.csv is of all
        "warnings": result.warnings,
        "command": sys.argv,
        "config": dataclasses.asdict(result.config),
        "config_hash": config_hash(result.config),
        "rmse": {
            "test": result.test_rmse,
            "valid": result.last.valid.rmse if result.last else None,
            "best_valid_round": best.round_index if best else None,
            "noise_floor": result.noise_floor,
            "reference": dataclasses.asdict(result.reference) if result.reference else None,
            "gap": result.gap,
        },
        "seconds": result.seconds,
        "rounds_completed": len(result.history.aggregate_rounds),
        "failures": [dataclasses.asdict(failure) for failure in result.history.failures],
        "restarts": result.state.restarts,
        "workers": result.worker_rows(),
        "aggregator": result.aggregator_row(),
        "account": [lane.as_json() for lane in result.lanes()] if result.config.account else [],
        "memory": {
            "shared_bytes": result.shared_bytes,
            "processes": [{"who": who, **dataclasses.asdict(memory)} for who, memory in result.memories.items()],
        },
        "peak_rss_bytes": _peak_rss_bytes(result),
        "environment": environment() | {"torch_threads": result.torch_threads},
    }


def _peak_rss_bytes(result: RunResult) -> int | None:
    """The parent's peak, and those of the worker processes if there are any; pages that they share count in each."""
    parts = [peak_rss_bytes()]
    if result.config.backend.name in ("process", "shm"):
        parts += [message.memory.peak_rss_bytes for message in result.history.finished_with.values()]
    return None if None in parts else sum(part for part in parts if part is not None)


def _null_for_nan(value: Any) -> Any:
    """JSON has no NaN and no infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _null_for_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_null_for_nan(inner) for inner in value]
    return value


def _document_results(result: RunResult) -> dict[str, Any]:
    history = result.history
    return {
        "config": dataclasses.asdict(result.config),
        "workers": [[worker_columns(row) for row in history.worker(worker)] for worker in range(result.config.workers)],
        "aggregated": [aggregate_columns(row) | {"weights": row.weights} for row in history.aggregate_rounds],
    }
