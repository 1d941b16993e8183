"""Sweeps: Hydra's callbacks, and the table and report that a sweep leaves."""

import dataclasses
import os
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, read_write

from ddp.errors import ConfigError
from ddp.launch.exits import FAILED, INTERRUPTED, TERMINATED, USER_ERROR, explain, report_error
from ddp.launch.one_run import JOB_MARK, failures, wants_advice
from ddp.machine.files import atomic_file
from ddp.machine.signals import Terminated
from ddp.results.run_directory import CONFIG_FILE, directory_taken
from ddp.results.run_file import RunFile, in_order, read_run_file

SWEEP_MARK = "multirun.yaml"  # Hydra writes it into a sweep's
sweep_dirs: list[Path] = []  # of this process, if it ends with a summary


class Directories(Callback):
    """Configured in conf/config.yaml: refuses directories that hold runs before Hydra writes into
       them.

    (`claim_run_directory` refuses as well, at the last moment; but by then Hydra has overwritten
    what it wrote before.)
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra before a single run has its directory."""
        if wants_advice(config):
            with read_write(config):
                # advice needs none: what is there already is not made
                config.hydra.run.dir = os.curdir
            return
        if config.get("resume") is None and (Path(config.hydra.run.dir) / CONFIG_FILE).exists():
            raise SystemExit(explain(directory_taken(Path(config.hydra.run.dir))))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra before the first job of a sweep."""
        if wants_advice(config):
            raise SystemExit(
                explain(
                    ConfigError(
                        "advise", True, "advises on one configuration: leave out -m and sweep="
                    )
                )
            )
        sweep_dir = Path(config.hydra.sweep.dir)
        if not config.get("sweep_resume") and (sweep_dir / SWEEP_MARK).exists():
            raise SystemExit(explain(directory_taken(sweep_dir)))
        # the same as Hydra is about to write: if there is no room for it, this leaves nothing, and
        # says so
        try:
            with atomic_file(sweep_dir / SWEEP_MARK) as file:
                file.write(OmegaConf.to_yaml(config).encode())
        except OSError as error:
            raise SystemExit(explain(error)) from None


class Summary(Callback):
    """Configured in conf/config.yaml: a sweep leaves `sweep.csv` and `report.html`, also when jobs
       failed or it was interrupted.

    Hydra calls `on_multirun_end` only when nothing was raised, and Ctrl-C is raised. So this only
    says that there is a sweep; `launch` writes both when it has ended, whichever way. Without this
    callback there is no table, no report.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra before the first job of a sweep, if `Directories` has not refused it."""
        sweep_dirs.append(Path(config.hydra.sweep.dir))


def end_sweep(sweep_dir: Path, code: int) -> int:
    """Prints the table of the sweep's jobs, writes it as sweep.csv, and the report; gives the
    sweep's exit code.
    """
    try:
        runs = _sweep_runs(sweep_dir)
        if not runs:
            return code or report_error(
                "the sweep composed to no job at all: check the values given to -m or sweep=",
                USER_ERROR,
            )
        for write in (_write_table, _write_report):
            try:
                write(runs, sweep_dir)
            except Exception as error:  # the other one is worth having without this one
                not_written = explain(error)
                code = code or not_written
    except KeyboardInterrupt as error:
        ended = TERMINATED if isinstance(error, Terminated) else INTERRUPTED
        return report_error("interrupted before the sweep's table and report were written", ended)
    failed = sum(run.status != "ok" for run in runs)
    if failed:
        report_error(f"{failed} of {len(runs)} jobs did not succeed", FAILED)
    only_user_errors = len(failures) == failed and {code for code, _ in failures.values()} == {
        USER_ERROR
    }
    return code or (0 if not failed else USER_ERROR if only_user_errors else FAILED)


def _sweep_runs(sweep_dir: Path) -> list[RunFile]:
    """The result of each job, in the order of the jobs."""
    found = [mark.parent.parent for mark in sweep_dir.rglob(JOB_MARK)]
    # also those whose directory could not be written to
    jobs = {directory: Path(directory) for directory in failures}
    jobs |= zip(map(os.path.abspath, found), found, strict=True)
    ordered = sorted(jobs.items(), key=lambda job: in_order(job[1]))
    return [_with_reason(read_run_file(path), failures.get(job)) for job, path in ordered]


def _with_reason(run: RunFile, failure: tuple[int, str] | None) -> RunFile:
    """A refused job leaves no result that says why; a result in its directory is another run's."""
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
    print(f"report: {sweep_dir / 'report.html'}")
