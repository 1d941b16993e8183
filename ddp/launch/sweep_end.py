"""The sweep of this process, and the table, the report and the message with which it ends."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ddp.counting import counted
from ddp.launch.composed import COMPOSED
from ddp.launch.exits import FAILED, INTERRUPTED, USER_ERROR, explain, report_error
from ddp.launch.going_on import command_to_go_on
from ddp.launch.job_notes import JobNote, read_notes, write_note
from ddp.machine.printable import printable
from ddp.machine.signals import exit_code
from ddp.results.run_file import RunFile, in_order, read_run_file

NO_JOB = "the sweep composed to no job at all: check the values given to -m or sweep="
NO_SUMMARY = "interrupted before the sweep's table and report were written"


class Sweep:
    """The sweep of this process: its directory, and the notes of its jobs.

    | field       | meaning                                      |
    |-------------|----------------------------------------------|
    | `directory` | that of the sweep; None: no sweep has begun  |
    | `arguments` | those of the command                         |
    | `num_jobs`  | None if the sweeper does not tell            |
    | `in_study`  | the sweeper keeps its trials in a storage    |
    """

    def __init__(self) -> None:
        self.arguments: Sequence[str] = ()
        self.num_jobs: int | None = None
        self.in_study = False
        self.directory: Path | None = None
        self._has_summary = False
        # those of jobs in this process: the files of their notes may be missing on a full disk
        self._notes: list[JobNote] = []

    def begin(self, directory: Path, *, summary: bool = True) -> None:
        """Begins a sweep. `summary`: `end` writes table and report into this directory."""
        self.directory, self._has_summary = directory, summary

    def note(self, hydra: Any, **fields: Any) -> None:
        """Notes that a job has begun, or its failure; `fields` are those of `JobNote`."""
        note = JobNote.of(hydra, **fields)
        self._notes.append(note)
        write_note(note, Path(hydra.runtime.cwd) / hydra.sweep.dir)

    def end(self, code: int) -> int:
        """Writes the summary if a sweep has begun. Gives the exit code of the program.

        `code`: that of the error that ended the sweep, or 0.
        """
        if self.directory is not None and self._has_summary:
            return self._summarise(self.directory, code)
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
        if code in INTERRUPTED:
            report_error(self._how_to_go_on(runs), code)
        elif failed:
            report_error(f"{failed} of {counted(len(runs), 'job')} did not succeed", FAILED)
        return code or self._code_of(failed)

    def _how_to_go_on(self, runs: list[RunFile]) -> str:
        """The numbers of jobs that ended well, did not, and never began; and the next command."""
        assert self.directory is not None
        ended = sum(run.status == "ok" for run in runs)
        jobs = max(len(runs), self.num_jobs or 0)
        told = f"{ended} of {counted(jobs, 'job')} ended well, {len(runs) - ended} did not"
        if never := jobs - len(runs):
            told += f", {never} never began"
        command = command_to_go_on(self.arguments, self.directory, in_study=self.in_study)
        return f"{told}\nto go on with the sweep: {command}"

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
        written = [] if self.directory is None else read_notes(self.directory)
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
