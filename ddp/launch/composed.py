"""Turns Hydra's configuration into the checked dataclasses, and Hydra's errors into messages."""

import dataclasses
import difflib
import re
import sys
from typing import Any, cast

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ddp.config.checks import all_off
from ddp.config.options import OPTIONS
from ddp.config.schema import Config, Scalars
from ddp.config.simulate import Simulate
from ddp.errors import MISSING, ConfigError

COMPOSED = ".hydra/{}.yaml"  # Hydra's files in the directory of each job
# keys of conf/config.yaml that are no settings of a run
OF_THE_LAUNCH = ("resume", "sweep_resume", "advise", "simulate")


def load_config(composed: DictConfig) -> Config:
    """Makes the checked dataclasses from Hydra's configuration.

    Raises ConfigError, which names the key, the value and the allowed values.
    """
    values = _resolved(composed)
    groups = {
        group: schema(**_typed(schema, values[group], f"{group}."))
        for group in OPTIONS
        for schema in [_schema(group, values.get(group))]
    }
    rest = {
        key: value
        for key, value in values.items()
        if key not in {*OPTIONS, *OF_THE_LAUNCH, "hydra"}
    }
    return Config(**_typed(Scalars, rest, ""), **groups)


def load_simulate(composed: DictConfig) -> Simulate | None:
    """The machine to advise about; None without advise=true. Raises ConfigError."""
    values = _resolved(composed)
    advise = values.get("advise", False)
    if not isinstance(advise, bool):
        raise ConfigError("advise", advise, "expected true or false")
    if not isinstance(values.get("simulate"), dict):
        raise ConfigError("simulate", values.get("simulate"), f"set {' or '.join(_simulated())}")
    simulate = Simulate(**_typed(Simulate, values["simulate"], "simulate."))
    if not advise and simulate != Simulate(**all_off(Simulate)):
        raise ConfigError(
            "simulate", values["simulate"], "nothing is simulated without advise=true"
        )
    return simulate if advise else None


def wants_advice(composed: DictConfig) -> bool:
    """True if the command asks for advice instead of a run."""
    return composed.get("advise") not in (None, False)


def _simulated() -> list[str]:
    return [f"simulate.{name}" for name in _fields(Simulate)]


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
    return OPTIONS[group][name]


def _typed(schema: type, values: dict[Any, Any], prefix: str) -> dict[str, Any]:
    """The values of the fields of the dataclass `schema`. Raises ConfigError.

    OmegaConf checks and converts their types.
    """
    wanted = {field.name: field.type for field in dataclasses.fields(schema)}
    for key, value in values.items():
        if key not in wanted:
            raise ConfigError(f"{prefix}{key}", value, _unknown(f"{prefix}{key}"))
    typed = OmegaConf.structured(schema)
    for key, kind in wanted.items():
        described = kind.__name__ if isinstance(kind, type) else str(kind)
        if values.get(key, MISSING) == MISSING:
            raise ConfigError(f"{prefix}{key}", MISSING, f"is not set; expected {described}")
        try:
            typed[key] = values[key]
        # OverflowError: a whole number that no float can hold
        except (OmegaConfBaseException, OverflowError):
            raise ConfigError(f"{prefix}{key}", values[key], f"expected {described}") from None
    try:
        return cast(
            dict[str, Any], OmegaConf.to_container(typed, resolve=True, throw_on_missing=True)
        )
    except OmegaConfBaseException as error:  # a text with a ${ that is no reference
        raise _unresolved(prefix, error) from None


def _unknown(key: str) -> str:
    """The message about a key that nothing reads."""
    group, _, name = key.partition(".")
    owners = [
        option for option, schema in OPTIONS.get(group, {}).items() if name in _fields(schema)
    ]
    if owners:
        return f"the chosen {group} has no such setting; {group}={','.join(owners)} does"
    inner = [
        f"{group}.{name}"
        for group, options in OPTIONS.items()
        for schema in options.values()
        for name in _fields(schema)
    ]
    close = difflib.get_close_matches(
        key,
        [
            *_fields(Scalars),
            *OPTIONS,
            *OF_THE_LAUNCH,
            *_simulated(),
            "experiment",
            "sweep",
            *dict.fromkeys(inner),
        ],
        n=3,
    )
    known = f"known here: {', '.join(_fields(Scalars))}, and the groups {', '.join(OPTIONS)}"
    hint = f"did you mean {' or '.join(close)}?" if close else known
    return f"there is no such setting; {hint} (python train.py --help lists all)"


def _fields(schema: type) -> list[str]:
    return [field.name for field in dataclasses.fields(schema)]


def composition_message(error: Exception) -> str | None:
    """The message about Hydra's `error`; None if `error` is of another kind."""
    # Hydra says this about group=null
    if isinstance(error, ValueError) and "Config group override must be" in str(error):
        groups = [argument for argument in sys.argv[1:] if argument.partition("=")[0] in OPTIONS]
        return f"a group cannot be null, it needs one of its options: look at {' '.join(groups)}"
    if not isinstance(error, HydraException | OmegaConfBaseException):
        return None
    unknown = re.search(r"Could not override '([^']+)'", str(error))
    if unknown and "No match in the defaults list" not in str(error):
        return f"{unknown[1]}: {_unknown(unknown[1])}"
    parts = [str(error)]
    if isinstance(error.__cause__, OmegaConfBaseException):
        parts.append(str(error.__cause__))
    if "LexerNoViableAlt" in str(error):
        parts.append(
            "put such a value in quotes within the quotes of your shell, as in"
            " \"data.path='~/x.csv'\""
        )
    return re.sub(r"\n\s*\n", "\n", "\n".join(parts).strip())
