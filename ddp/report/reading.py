"""Reads the files of a run for the report, as far as they can be read."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ddp.config.options import OPTIONS
from ddp.ratings.description import Description, facts
from ddp.report.rounds import Round, number, read_rounds
from ddp.results.run_directory import RESULT_FILE, ROUNDS_FILE
from ddp.results.run_file import RunFile, machine_of
from ddp.results.simplest import in_words
from ddp.results.table import cell, harmless
from ddp.timing.kinds import KINDS, OTHER
from ddp.tracking.who import AGGREGATOR


@dataclass(slots=True, kw_only=True)
class Lane:
    """The seconds of one lane (ddp/tracking/tracker.py) by kind of time.

    A lane that is not `closed` ended early and lacks its last seconds.
    """

    name: str
    wall_s: float
    closed: bool
    seconds: dict[str, float]
    waits_for: dict[str, float]


@dataclass(slots=True, kw_only=True)
class Memory:
    """Bytes of all processes of a run together; None where not known."""

    peak_rss_bytes: float | None = None
    pss_bytes: float | None = None
    shared_bytes: float | None = None


@dataclass(slots=True, kw_only=True)
class Run:
    """A run, as far as its files can be read; `troubles` names the parts that cannot be read.

    `settings` holds its settings and its machine as text; it is empty if they are not known. The
    files of a `resumed` run have only the seconds of its last process, so it has no seconds here.
    `data` and `notes`: facts about its ratings, in words; `simplest`: the figures of the simplest
    predictors on its held out part. They are empty if they are not known.
    """

    directory: Path
    status: str
    settings: dict[str, str]
    rmse: float | None
    valid_rmse: float | None
    total_s: float | None
    train_s: float | None
    resumed: bool = False
    label: str = ""
    rounds: list[Round] = field(default_factory=list)
    lanes: list[Lane] = field(default_factory=list)
    memory: Memory = field(default_factory=Memory)
    environment: dict[str, str] = field(default_factory=dict)
    command: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    data: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    simplest: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    @property
    def backend(self) -> str:
        return self.settings.get("backend", "-")

    def workers(self) -> list[Lane]:
        """The lanes of the workers."""
        return [lane for lane in self.lanes if lane.name != AGGREGATOR]

    def aggregator(self) -> Lane | None:
        """The aggregator's lane."""
        return next((lane for lane in self.lanes if lane.name == AGGREGATOR), None)

    @contextmanager
    def reading(self, what: str) -> Iterator[None]:
        """Turns an error in the block into a trouble of this run."""
        try:
            yield
        except Exception as error:  # a file may hold anything, and none of it may cost the rest
            reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
            self.troubles.append(harmless(f"{what}: {reason}"))


def read_run(file: RunFile) -> Run:
    """The run of a result.json, with its rounds.csv."""
    settings = file.settings if file.settings.get("workers") is not None else {}
    run = Run(
        directory=file.directory,
        status=harmless(file.status),
        settings={name: harmless(cell(name, value)) for name, value in settings.items()},
        rmse=number(file.outcome.get("test_rmse")),
        valid_rmse=number(file.outcome.get("valid_rmse")),
        total_s=number(file.outcome.get("total_s")),
        train_s=number(file.outcome.get("train_s")),
        resumed=file.resumed,
    )
    for what, read in _PARTS.items():
        with run.reading(f"{RESULT_FILE}, {what}"):
            read(run, file.content)
    if run.settings:
        run.settings["machine"] = harmless(machine_of(file.content))
    if run.status == "ok" or (run.directory / ROUNDS_FILE).exists():
        with run.reading(ROUNDS_FILE):
            run.rounds = list(read_rounds(run.directory / ROUNDS_FILE))
    return run


def _mapping(value: Any) -> dict[str, Any]:
    """`value` if it is a JSON object, {} for null. Raises ValueError for anything else."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"not an object but {type(value).__name__}")
    return value


def _amounts(value: Any) -> dict[str, float]:
    """The positive numbers of a JSON object."""
    found = {harmless(str(key)): number(amount) for key, amount in _mapping(value).items()}
    return {key: amount for key, amount in found.items() if amount is not None and amount > 0}


def _read_account(run: Run, result: Mapping[str, Any]) -> None:
    if run.resumed:
        return
    lanes = []
    for entry in map(_mapping, result.get("account") or []):
        seconds: defaultdict[str, float] = defaultdict(float)
        for kind, amount in _amounts(entry["seconds"]).items():
            seconds[kind if kind in KINDS else OTHER] += amount
        wall_s = number(entry["wall_s"])
        lanes.append(
            Lane(
                name=harmless(str(entry["who"])),
                wall_s=sum(seconds.values()) if wall_s is None else wall_s,
                closed=entry.get("closed") is not False,
                seconds=dict(seconds),
                waits_for=_amounts(entry.get("waits_for")),
            )
        )
    run.lanes = lanes


def _read_memory(run: Run, result: Mapping[str, Any]) -> None:
    """Sets `run.memory`: `account` lists the workers, and `memory` the other processes."""
    memory = _mapping(result.get("memory"))
    processes = {
        str(process["who"]): process for process in map(_mapping, memory.get("processes") or [])
    }
    whole = bool(processes)
    if getattr(OPTIONS["backend"].get(run.backend), "in_processes", False):
        workers = {
            str(entry["who"]): entry
            for entry in map(_mapping, result.get("account") or [])
            if entry["who"] != AGGREGATOR
        }
        processes = workers | processes
        whole = whole and bool(workers)
    run.memory = Memory(
        peak_rss_bytes=_total(processes.values(), "peak_rss_bytes")
        if whole
        else number(result.get("peak_rss_bytes")),
        pss_bytes=_total(processes.values(), "pss_bytes") if whole else None,
        shared_bytes=number(memory.get("shared_bytes")),
    )


def _total(processes: Iterable[Mapping[str, Any]], key: str) -> float | None:
    """The sum, or None if one amount is not known: a part of a sum would look like the sum."""
    amounts = [number(process.get(key)) for process in processes]
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if len(known) == len(amounts) else None


def _read_origin(run: Run, result: Mapping[str, Any]) -> None:
    run.command = [harmless(str(argument)) for argument in result.get("command") or []]
    run.warnings = [harmless(str(warning)) for warning in result.get("warnings") or []]
    environment = _mapping(result.get("environment"))
    values = environment | _mapping(environment.get("versions"))
    run.environment = {
        harmless(str(name)): harmless(str(value))
        for name, value in values.items()
        if name != "versions"
    }


def _read_data(run: Run, result: Mapping[str, Any]) -> None:
    if known := _mapping(result.get("data")):
        about = Description(**known)
        run.data = facts(about)
        run.notes = [harmless(str(note)) for note in about.notes]
    run.simplest = list(map(harmless, in_words(result.get("baselines"), result.get("ranked"))))


_PARTS: dict[str, Callable[[Run, Mapping[str, Any]], None]] = {
    "account": _read_account,
    "memory": _read_memory,
    "environment": _read_origin,
    "data": _read_data,
}
