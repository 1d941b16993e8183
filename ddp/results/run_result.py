"""The result of a run, in RAM; record.py writes it to files."""

import io
import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddp.config.averaging import in_words
from ddp.config.metrics import RMSE
from ddp.config.schema import Config
from ddp.config.trainer import SteppingTrainer
from ddp.counting import counted, round_of
from ddp.machine.printable import printable
from ddp.ratings.baselines import Baselines
from ddp.ratings.description import Description, in_numbers
from ddp.results.accounts import NO_MEMORY, Lane, aggregator_lane, worker_lane
from ddp.results.notes import (
    about_the_chain,
    about_the_gil,
    about_the_learning_rate,
    about_the_weights,
)
from ddp.results.rounds_csv import costs, rounds_csv
from ddp.timing.account import total_account
from ddp.timing.paths import AGGREGATOR_PHASES, WORKER_PHASES
from ddp.tracking.history import History, kept_row
from ddp.tracking.messages import AggregateRound, Measured, Reference, WorkerRound
from ddp.tracking.sampled import Sampled
from ddp.tracking.trace import Trace
from ddp.workers.state import RunState

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RunResult:
    """One run that has ended. As a text it has ten lines.

    | field         | meaning                                                                     |
    |---------------|-----------------------------------------------------------------------------|
    | `status`      | "ok", "failed" or "interrupted"                                             |
    | `error`       | the error that it failed by, None if it did not fail                        |
    | `resumed`     | it continued a run: `seconds`, `wall_s` and `trace` are of the last process |
    | `warnings`    | files that the run had to do without                                        |
    | `data`        | facts about the ratings, None if the run did not come so far                |
    | `shards`      | size and skew of each worker's shard                                        |
    | `noise_floor` | the lowest possible RMSE, None where it is not known                        |
    | `reference`   | RMSEs of one worker, None where they are not known                          |
    | `measured`    | its other metrics, None where they are not known                            |
    | `baselines`   | RMSEs of the simplest predictors, see `ddp.ratings.baselines`               |
    | `state`       | the state after its last round, with which a resumed run begins             |
    | `history`     | every row of the run                                                        |
    | `seconds`     | the wall of the run by stage, see `stage_seconds`                           |
    | `wall_s`      | seconds from the start of the account to its end, measured without spans    |
    """

    config: Config
    output_dir: Path
    status: str = "ok"
    error: str | None = None
    resumed: bool = False
    warnings: tuple[str, ...] = ()
    data: Description | None = None
    shards: list[dict[str, Any]] = field(default_factory=list)
    noise_floor: float | None = None
    reference: Reference | None = None
    measured: Measured | None = None
    baselines: Baselines = field(default_factory=dict)
    state: RunState = field(default_factory=RunState)
    history: History = field(default_factory=History)
    trace: Trace | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    wall_s: float = math.nan

    def __repr__(self) -> str:
        return _in_ten_lines(self)

    @property
    def rounds(self) -> "pd.DataFrame":
        """The rows of rounds.csv: one for each worker and each aggregate of each round."""
        import pandas as pd  # late: no run needs it

        return pd.read_csv(io.StringIO(rounds_csv(self.history)))

    def failed_by(self, error: BaseException) -> "RunResult":
        """The result of a run that this error ended; an earlier error stays in its place."""
        status = "failed" if self.status == "ok" else self.status
        reason = self.error or f"{type(error).__name__}: {error}"
        return replace(self, status=status, error=reason)

    def lanes(self) -> list[Lane]:
        """The account of each worker and of the aggregator."""
        history, workers = self.history, range(self.config.workers)
        return [
            *(worker_lane(history, worker, self.config.backend) for worker in workers),
            aggregator_lane(
                history,
                total_account(history.outside),
                self.wall_s,
                history.processes.get("main", NO_MEMORY),
                closed=self.status == "ok",
            ),
        ]

    @property
    def title(self) -> str:
        """The run in a few words, for a table or a trace."""
        config = self.config
        return (
            f"{config.backend.name}: {counted(config.workers, 'worker')},"
            f" {counted(config.rounds, 'round')} of {counted(config.local_epochs, 'local epoch')}"
        )

    @property
    def last(self) -> AggregateRound | None:
        """The last aggregate's row; None if there was none."""
        return self.history.last

    @property
    def kept(self) -> AggregateRound | None:
        """The row of the aggregate that the run keeps (`keep`); None if there was none.

        The files of the model hold this aggregate.
        """
        return kept_row(self.history.aggregate_rounds, self.state.kept_round_index(self.config))

    @property
    def ended(self) -> str | None:
        """The setting by which a run ended that ended well (`ended_by`)."""
        return self.state.ended_by(self.config) if self.status == "ok" else None

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about things that worked against the run."""
        trainer, rounds = self.config.trainer, len(self.history.aggregate_rounds)
        sizes = [shard["num_train"] for shard in self.shards]
        return (
            *about_the_gil(),
            *about_the_weights(self.config.aggregation, sizes),
            *about_the_learning_rate(trainer, rounds, self.config.local_epochs),
            *about_the_chain(trainer, self.sampled),
        )

    @property
    def sampled(self) -> Sampled | None:
        """The Markov chain after the last round; None for a trainer that does not sample."""
        return self.last.sampled if self.last else None

    @property
    def gap(self) -> float:
        """The aggregated test RMSE minus that of one worker; NaN if there is no reference."""
        return self.test_rmse - self.reference.test if self.reference else math.nan

    @property
    def test_rmse(self) -> float:
        """The test RMSE of the kept aggregate; NaN if there is none."""
        return self.kept.test.rmse if self.kept else math.nan

    @property
    def valid_rmse(self) -> float:
        """The aggregated validation RMSE likewise; NaN also if there is no validation part."""
        return self.kept.valid.rmse if self.kept else math.nan

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics of the kept aggregate on the test part: name -> value, rmse first."""
        return {RMSE: self.test_rmse, **(self.measured.values if self.measured else {})}

    @property
    def ranked(self) -> dict[str, Any] | None:
        """The facts about the ranked lists, see `Ranked`; None if nothing was ranked."""
        ranked = self.measured.ranked if self.measured else None
        return asdict(ranked) if ranked else None

    @property
    def score(self) -> float:
        """The value by which a sweeper compares runs."""
        return self.test_rmse if self.config.scored_on == "test" else self.valid_rmse

    def worker_rows(self) -> list[dict[str, Any]]:
        """One row per worker: its RMSEs, and its seconds by phase and kind over all rounds.

        The RMSEs are those of the kept round, or of the worker's last round before it.
        """
        return [{**shard, **self._worker_row(shard["worker"])} for shard in self.shards]

    def _worker_row(self, worker: int) -> dict[str, Any]:
        rounds = self.history.worker(worker)
        weights = [row.weights[worker] for row in self.history.aggregate_rounds]
        return {
            "startup_s": self.history.startup_s.get(worker, math.nan),
            "timeouts": sum(not row.aggregate_received for row in rounds),
            "absent": weights.count(0),  # rounds in which it was late, or dropped before
            **_rmses(next((row for row in reversed(rounds) if self._counts(row)), None)),
            **costs(total_account(row.account for row in rounds), WORKER_PHASES),
        }

    def _counts(self, row: WorkerRound) -> bool:
        return self.kept is None or row.round_index <= self.kept.round_index

    def aggregator_row(self) -> dict[str, Any]:
        """The same for the aggregator."""
        account = total_account(row.account for row in self.history.aggregate_rounds)
        num_train = sum(shard["num_train"] for shard in self.shards)
        return {"num_train": num_train, **_rmses(self.kept), **costs(account, AGGREGATOR_PHASES)}


def _rmses(row: WorkerRound | AggregateRound | None) -> dict[str, float]:
    if row is None:
        return {"valid_rmse": math.nan, "test_rmse": math.nan}
    return {"valid_rmse": row.valid.rmse, "test_rmse": row.test.rmse}


def _in_ten_lines(result: RunResult) -> str:
    """Status, settings, errors, seconds and place of a run."""
    config, kept = result.config, result.kept
    lines = {
        "run": f"{config.name or result.output_dir.name}, {result.status}",
        "error": (result.error or "none").partition("\n")[0],
        "workers": result.title,
        "data": _data(result),
        "split": in_words(config.split, config.aggregation),
        "trainer": f"{_trainer(config)}, model.dim={config.model.dim}",
        "RMSE": f"test {result.test_rmse:.4f}, validation {result.valid_rmse:.4f}",
        "of": "no round" if kept is None else _round(result, round_of(kept.round_index)),
        "seconds": ", ".join(f"{stage} {value:.2f}" for stage, value in result.seconds.items()),
        "files": str(result.output_dir),
    }
    return "\n".join(f"{label + ':':9}{printable(text)}" for label, text in lines.items())


def _trainer(config: Config) -> str:
    trainer = config.trainer
    if isinstance(trainer, SteppingTrainer):
        return f"{trainer.name}, lr={trainer.lr:g}"
    return trainer.name


def _data(result: RunResult) -> str:
    about = result.data
    if about is None:
        return f"{result.config.data.name}, not read"
    return f"{result.config.data.name}, {in_numbers(about)}"


def _round(result: RunResult, kept: int) -> str:
    how = "the best" if result.config.keeps_best else "the last"
    return f"round {kept} of {len(result.history.aggregate_rounds)}, {how}"
