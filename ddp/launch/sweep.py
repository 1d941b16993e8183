"""Sweeps: Hydra's callbacks, and the table and report that a sweep leaves."""

import dataclasses
import os
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from ddp.config.checks import expanded
from ddp.errors import ConfigError
from ddp.launch.composed import (
    COMPOSED,
    asks,
    check_packages,
    load_config,
    load_simulate,
    question,
)
from ddp.launch.exits import FAILED, USER_ERROR, explain, report_error
from ddp.launch.quoting import quoted
from ddp.machine.files import atomic_file
from ddp.machine.printable import printable
from ddp.machine.signals import exit_code
from ddp.results.run_directory import CONFIG_FILE, directory_taken
from ddp.results.run_file import RunFile, in_order, read_run_file

SWEEP_MARK = "multirun.yaml"  # Hydra writes it into the directory of a sweep
NO_JOB = "the sweep composed to no job at all: check the values given to -m or sweep="
NO_SUMMARY = "interrupted before the sweep's table and report were written"


class Directories(Callback):
    """Refuses settings, and directories that hold runs, before Hydra writes a file.

    conf/config.yaml names this callback. `run_directory` refuses such a directory as well, but by
    then Hydra has overwritten its own files.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Hydra calls it before a single run has its directory."""
        _expand(config, "hydra.run.dir")
        if asks(config):
            with read_write(config):
                # an answer needs no directory of its own, so it gets one that exists
                config.hydra.run.dir = os.curdir
            return
        if config.get("resume") is None and (Path(config.hydra.run.dir) / CONFIG_FILE).exists():
            raise SystemExit(explain(directory_taken(Path(config.hydra.run.dir))))
        try:
            _check(config)
        except ConfigError as error:
            raise SystemExit(explain(error)) from None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Hydra calls it before the first job of a sweep."""
        if asks(config):
            raise SystemExit(explain(_one_at_a_time(config)))
        _expand(config, "hydra.sweep.dir")
        sweep_dir = Path(config.hydra.sweep.dir)
        if not config.get("sweep_resume") and (sweep_dir / SWEEP_MARK).exists():
            raise SystemExit(explain(directory_taken(sweep_dir)))
        try:
            HydraConfig.instance().set_config(config)
            check_packages(config)
        except ConfigError as error:
            raise SystemExit(explain(error)) from None
        # Hydra is about to write the same file; without room for it, Hydra would leave half of it
        try:
            with atomic_file(sweep_dir / SWEEP_MARK) as file:
                file.write(OmegaConf.to_yaml(config).encode())
        except OSError as error:
            raise SystemExit(explain(error)) from None


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
    HydraConfig.instance().set_config(config)  # for ${hydra:...} in a setting
    composed = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    load_config(composed)
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
    """The sweep of this process: its directory if it leaves a summary, and the jobs that failed."""

    def __init__(self) -> None:
        self._directory: Path | None = None
        self._failures: dict[str, tuple[int, str]] = {}  # directory -> exit code, reason

    def begin(self, directory: Path) -> None:
        """Begins a sweep: `end` writes its summary into this directory."""
        self._directory = directory

    def job_failed(self, directory: str, code: int, reason: str) -> None:
        """Notes the exit code that the job would have alone, and the reason."""
        self._failures[directory] = (code, reason)

    def end(self, code: int) -> int:
        """Writes the summary if a sweep has begun. Gives the exit code of the program.

        `code`: that of the error that ended the sweep, or 0.
        """
        if self._directory is not None:
            code = self._summarise(self._directory, code)
        return code or min((failed for failed, _ in self._failures.values()), default=0)

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
            report_error(f"{failed} of {len(runs)} jobs did not succeed", FAILED)
        return code or self._code_of(failed)

    def _code_of(self, failed: int) -> int:
        """The exit code of a sweep in which `failed` jobs did not succeed."""
        if not failed:
            return 0
        codes = [code for code, _ in self._failures.values()]
        return USER_ERROR if codes == [USER_ERROR] * failed else FAILED

    def _read_jobs(self, directory: Path) -> list[RunFile]:
        """The result of each job, in the order of the jobs."""
        found = [mark.parent.parent for mark in directory.rglob(COMPOSED.format("config"))]
        # includes jobs that could not write into their directory
        jobs = {failed: Path(failed) for failed in self._failures}
        jobs |= zip(map(os.path.abspath, found), found, strict=True)
        ordered = sorted(jobs.items(), key=lambda job: in_order(job[1]))
        return [_with_reason(read_run_file(path), self._failures.get(job)) for job, path in ordered]


def _one_at_a_time(composed: DictConfig) -> ConfigError:
    """The error for a sweep that asks a question."""
    try:
        asked = question(composed)
    except ConfigError as error:
        return error
    does = {"advise": "advises on one configuration", "inspect": "describes the ratings of one"}
    return ConfigError(str(asked), True, f"{does[str(asked)]}: leave out -m and sweep=")


SWEEP = Sweep()  # one for all: Hydra makes the callbacks and calls the jobs, and they share it


def _with_reason(run: RunFile, failure: tuple[int, str] | None) -> RunFile:
    """The run with the reason of its failure.

    A good result in the directory of a refused job is another run's.
    """
    if failure is None:
        return run
    status = "refused" if run.status == "ok" else run.status
    return dataclasses.replace(run, status=status, error=failure[1])


def _write_table(runs: list[RunFile], sweep_dir: Path) -> None:
    from ddp.results.table import print_runs  # late: a single run needs no table

    print_runs(runs, sweep_dir / "sweep.csv")


def _write_report(runs: list[RunFile], sweep_dir: Path) -> None:
    from ddp.report.page import write_report  # late: matplotlib takes half a second

    write_report(runs, sweep_dir / "report.html")
    print(f"report: {printable(sweep_dir / 'report.html')}")
