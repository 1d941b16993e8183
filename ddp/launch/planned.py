"""The jobs of a sweep before the first one starts: their overrides and directories."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from ddp.errors import ConfigError

SWEEP_MARK = "multirun.yaml"  # Hydra writes it into the directory of a sweep
BASIC, OPTUNA = "BasicSweeper", "OptunaSweeper"
NUMBER = re.compile(r"hydra[.:]job\.(num|id)\b")  # each job has its own


def sweeper_of(hydra: Any) -> str:
    """The name of the class of the sweeper."""
    return str(hydra.sweeper["_target_"]).rpartition(".")[2]


def check_score(config: DictConfig, hydra: Any) -> None:
    """Refuses a run without the validation part that the sweeper compares runs on.

    Nobody reads the values of a basic sweep. Raises ConfigError.
    """
    if sweeper_of(hydra) == BASIC or config.get("select_on") == "test":
        return
    if OmegaConf.select(config, "split.valid_fraction") == 0:
        sweeper = hydra.runtime.choices["hydra/sweeper"]
        raise ConfigError(
            "split.valid_fraction",
            0,
            f"hydra/sweeper={sweeper} needs validation RMSEs: set it above 0, or select_on=test",
        )


def parsed_overrides(config: DictConfig) -> dict[str, Override]:
    """The overrides of a sweep by key. One of the command precedes one of `hydra.sweeper.params`.

    Raises HydraException.
    """
    params = config.hydra.sweeper.get("params") or {}
    arguments = [f"{key}={value}" for key, value in params.items()]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    overrides = parser.parse_overrides([*arguments, *config.hydra.overrides.task])
    return {override.get_key_element(): override for override in overrides}


def check_directories(config: DictConfig) -> None:
    """Refuses a sweep of which two jobs would share a directory.

    Optuna chooses values later, so a sweep of Optuna is refused only if all trials would share one.
    Raises ConfigError, HydraException or OmegaConfBaseException.
    """
    sweeper = sweeper_of(config.hydra)
    pattern = OmegaConf.to_container(config.hydra.sweep, resolve=False)["subdir"]  # type: ignore
    if sweeper not in (BASIC, OPTUNA) or (sweeper == BASIC and NUMBER.search(pattern)):
        return
    overrides = list(parsed_overrides(config).values())
    if sweeper == BASIC:
        (jobs,) = BasicSweeper.split_arguments(overrides, None)
    else:
        jobs = _samples(overrides)
    by_directory: dict[str, list[int]] = {}
    for number, job in enumerate(jobs):
        directory = composed_job(config, number, job).hydra.runtime.output_dir
        by_directory.setdefault(str(Path(directory).resolve()), []).append(number)
    for directory, shared in by_directory.items():
        if sweeper == BASIC and len(shared) > 1:
            first, second = (set(jobs[number]) for number in shared[:2])
            raise _shared(pattern, f"jobs {', '.join(map(str, shared))}", directory, second - first)
        if sweeper == OPTUNA and config.hydra.sweeper.n_trials > 1 and len(shared) == len(jobs) > 1:
            raise _shared(pattern, "all trials", directory, set(jobs[1]) - set(jobs[0]))


def _samples(overrides: Sequence[Override]) -> list[list[str]]:
    """Jobs that have, between them, each choice of every key and both ends of every interval."""
    values = []
    for override in overrides:
        key, value = override.get_key_element(), override.value()
        if isinstance(value, IntervalSweep):
            given: list[Any] = [value.start, value.end]
        elif override.is_sweep_override():
            given = list(override.sweep_string_iterator())
            given = [given[0], given[-1]] if override.is_range_sweep() and given else given
        else:
            values.append([override.input_line or ""])
            continue
        values.append([f"{key}={each}" for each in given])
    longest = max(map(len, values), default=0) if all(values) else 0
    return [[given[row % len(given)] for given in values] for row in range(longest)]


def composed_job(config: DictConfig, number: int, overrides: Sequence[str]) -> DictConfig:
    """The configuration of a job, with the directory that Hydra gives it."""
    loader: ConfigLoader = GlobalHydra.instance().config_loader()
    job = loader.load_sweep_config(config, list(overrides))
    runtime = job.hydra.runtime
    with open_dict(job), read_write(runtime), open_dict(runtime):
        job.hydra.job.id = job.hydra.job.num = number
        hydra = HydraConfig.instance()
        before = hydra.cfg
        hydra.set_config(job)  # resolves ${hydra:...}
        try:
            directory = f"{job.hydra.sweep.dir}/{job.hydra.sweep.subdir}"
        finally:
            hydra.cfg = before
        runtime.output_dir = os.path.abspath(directory)  # noqa: PTH100  # as Hydra does
    return job


def _shared(pattern: str, who: str, directory: str, varying: set[str]) -> ConfigError:
    keys = sorted(override.partition("=")[0].lstrip("+~") for override in varying)
    return ConfigError(
        "hydra.sweep.subdir",
        pattern,
        f"{who} would share the directory {os.path.relpath(directory)}; write"
        " hydra.sweep.subdir='${hydra.job.num}'"
        + (f", or put {' and '.join(keys)} into the pattern" if keys else ""),
    )
