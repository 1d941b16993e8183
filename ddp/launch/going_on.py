"""The command that continues an interrupted sweep, and the number of its jobs."""

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.errors import HydraException
from omegaconf import DictConfig

from ddp.config.command import in_shell
from ddp.launch.planned import BASIC, OPTUNA, parsed_overrides, sweeper_of
from ddp.launch.quoting import typed

OF_THE_PLACE = re.compile(r"\+{0,2}(hydra\.sweep\.dir|sweep_resume)=.*", re.DOTALL)


def num_jobs(config: DictConfig) -> int | None:
    """The number of jobs of a sweep; None if its sweeper does not tell, or refuses the values."""
    sweeper = sweeper_of(config.hydra)
    if sweeper == OPTUNA:
        return int(config.hydra.sweeper.n_trials)
    if sweeper != BASIC:
        return None
    with suppress(HydraException):
        (jobs,) = BasicSweeper.split_arguments(list(parsed_overrides(config).values()), None)
        return len(jobs)
    return None


def command_to_go_on(arguments: Sequence[str], sweep_dir: Path, *, in_study: bool) -> str:
    """The command that continues the sweep with these arguments of the command line.

    `in_study`: the sweeper keeps its trials in a storage, and the same command goes on with them.
    """
    given = [argument for argument in arguments if in_study or not OF_THE_PLACE.fullmatch(argument)]
    place = [] if in_study else [typed("hydra.sweep.dir", str(sweep_dir)), "sweep_resume=true"]
    return " ".join(["python train.py", *map(in_shell, given), *place])
