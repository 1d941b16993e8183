"""Hydra's callbacks: they refuse settings and directories, and begin the sweep of this process."""

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
from ddp.errors import ConfigError, UserError
from ddp.launch.composed import (
    asks,
    check_packages,
    load_config,
    load_simulate,
    question,
)
from ddp.launch.exits import explain
from ddp.launch.going_on import num_jobs
from ddp.launch.planned import SWEEP_MARK, check_directories, check_score
from ddp.launch.sweep_end import SWEEP
from ddp.machine.files import atomic_file
from ddp.results.run_directory import CONFIG_FILE, directory_taken
from ddp.tracking.make import check_trackers


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
        SWEEP.num_jobs = num_jobs(config)
        SWEEP.in_study = bool(config.hydra.sweeper.get("storage"))
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


def _one_at_a_time(composed: DictConfig) -> ConfigError:
    """The error for a sweep that asks a question."""
    try:
        asked = question(composed)
    except ConfigError as error:
        return error
    does = {"advise": "advises on one configuration", "inspect": "describes the ratings of one"}
    return ConfigError(str(asked), True, f"{does[str(asked)]}: leave out -m and sweep=")
