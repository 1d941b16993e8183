"""The result of a run, in memory."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ddp.config.schema import Config
from ddp.machine.memory import Memory, memory_of
from ddp.results.accounts import NO_MEMORY, Lane, aggregator_lane, worker_lane
from ddp.results.rounds_csv import costs
from ddp.timing.paths import AGGREGATOR_PHASES, WORKER_PHASES
from ddp.timing.spans import Account, Spans, total_account
from ddp.tracking.history import History
from ddp.tracking.messages import AggregateRound, Reference
from ddp.tracking.trace import Trace
from ddp.workers.state import RunState


@dataclass(slots=True, kw_only=True)
class RunResult:
    """One run. `seconds`: its wall by stage; `shards`: sizes and skew; `status`: ok, failed or
       interrupted.

    `state`: where it stands; `kept`: the last state that it can be gone on from, in which all
    workers have handed over what they remember; `torch_threads`: the intra-op threads that training
    had, None if it never began; `reference`: one worker's RMSEs, if known.
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
    # of what it did before, after and between rounds
    accounts: list[Account] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)
    wall_s: float = math.nan  # since then, when the account was ended
    resumed: bool = False
    # of the processes that are no worker's
    memories: dict[str, Memory] = field(default_factory=dict)
    shared_bytes: int = 0
    trace: Trace | None = None
    warnings: list[str] = field(default_factory=list)  # what the run had to do without
    # where ddp.results.rescue has saved what could not be saved in output_dir
    elsewhere: Path | None = None

    def keep_account(self) -> None:
        """What the spans have gathered belongs to no round."""
        self.accounts.append(self.spans.take())
        if self.trace is not None:
            self.trace.add(None, None, self.accounts[-1].slices)

    def note_memory(self, processes: Mapping[str, int], shared_bytes: int) -> None:
        """What the run holds while its workers are there: this process, and those (name -> id) that
        serve it.
        """
        alone = self.config.backend.name in ("serial", "thread")
        self.memories = {
            "main": memory_of(alone=alone),
            **{name: memory_of(pid) for name, pid in processes.items()},
        }
        self.shared_bytes = shared_bytes

    def end_account(self) -> None:
        """All that is to be accounted for has been done."""
        self.keep_account()
        self.wall_s = time.perf_counter() - self.began
        self.spans.close()

    def lanes(self) -> list[Lane]:
        """The account of each worker and of the aggregator."""
        whole = self.status == "ok"
        workers = [
            worker_lane(self.history, worker, self.config.backend.name)
            for worker in range(self.config.workers)
        ]
        memory = self.memories.get("main", NO_MEMORY)
        return [
            *workers,
            aggregator_lane(
                self.history, total_account(self.accounts), self.wall_s, memory, closed=whole
            ),
        ]

    @property
    def last(self) -> AggregateRound | None:
        """The last aggregate's row; None if there was none."""
        return self.history.aggregate_rounds[-1] if self.history.aggregate_rounds else None

    @property
    def gap(self) -> float:
        """By how much the aggregated test RMSE is above that of one worker; NaN where there is no
        reference.
        """
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
            rmse = (
                {"valid_rmse": rounds[-1].valid.rmse, "test_rmse": rounds[-1].test.rmse}
                if rounds
                else {}
            )
            startup_s = self.history.startup_s.get(shard["worker"], math.nan)
            account = costs(total_account(row.account for row in rounds), WORKER_PHASES)
            timeouts = sum(not row.aggregate_received for row in rounds)
            others = {
                "startup_s": startup_s,
                "timeouts": timeouts,
                "absent": self._rounds_without(shard["worker"]),
            }
            rows.append({**shard, **others, **_RMSE_UNKNOWN, **rmse, **account})
        return rows

    def _rounds_without(self, worker: int) -> int:
        """Rounds whose aggregate does not have the worker in it, which was late or had been
        dropped.
        """
        return sum(row.weights[worker] == 0 for row in self.history.aggregate_rounds)

    def aggregator_row(self) -> dict[str, Any]:
        """The same for the aggregator."""
        account = costs(
            total_account(row.account for row in self.history.aggregate_rounds), AGGREGATOR_PHASES
        )
        rmse = (
            {"valid_rmse": self.last.valid.rmse, "test_rmse": self.last.test.rmse}
            if self.last
            else _RMSE_UNKNOWN
        )
        return {"num_train": sum(shard["num_train"] for shard in self.shards), **rmse, **account}


_RMSE_UNKNOWN = {"valid_rmse": math.nan, "test_rmse": math.nan}
