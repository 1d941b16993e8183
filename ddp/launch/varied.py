"""The settings that a sweep varies: for names of its jobs, and columns of TensorBoard's HParams."""

from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml
from hydra.conf import HydraConf
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ddp.config.defaults import CONF, read_option
from ddp.config.options import OPTIONS
from ddp.config.schema import settings
from ddp.launch.planned import SWEEP_MARK, parsed_overrides

# a damaged or foreign file must not cost the run
UNREADABLE = (
    OSError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    yaml.YAMLError,
    HydraException,
    OmegaConfBaseException,
)


def swept_keys(hydra: HydraConf) -> list[str]:
    """The keys that this job's sweep gives several values; [] if that is not known.

    The launching process may be another one, so the file of the sweep tells them.
    """
    try:
        return [key for key, override in _overrides(_mark(hydra)).items() if _varies(override)]
    except UNREADABLE:
        return []


def varied_settings(hydra: HydraConf) -> list[str] | None:
    """The settings in which the jobs of this job's sweep differ; None if that is not known."""
    if hydra.mode != RunMode.MULTIRUN:
        return None
    try:
        overrides = _overrides(_mark(hydra))
        found = [
            name
            for key in swept_keys(hydra)
            for name in _settings_of(key, overrides[key], {*overrides})
        ]
    except UNREADABLE:
        return None
    known = settings({})
    return list(dict.fromkeys(found)) if found and all(name in known for name in found) else None


def _mark(hydra: HydraConf) -> Path:
    return Path(hydra.runtime.cwd) / hydra.sweep.dir / SWEEP_MARK


@cache
def _overrides(path: Path) -> dict[str, Override]:
    """The overrides of a sweep by key, without those of Hydra's own settings."""
    sweep = cast(DictConfig, OmegaConf.load(path))
    return {
        key.lstrip("+"): override
        for key, override in parsed_overrides(sweep).items()
        if not key.lstrip("+").startswith(("hydra.", "hydra/"))
    }


def _varies(override: Override) -> bool:
    if not override.is_sweep_override() or not override.is_discrete_sweep():
        return override.is_sweep_override()
    return len({*override.sweep_string_iterator()}) > 1


def _settings_of(key: str, override: Override, given: set[str]) -> list[str]:
    """The settings that vary with the override of `key`.

    With a group also those vary of which its options have different values. The command gives the
    settings `given` in their place.
    """
    if key not in OPTIONS:
        return [key]
    options: list[dict[str, Any]] = [
        read_option(CONF / key / f"{name}.yaml") for name in override.sweep_string_iterator()
    ]
    names = dict.fromkeys(name for option in options for name in option if name != "name")
    differing = [
        name
        for name in names
        if len({repr(option[name]) for option in options if option.get(name) is not None}) > 1
    ]
    return [key, *(f"{key}.{name}" for name in differing if f"{key}.{name}" not in given)]
