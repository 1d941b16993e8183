"""The name of a run, which tells it from its neighbours: the settings that its command gave."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from hydra.conf import HydraConf
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from ddp.config.run_name import MAX_NAME, PLAIN_RUN
from ddp.launch.varied import swept_keys
from ddp.machine.printable import cut, printable
from ddp.results.run_file import NEVER

# settings of the terminal, of the place, or of the whole sweep: they tell no run from another
NAMELESS = (*NEVER, "tensorboard", "resume", "sweep_resume", "sweep")
BRACKETS = re.compile(r"[\[\](){}'\"]")
UNSAFE = re.compile(r"[^A-Za-z0-9._,=+-]+")  # in the name of a directory
LONG_NUMBER = re.compile(r"-?\d*\.\d{4,}(e[+-]?\d+)?", re.IGNORECASE)


def name_of(arguments: Sequence[str], keys: Collection[str] | None = None) -> str:
    """The name of a run that was given these overrides, as in "backend=process,workers=5".

    `keys`: only these settings count; None: all. It has at most MAX_NAME characters.
    """
    given: dict[str, str] = {}
    for argument in arguments:
        key, equals, value = argument.lstrip("+~").partition("=")
        group = re.split(r"[./@]", key)[0]
        if group not in (*NAMELESS, "hydra") and (keys is None or key in keys):
            given[key] = equals + _short(value)
    text = ",".join(f"{key}{value}" for key, value in given.items())
    return cut(printable(text).replace("\n", " "), MAX_NAME) or PLAIN_RUN


def _short(value: str) -> str:
    """The value without quotes around it; an optimiser's number has four digits."""
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    return f"{float(value):.4g}" if LONG_NUMBER.fullmatch(value) else value


def run_name(composed: DictConfig, hydra: HydraConf) -> str:
    """The name of this job: `name` in its configuration, or that of its overrides.

    In a sweep only those count that the sweep varies.
    """
    if (chosen := composed.get("name")) is not None:
        return str(chosen)
    keys = swept_keys(hydra) if hydra.mode == RunMode.MULTIRUN else None
    return name_of(hydra.overrides.task, keys or None)


def job_directory(job: int, composed: DictConfig) -> str:
    """The directory of a job within that of its sweep, as in "0_backend=process,workers=5".

    `sweep_resume` gives it the directory that it has already, whatever the name was then.
    """
    sweep_dir = Path(composed.hydra.runtime.cwd) / str(composed.hydra.sweep.dir)
    if composed.get("sweep_resume") and sweep_dir.is_dir():
        for path in sorted(sweep_dir.iterdir()):
            if path.is_dir() and path.name.partition("_")[0] == str(job):
                return str(path.name)
    name = run_name(composed, composed.hydra)
    return f"{job}_{UNSAFE.sub('-', BRACKETS.sub('', name)).strip('-')}".removesuffix("_")


def _resolve(job: Any, /, *, _root_: DictConfig) -> str:
    return job_directory(job, _root_)


# conf/config.yaml has it in hydra.sweep.subdir; launchers take resolvers to their processes
OmegaConf.register_new_resolver("job_directory", _resolve, replace=True)
