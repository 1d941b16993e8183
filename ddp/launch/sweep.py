"""Sweeps: Hydra's callbacks, and the table and report that a sweep leaves."""

import dataclasses
import os
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from ddp.config.checks import expanded
from ddp.config.command import quoted
from ddp.counting import counted
from ddp.errors import ConfigError, UserError
from ddp.launch.composed import (
    COMPOSED,
    asks,
    check_packages,
    load_config,
    load_simulate,
    question,
)
from ddp.launch.exits import FAILED, USER_ERROR, explain, report_error
from ddp.launch.job_notes import JobNote, read_notes, write_note
from ddp.launch.planned import SWEEP_MARK, check_directories, check_score
from ddp.machine.files import atomic_file
from ddp.machine.printable import printable
from ddp.machine.signals import exit_code
from ddp.results.run_directory import CONFIG_FILE, directory_taken
from ddp.results.run_file import RunFile, in_order, read_run_file
from ddp.tracking.make import check_trackers

NO_JOB = "the sweep composed to no job at all: check the values given to -m or sweep="
NO_SUMMARY = "interrupted before the sweep's table and report were written"


class Directories(Callback):
    """Refuses settings, and directories that hold runs, before Hydra writes a file.

    conf/config.yaml names this callback. `run_directory` refuses such a directory as well, but by
    then Hydra has overwritten its own files.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Hydra calls it before a single run has its directory."""
        try:
            _make_known(config)
            _expand(config, "hydra.run.dir")
            if asks(config):
                with read_write(config):
                    # an answer needs no directory of its own, so it gets one that exists
                    config.hydra.run.dir = os.curdir
                return
            run_dir = Path(config.hydra.run.dir)
            if config.get("resume") is None and (run_dir / CONFIG_FILE).exists():
                raise directory_taken(run_dir)
            _check(config)
        except (UserError, HydraException, OmegaConfBaseException) as error:
            raise SystemExit(explain(error)) from None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Hydra calls it before the first job of a sweep."""
        try:
            _make_known(config)
            if asks(config):
                raise _one_at_a_time(config)
            _expand(config, "hydra.sweep.dir")
            sweep_dir = Path(config.hydra.sweep.dir)
            if not config.get("sweep_resume") and (sweep_dir / SWEEP_MARK).exists():
                raise directory_taken(sweep_dir)
            check_packages(config)
            check_score(config, config.hydra)
            check_directories(config)
            # Hydra is about to write the same file; without room for it, it would leave half of it
            with atomic_file(sweep_dir / SWEEP_MARK) as file:
                file.write(OmegaConf.to_yaml(config).encode())
        except (UserError, HydraException, OmegaConfBaseException, OSError) as error:
            raise SystemExit(explain(error)) from None
        SWEEP.begin(sweep_dir, summary=False)
        if config.get("select_on") == "test":
            print("select_on=test: the value of each job, for the sweeper, is its test RMSE")


def _make_known(config: DictConfig) -> None:
    """Lets ${hydra:...} resolve, as it does in a job."""
    HydraConfig.instance().set_config(config)
    OmegaConf.set_readonly(config.hydra, None)  # what Hydra does next may change it


def _expand(config: DictConfig, key: str) -> None:
    """Puts the home directory in the place of a ~ with which a directory of Hydra's begins."""
    directory = str(OmegaConf.select(config, key))
    if directory.startswith("~"):
        with read_write(config):
            OmegaConf.update(config, key, expanded(directory))
            # Hydra composes the jobs of a sweep from this list
            config.hydra.overrides.hydra.append(f"{key}={quoted(expanded(directory))}")


def _check(config: DictConfig) -> None:
    """Checks the settings of a single run as `run_job` will. Raises ConfigError."""
    runtime = config.hydra.runtime
    with read_write(runtime), open_dict(runtime):
        runtime.output_dir = str(Path(config.hydra.run.dir).absolute())
    composed = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    check_trackers(load_config(composed).tracker)
    load_simulate(composed)


class Summary(Callback):
    """Makes a sweep leave `sweep.csv` and `report.html`, also after failed jobs or an interrupt.

    conf/config.yaml names this callback. Without it a sweep leaves neither.

    Hydra calls `on_multirun_end` only if nothing raises, and Ctrl-C raises. So this callback only
    begins the sweep, and `launch` ends it in every case.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Hydra calls it before the first job, unless `Directories` refuses the sweep."""
        SWEEP.begin(Path(config.hydra.sweep.dir))


class Sweep:
    """The sweep of this process: its directory, and the notes of its jobs."""

    def __init__(self) -> None:
        self._directory: Path | None = None
        self._has_summary = False
        # those of jobs in this process: the files of their notes may be missing on a full disk
        self._notes: list[JobNote] = []

    def begin(self, directory: Path, *, summary: bool = True) -> None:
        """Begins a sweep. `summary`: `end` writes table and report into this directory."""
        self._directory, self._has_summary = directory, summary

    def note(self, hydra: Any, **fields: Any) -> None:
        """Notes that a job has begun, or its failure; `fields` are those of `JobNote`."""
        note = JobNote.of(hydra, **fields)
        self._notes.append(note)
        write_note(note, Path(hydra.runtime.cwd) / hydra.sweep.dir)

    def end(self, code: int) -> int:
        """Writes the summary if a sweep has begun. Gives the exit code of the program.

        `code`: that of the error that ended the sweep, or 0.
        """
        if self._directory is not None and self._has_summary:
            return self._summarise(self._directory, code)
        return code or min(self._codes(self._all_notes()), default=0)

    def _summarise(self, directory: Path, code: int) -> int:
        """Prints the table of the jobs, writes it as sweep.csv, and the report."""
        try:
            runs = self._read_jobs(directory)
            if not runs:
                return code or report_error(NO_JOB, USER_ERROR)
            for write in (_write_table, _write_report):
                try:
                    write(runs, directory)
                except Exception as error:  # the other file is of use without this one
                    not_written = explain(error)
                    code = code or not_written
        except KeyboardInterrupt as error:
            return report_error(NO_SUMMARY, exit_code(error))
        failed = sum(run.status != "ok" for run in runs)
        if failed:
            report_error(f"{failed} of {counted(len(runs), 'job')} did not succeed", FAILED)
        return code or self._code_of(failed)

    def _code_of(self, failed: int) -> int:
        """The exit code of a sweep in which `failed` jobs did not succeed."""
        if not failed:
            return 0
        return USER_ERROR if self._codes(self._all_notes()) == [USER_ERROR] * failed else FAILED

    @staticmethod
    def _codes(notes: list[JobNote]) -> list[int]:
        return [note.code for note in notes if note.code]

    def _all_notes(self) -> list[JobNote]:
        """The last note of each job."""
        written = [] if self._directory is None else read_notes(self._directory)
        return list(
            {
                (note.directory, note.refused and note.job): note
                for note in [*written, *self._notes]
            }.values()
        )

    def _read_jobs(self, directory: Path) -> list[RunFile]:
        """The result of each job, in the order of their directories."""
        notes = self._all_notes()
        refused = {(note.directory, note.job): note for note in notes if note.refused}
        own = {
            note.directory: note
            for note in notes
            if not note.refused and (note.directory, note.job) not in refused
        }
        marks = directory.rglob(COMPOSED.format("config"))
        # a refused job has met a run there, which belongs to this sweep only if it left a note
        begun = {str(mark.parent.parent.absolute()) for mark in marks} - {job for job, _ in refused}
        runs = [
            _with_reason(read_run_file(_beside(directory, job)), own.get(job))
            for job in begun | own.keys()
        ]
        runs += [_refused(directory, refused[key]) for key in sorted(refused)]
        return sorted(runs, key=lambda run: in_order(run.directory))


def _one_at_a_time(composed: DictConfig) -> ConfigError:
    """The error for a sweep that asks a question."""
    try:
        asked = question(composed)
    except ConfigError as error:
        return error
    does = {"advise": "advises on one configuration", "inspect": "describes the ratings of one"}
    return ConfigError(str(asked), True, f"{does[str(asked)]}: leave out -m and sweep=")


SWEEP = Sweep()  # one for all: Hydra makes the callbacks and calls the jobs, and they share it


def _beside(sweep_dir: Path, job: str) -> Path:
    """The directory of a job, written as that of the sweep is."""
    return sweep_dir / os.path.relpath(job, sweep_dir)


def _with_reason(run: RunFile, note: JobNote | None) -> RunFile:
    """The run with the reason of its failure."""
    if note is None or not note.code:
        return run
    return dataclasses.replace(
        run, status="failed" if run.status == "ok" else run.status, error=note.reason
    )


def _refused(sweep_dir: Path, note: JobNote) -> RunFile:
    """A job that found another run in its directory, and has no figures."""
    directory = _beside(sweep_dir, note.directory)
    return RunFile(directory=directory, status="refused", error=note.reason)


def _write_table(runs: list[RunFile], sweep_dir: Path) -> None:
    from ddp.results.screen import print_runs  # late: a single run needs no table

    print_runs(runs, sweep_dir / "sweep.csv")


def _write_report(runs: list[RunFile], sweep_dir: Path) -> None:
    from ddp.report.page import write_report  # late: matplotlib takes half a second

    write_report(runs, sweep_dir / "report.html")
    print(f"report: {printable(sweep_dir / 'report.html')}")
