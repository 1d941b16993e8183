"""The texts of a run, in Markdown: its command, its configuration, its ratings, and its results."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ddp.counting import counted, round_of
from ddp.tracking.messages import (
    AggregateRound,
    Event,
    Failure,
    Measured,
    Reference,
    Rewound,
    RunEnds,
    WorkerRound,
)
from ddp.tracking.metrics import SquaredError
from ddp.tracking.sampled import Sampled
from ddp.tracking.tracker import RunFacts, Tracker
from ddp.tracking.who import AGGREGATED, KEPT, ONE_WORKER, POOLED, worker_name

COMMAND, CONFIGURATION, DATA, RESULT = (
    "run/command",
    "run/configuration",
    "run/data",
    "run/result",
)
COLUMNS = ("", "validation RMSE", "test RMSE", "compute s", "lock wait s", "pickling s")


def command(run: RunFacts) -> str:
    """The command that began the run, and its name."""
    return f"**{run.name}**\n\n{_as_it_is([run.command or '-'])}"


def configuration(settings: Mapping[str, Any]) -> str:
    """A table of the settings that have a value."""
    rows = [(key, value) for key, value in settings.items() if value not in (None, "-")]
    return _table(("setting", "value"), [(key, _code(value)) for key, value in rows])


def data(lines: Sequence[tuple[str, str]]) -> str:
    """The facts about the ratings, line by line."""
    return _as_it_is(f"{label:12}{told}" for label, told in lines)


def chain(sampled: Sampled) -> str:
    """The Markov chain after a round."""
    worth = f", worth {sampled.effective:.0f} independent ones" if sampled.count else ""
    rmse = "-" if math.isnan(sampled.test.rmse) else f"{sampled.test.rmse:.4f}"
    return (
        f"{counted(sampled.count, 'sample')}{worth}; precision of the noise"
        f" {sampled.precision:.3g}; test RMSE of the last sample {rmse}"
    )


class _Row(NamedTuple):
    """A worker's errors in a round, and some of its seconds."""

    valid: SquaredError
    test: SquaredError
    seconds: tuple[float, float, float]  # compute, lock wait, pickling


class Results(Tracker):
    """Collects the figures of a run for the table of its results."""

    def __init__(self) -> None:
        self._rows: dict[int, dict[int, _Row]] = {}  # by worker and round
        self._last: AggregateRound | None = None
        self._reference: Reference | None = None
        self._metrics: Mapping[str, float] = {}
        self._failures: list[Failure] = []
        self.ended: RunEnds | None = None

    def on(self, event: Event) -> None:
        match event:
            case WorkerRound(worker=worker, round_index=number, account=account):
                by_innermost = account.by_innermost()
                seconds = (account.phase_s("compute"), by_innermost["lock_wait"], account.pickle_s)
                row = _Row(event.valid, event.test, seconds)
                self._rows.setdefault(worker, {})[number] = row
            case AggregateRound():
                self._last = event
            case Reference():
                self._reference = event
            case Measured(values=values):
                self._metrics = values
            case Failure():
                self._failures.append(event)
            case RunEnds():
                self.ended = event
            case Rewound(next_round=next_round, last=last):
                self._last = last
                for rows in self._rows.values():
                    for number in [number for number in rows if number >= next_round]:
                        del rows[number]

    @property
    def ended_well(self) -> bool:
        """False if the run has failed, or was interrupted."""
        return self.ended is None or self.ended.status == "ok"

    def as_markdown(self) -> str:
        """The table, and a sentence about the end of the run."""
        lines = [self._sentence(), "", _table(COLUMNS, self._figures())]
        if self._metrics:
            told = ", ".join(f"{name} {value:.4f}" for name, value in self._metrics.items())
            lines.append(f"- {KEPT}, test {told}")
        if self._last is not None and self._last.sampled is not None:
            lines.append(f"- {chain(self._last.sampled)}")
        lines += [
            f"- worker {each.worker}: {each.action}, {each.reason}" for each in self._failures
        ]
        return "\n".join(lines)

    def _sentence(self) -> str:
        if self._last is None:
            return "No round was finished."
        number, seconds = round_of(self._last.round_index), self._last.elapsed_s
        status = "not told" if self.ended is None else self.ended.status
        why = f" ({self.ended.error})" if self.ended and self.ended.error else ""
        return f"Status: {status}{why}. Round {number} ended after {seconds:.2f} s of training."

    def _figures(self) -> list[tuple[str, ...]]:
        last = {worker: rows[max(rows)] for worker, rows in sorted(self._rows.items()) if rows}
        totals = {
            worker: [
                sum(part) for part in zip(*(row.seconds for row in rows.values()), strict=True)
            ]
            for worker, rows in self._rows.items()
        }
        figures = []
        if self.ended is not None and (kept := self.ended.kept) is not None:
            who = f"{KEPT}, round {round_of(kept.round_index)}"
            figures.append(_figures_of(who, kept.valid.rmse, kept.test.rmse))
        if self._last is not None:
            figures.append(_figures_of(AGGREGATED, self._last.valid.rmse, self._last.test.rmse))
        if last:
            valid = sum((row.valid for row in last.values()), SquaredError())
            test = sum((row.test for row in last.values()), SquaredError())
            figures.append(_figures_of(POOLED, valid.rmse, test.rmse))
        if self._reference is not None:
            figures.append(_figures_of(ONE_WORKER, self._reference.valid, self._reference.test))
        figures += [
            _figures_of(worker_name(worker), row.valid.rmse, row.test.rmse, totals[worker])
            for worker, row in last.items()
        ]
        return figures


def _figures_of(
    who: str, valid: float, test: float, seconds: Sequence[float] = ()
) -> tuple[str, ...]:
    rmses = ("-" if math.isnan(value) else f"{value:.4f}" for value in (valid, test))
    times = [f"{value:.3f}" for value in seconds] or ["-"] * 3
    return (who.replace("_", " "), *rmses, *times)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    ruled = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in ruled)


def _code(value: Any) -> str:
    """The value as code; a bar would end a cell of the table."""
    return f"`{value}`".replace("|", "\\|").replace("\n", " ")


def _as_it_is(lines: Iterable[str]) -> str:
    """The lines with four blanks, with which Markdown shows them as they are."""
    return "\n".join(f"    {line}" for line in lines)
