"""The door: what Hydra composed is checked and converted here, and what goes wrong becomes a message and an exit code.

Besides train.py this and ddp/launch/composed.py are the only modules that know Hydra.

Exit codes: 0 all went well; 1 a run failed; 2 a mistake in what we were given; 130 interrupted; 143 terminated.
"""

import dataclasses
import os
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, read_write

from ddp.backends.forkserver import ensure_server
from ddp.config.options import ProcessBackend, ShmBackend
from ddp.config.schema import settings
from ddp.disk import FULL, describe, naming
from ddp.errors import AggregationError, BackendError, ConfigError, UserError, WorkerError
from ddp.launch.composed import composition_message, load_config, load_simulate
from ddp.launch.help import help_text
from ddp.launch.resume import finished_rmse, make_room, resumed_arguments
from ddp.machine.files import atomic_file
from ddp.machine.signals import WORKER_THREAD, Terminated, end_in_good_order
from ddp.results.run_directory import CONFIG_FILE, directory_taken, find_checkpoints

if TYPE_CHECKING:
    import pandas as pd


FAILED, USER_ERROR, INTERRUPTED, TERMINATED = 1, 2, 130, 143
COMPOSED = ".hydra/{}.yaml"  # in every job's directory: what Hydra composed
JOB_MARK = COMPOSED.format("config")
SWEEP_MARK = "multirun.yaml"  # Hydra writes it into a sweep's

_failures: dict[str, tuple[int, str]] = {}  # of this process's sweep: directory -> exit code, why
_sweep_dirs: list[Path] = []  # of this process, if it ends with a summary


def launch(task: Callable[[], Any]) -> int:
    """Runs the Hydra application and gives its exit code. Prints one message for a mistake of the user's, no stack trace."""
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(help_text())
        return 0
    # argparse wants flags before overrides; people write them anywhere.
    sys.argv[1:] = sorted(sys.argv[1:], key=lambda argument: argument not in ("-m", "--multirun"))
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra passes exceptions on to us, instead of printing them and ending with 1
    end_in_good_order()
    code = 0
    try:
        sys.argv[1:] = resumed_arguments(sys.argv[1:])
        task()
    except Terminated as error:
        code = _report("terminated; what was finished is in the run directory", TERMINATED, error)
    except KeyboardInterrupt as error:
        code = _report("interrupted; what was finished is in the run directory", INTERRUPTED, error)
    except Exception as error:
        code = _explain(error)
    if _sweep_dirs:
        code = _end_sweep(_sweep_dirs[-1], code)
    code = code or min((failed for failed, _ in _failures.values()), default=0)
    if any(thread.name.startswith(WORKER_THREAD) for thread in threading.enumerate()):
        # One that hangs was left behind. In an interpreter that shuts down it could crash: leave without.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def run_job(composed: DictConfig) -> float:
    """One job: check, run, show; the final aggregated test RMSE, for Hydra's sweepers.

    In a sweep a job that fails says so at once and gives NaN, and the next one starts; alone it ends the program. (An
    option that does not exist is found by Hydra before the first job, and ends the sweep.)
    """
    hydra = HydraConfig.get()
    output_dir = Path(hydra.runtime.output_dir)
    try:
        if _wants_advice(composed):
            return _advise(composed)
        if composed.get("resume") is None:
            _keep_composed(composed, hydra)
        config = load_config(composed)
        load_simulate(composed)  # refuses what only advise=true reads
        resume = composed.get("resume") is not None
        if composed.get("sweep_resume") and hydra.mode == RunMode.MULTIRUN:
            rmse = finished_rmse(output_dir, config)
            if rmse is not None:
                print(f"{output_dir}: has ended well before, test RMSE {rmse:.4f}")
                return rmse
            resume = make_room(output_dir)
        if isinstance(config.backend, ProcessBackend | ShmBackend):
            with naming(Path("TMPDIR")):
                tempfile.gettempdir()  # multiprocessing has its sockets there; where there is no such place it would just die
            if config.backend.chosen_start_method == "forkserver":
                ensure_server(config.trainer.name)  # its imports run beside ours, and beside the loading of the ratings
        # Late: torch is imported only once the config is known to be good.
        from rich.console import Console

        from ddp.experiment import run
        from ddp.timing.meter import process_began
        from ddp.tracking.tensorboard import TensorBoard
        from ddp.tracking.terminal import make_display, print_result
        from ddp.tracking.tracker import Tracker

        console = Console()
        trackers: list[Tracker] = [make_display(config, console)]
        if config.tensorboard:
            trackers.append(TensorBoard(output_dir, settings(dataclasses.asdict(config))))
        began = process_began() if hydra.mode == RunMode.RUN else None
        result = run(config, output_dir, trackers, resume=resume, began=began)
        if config.display != "none":
            print_result(result, console)
        return result.test_rmse
    except KeyboardInterrupt as error:
        _note_how_to_go_on(error, output_dir)
        raise
    except Exception as error:
        if not isinstance(error, UserError):
            _note_how_to_go_on(error, output_dir)
        code = _explain(error)
        if hydra.mode != RunMode.MULTIRUN:
            raise SystemExit(code) from error
        _failures[hydra.runtime.output_dir] = (code, f"{type(error).__name__}: {error}")
        return float("nan")


def _wants_advice(composed: DictConfig) -> bool:
    return composed.get("advise") not in (None, False)


def _advise(composed: DictConfig) -> float:
    """Prints what a run would cost instead of running: no model, no directory, no RMSE."""
    config, simulate = load_config(composed), load_simulate(composed)
    assert simulate is not None
    from rich.console import Console

    from ddp.advice.advise import advise

    advise(config, simulate, Console())
    return float("nan")


def _note_how_to_go_on(error: BaseException, output_dir: Path) -> None:
    if find_checkpoints(output_dir):
        error.add_note(f"to go on from where it was: python train.py resume={output_dir}")


def _keep_composed(composed: DictConfig, hydra: HydraConf) -> None:
    """What Hydra would write as .hydra/*.yaml; it would leave half of a file on a full disk, and not say which."""
    parts = {"config": composed, "hydra": {"hydra": hydra}, "overrides": hydra.overrides.task}
    for name, part in parts.items():
        with atomic_file(Path(hydra.runtime.output_dir) / COMPOSED.format(name)) as file:
            file.write(OmegaConf.to_yaml(part).encode())


def _explain(error: Exception) -> int:
    """Prints what went wrong, for the person who has to do something about it; the exit code for it."""
    code = FAILED
    if isinstance(error, UserError):
        message, code = str(error), USER_ERROR
    elif composition := composition_message(error):
        message, code = composition, USER_ERROR
    elif isinstance(error, WorkerError | AggregationError | BackendError):
        message = str(error)
    elif isinstance(error, MemoryError):
        message = f"out of memory: {error}; a smaller model.dim, fewer workers or less data need less"
    elif isinstance(error, OSError) and (error.filename is not None or error.errno in FULL):
        message = describe(error)
    else:
        traceback.print_exception(error)
        return code
    return _report(message, code, error)


def _report(message: str, code: int, error: BaseException | None = None) -> int:
    """Prints the message, and what was noted on the error's way up."""
    print("\n".join([f"error: {message}", *getattr(error, "__notes__", ())]), file=sys.stderr)
    return code


class Directories(Callback):
    """Configured in conf/config.yaml: refuses directories that hold runs before Hydra writes into them.

    (`claim_run_directory` refuses as well, at the last moment; but by then Hydra has overwritten what it wrote before.)
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra before a single run has its directory."""
        if _wants_advice(config):
            with read_write(config):
                config.hydra.run.dir = os.curdir  # advice needs none: what is there already is not made
            return
        if config.get("resume") is None and (Path(config.hydra.run.dir) / CONFIG_FILE).exists():
            raise SystemExit(_explain(directory_taken(Path(config.hydra.run.dir))))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra before the first job of a sweep."""
        if _wants_advice(config):
            raise SystemExit(_explain(ConfigError("advise", True, "advises on one configuration: leave out -m and sweep=")))
        sweep_dir = Path(config.hydra.sweep.dir)
        if not config.get("sweep_resume") and (sweep_dir / SWEEP_MARK).exists():
            raise SystemExit(_explain(directory_taken(sweep_dir)))
        try:  # the same as Hydra is about to write: if there is no room for it, this leaves nothing, and says so
            with atomic_file(sweep_dir / SWEEP_MARK) as file:
                file.write(OmegaConf.to_yaml(config).encode())
        except OSError as error:
            raise SystemExit(_explain(error)) from None


class Summary(Callback):
    """Configured in conf/config.yaml: a sweep leaves `sweep.csv` and `report.html`, also when jobs failed or it was interrupted.

    Hydra calls `on_multirun_end` only when nothing was raised, and Ctrl-C is raised. So this only says that there is a sweep;
    `launch` writes both when it has ended, whichever way. Without this callback there is no table, no report.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra before the first job of a sweep, if `Directories` has not refused it."""
        _sweep_dirs.append(Path(config.hydra.sweep.dir))


def _end_sweep(sweep_dir: Path, code: int) -> int:
    """Prints the table of the sweep's jobs, writes it as sweep.csv, and the report; gives the sweep's exit code."""
    try:
        runs = _sweep_runs(sweep_dir)
        if runs.empty:
            return code or _report("the sweep composed to no job at all: check the values given to -m or sweep=", USER_ERROR)
        for write in (_write_table, _write_report):
            try:
                write(runs, sweep_dir)
            except Exception as error:  # the other one is worth having without this one
                not_written = _explain(error)
                code = code or not_written
    except KeyboardInterrupt as error:
        ended = TERMINATED if isinstance(error, Terminated) else INTERRUPTED
        return _report("interrupted before the sweep's table and report were written", ended)
    failed = int((runs["status"] != "ok").sum())
    if failed:
        _report(f"{failed} of {len(runs)} jobs did not succeed", FAILED)
    only_user_errors = len(_failures) == failed and {code for code, _ in _failures.values()} == {USER_ERROR}
    return code or (0 if not failed else USER_ERROR if only_user_errors else FAILED)


def _sweep_runs(sweep_dir: Path) -> "pd.DataFrame":
    """A row per job."""
    from ddp.results.table import in_order, read_runs

    found = [mark.parent.parent for mark in sweep_dir.rglob(JOB_MARK)]
    jobs = {directory: Path(directory) for directory in _failures}  # also those whose directory could not be written to
    jobs |= zip(map(os.path.abspath, found), found, strict=True)
    runs = read_runs(sorted(jobs.values(), key=in_order))
    for directory, (_, reason) in _failures.items():  # one that was refused has no result that says why
        own = runs["directory"].map(os.path.abspath) == directory
        runs.loc[own, "error"] = reason
        runs.loc[own & (runs["status"] == "ok"), "status"] = "refused"  # what is there is another run's
    return runs


def _write_table(runs: "pd.DataFrame", sweep_dir: Path) -> None:
    from ddp.results.table import print_runs

    print_runs(runs, sweep_dir / "sweep.csv")


def _write_report(runs: "pd.DataFrame", sweep_dir: Path) -> None:
    from ddp.report.page import write_report  # late: matplotlib takes half a second

    write_report(runs, sweep_dir / "report.html")
    print(f"report: {sweep_dir / 'report.html'}")
