"""Turns Hydra's configuration into the checked dataclasses."""

import dataclasses
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ddp.config.checks import all_off
from ddp.config.defaults import default_tracker
from ddp.config.options import OPTIONS
from ddp.config.schema import Config, Scalars
from ddp.config.simulate import Simulate
from ddp.config.tracker import TRACKERS, TrackerOptions, own_tracker
from ddp.errors import MISSING, ConfigError
from ddp.launch.names import run_name
from ddp.launch.unknown import NAMED, OF_THE_LAUNCH, simulated, unknown

COMPOSED = ".hydra/{}.yaml"  # Hydra's files in the directory of each job
QUESTIONS = ("advise", "inspect")  # true: the command answers, and runs nothing
MAX_EXACT = 2**53  # a float below it holds every whole number exactly


def load_config(composed: DictConfig) -> Config:
    """Makes the checked dataclasses from Hydra's configuration.

    Raises ConfigError, which names the key, the value and the allowed values.
    """
    check_packages(composed)
    values = _resolved(composed)
    if HydraConfig.initialized():
        values["name"] = run_name(composed, HydraConfig.get())
    groups = {
        group: schema(**_typed(schema, values[group], f"{group}."))
        for group in OPTIONS
        for schema in [_schema(group, values.get(group))]
    }
    rest = {
        key: value
        for key, value in values.items()
        if key not in {*OPTIONS, *OF_THE_LAUNCH, "tracker", "hydra"}
    }
    return Config(**_typed(Scalars, rest, ""), **groups, tracker=_trackers(values))


def _trackers(values: dict[Any, Any]) -> dict[str, TrackerOptions]:
    """The trackers of a run, by name. Raises ConfigError."""
    chosen, tensorboard = values.get("tracker") or {}, values.get("tensorboard")
    if not isinstance(chosen, dict):
        choices = ", ".join([*TRACKERS, "none"])
        raise ConfigError("tracker", chosen, f"choose from {choices}: tracker=[tensorboard,mlflow]")
    if tensorboard is not None and not isinstance(tensorboard, bool):
        raise ConfigError("tensorboard", tensorboard, "expected bool | None")
    trackers: dict[str, Any] = {}
    for name, given in chosen.items():
        schema = TRACKERS.get(name)
        if schema is None or not isinstance(given, dict):
            trackers[name] = own_tracker(name, given)
        else:
            trackers[name] = schema(**_typed(schema, given, f"tracker.{name}."))
    if tensorboard is False:
        trackers.pop("tensorboard", None)
    elif tensorboard and "tensorboard" not in trackers:
        trackers["tensorboard"] = default_tracker("tensorboard")
    return trackers


def check_packages(composed: DictConfig) -> None:
    """Refuses an experiment or sweep whose values Hydra has put below its name.

    Raises ConfigError, which names the file.
    """
    chosen = _choices()
    for group in NAMED:
        if isinstance(composed.get(group), DictConfig):
            raise outside_package(group, chosen.get(group) or "NAME")


def _choices() -> Any:
    """The option of each group that the command, or conf/config.yaml, has chosen."""
    return HydraConfig.get().runtime.choices if HydraConfig.initialized() else {}


def outside_package(group: str, name: str) -> ConfigError:
    """The error about an experiment or sweep without the line that names its package."""
    line = "# @package _global_"
    return ConfigError(group, name, f"{group}/{name}.yaml must begin with the line: {line}")


def load_simulate(composed: DictConfig) -> Simulate | None:
    """The machine to advise about; None without advise=true. Raises ConfigError."""
    values = _resolved(composed)
    advise = question(composed) == "advise"
    if not isinstance(values.get("simulate"), dict):
        raise ConfigError("simulate", values.get("simulate"), f"set {' or '.join(simulated())}")
    simulate = Simulate(**_typed(Simulate, values["simulate"], "simulate."))
    if not advise and simulate != Simulate(**all_off(Simulate)):
        raise ConfigError(
            "simulate", values["simulate"], "nothing is simulated without advise=true"
        )
    return simulate if advise else None


def asks(composed: DictConfig) -> bool:
    """True if the command asks a question of QUESTIONS instead of a run, be it a valid one."""
    return any(composed.get(key) not in (None, False) for key in QUESTIONS)


def question(composed: DictConfig) -> str | None:
    """The question of QUESTIONS that the command asks; None: it asks for a run.

    Raises ConfigError.
    """
    asked = []
    for key in QUESTIONS:
        value = composed.get(key, False)
        if not isinstance(value, bool):
            raise ConfigError(key, value, "expected true or false")
        asked += [key] if value else []
    if len(asked) > 1:
        raise ConfigError(asked[0], True, f"cannot go with {asked[1]}=true: ask one at a time")
    return asked[0] if asked else None


def _resolved(composed: DictConfig) -> dict[Any, Any]:
    """Plain values, with each ${...} replaced by its value."""
    try:
        return cast(dict[Any, Any], OmegaConf.to_container(composed, resolve=True))
    except OmegaConfBaseException as error:
        raise _unresolved("", error) from None


def _unresolved(prefix: str, error: OmegaConfBaseException) -> ConfigError:
    return ConfigError(
        f"{prefix}{error.full_key or 'config'}",
        MISSING,
        f"cannot be resolved: {str(error).splitlines()[0]}",
    )


def _schema(group: str, chosen: Any) -> type:
    name = chosen.get("name") if isinstance(chosen, dict) else chosen
    if not isinstance(chosen, dict) or not isinstance(name, str) or name not in OPTIONS[group]:
        raise ConfigError(group, name, f"choose one of {', '.join(OPTIONS[group])}")
    option = _choices().get(group)
    if option in OPTIONS[group] and option != name:
        raise ConfigError(f"{group}.name", name, f"write {group}={name}, which sets all the rest")
    return OPTIONS[group][name]


def _typed(schema: type, values: dict[Any, Any], prefix: str) -> dict[str, Any]:
    """The values of the fields of the dataclass `schema`. Raises ConfigError.

    OmegaConf checks and converts their types.
    """
    wanted = {field.name: field.type for field in dataclasses.fields(schema)}
    for key, value in values.items():
        if key not in wanted:
            raise ConfigError(f"{prefix}{key}", value, unknown(f"{prefix}{key}"))
    typed = OmegaConf.structured(schema)
    for key, kind in wanted.items():
        described = kind.__name__ if isinstance(kind, type) else str(kind)
        if values.get(key, MISSING) == MISSING:
            raise ConfigError(f"{prefix}{key}", MISSING, f"is not set; expected {described}")
        try:
            typed[key] = values[key]
        # OverflowError: a whole number that no float can hold
        except (OmegaConfBaseException, OverflowError):
            raise _wrong_type(f"{prefix}{key}", values[key], described) from None
    try:
        return cast(
            dict[str, Any], OmegaConf.to_container(typed, resolve=True, throw_on_missing=True)
        )
    except OmegaConfBaseException as error:  # a text with a ${ that is no reference
        raise _unresolved(prefix, error) from None


def _wrong_type(key: str, value: Any, expected: str) -> ConfigError:
    """The error about a value of another type, with the text to write where that is clear."""
    whole = isinstance(value, float) and value.is_integer() and abs(value) <= MAX_EXACT
    if whole and "int" in expected:
        return ConfigError(key, repr(value), f"expected {expected}; write {key}={int(value)}")
    if isinstance(value, list | dict) and "str" in expected:
        hint = f"a text in brackets needs quotes, as in \"{key}='[1]'\""
        return ConfigError(key, value, f"expected {expected}; {hint}")
    if isinstance(value, str) and expected.startswith("list"):
        return ConfigError(key, value, f"expected a list; write {key}=[{value}]")
    return ConfigError(key, value, f"expected {expected}")
