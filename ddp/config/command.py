"""The command that repeats a run, made from its settings, in the quotes of Hydra and of a shell."""

import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ddp.config.averaging import BOTH, fitting_split
from ddp.config.defaults import brought_by, default_names, default_scalars, default_values
from ddp.config.options import OPTIONS
from ddp.config.trainer import SweepingTrainer

PLAIN = re.compile(r"[\w./:@%+-]+", re.ASCII)  # neither Hydra nor a shell wants quotes around it
WORD = re.compile(
    r"(?!(null|true|false|nan|inf)$)[a-z][\w./-]*|/[\w./-]+", re.ASCII | re.IGNORECASE
)


def command_of(
    config: Mapping[str, Any],
    *,
    without: Collection[str] = (),
    seeds: Sequence[Any] = (),
) -> str:
    """The command of a run with these settings (nested, as in result.json), for a shell.

    It gives what differs from conf/, but for the scalars `without`. `seeds`: a sweep over them.
    Raises LookupError, TypeError or AttributeError for a config that is none.
    """
    brought = brought_by("trainer", config["trainer"]["name"])
    arguments = [f"{group}={config[group]['name']}" for group in _chosen(config)]
    for group in OPTIONS:
        known = default_values(group, config[group]["name"]) | brought.settings.get(group, {})
        arguments += _changed(config[group], known, f"{group}.")
    skipped = {*without, *(["seed"] if seeds else [])}
    usual = default_scalars() | brought.scalars
    scalars = {key: value for key, value in usual.items() if key not in skipped}
    arguments += _changed(config, scalars, "")
    many = ["-m", f"seed={','.join(map(str, seeds))}"] if seeds else []
    return " ".join(["python train.py", *many, *arguments])


def _chosen(config: Mapping[str, Any]) -> list[str]:
    """The groups in which the config has another option than a run has that is not told."""
    usual = default_names() | brought_by("trainer", config["trainer"]["name"]).options
    if usual["split"] == "auto":
        schema = OPTIONS["trainer"][config["trainer"]["name"]]
        split = (
            BOTH
            if issubclass(schema, SweepingTrainer)
            else fitting_split(config["aggregation"]["name"])
        )
        usual = usual | {"split": split}
    return [group for group in OPTIONS if config[group]["name"] != usual[group]]


def _changed(values: Mapping[str, Any], known: Mapping[str, Any], prefix: str) -> list[str]:
    """The arguments for those of the `known` settings that have another value."""
    return [
        argument(f"{prefix}{key}", values[key])
        for key, usual in known.items()
        if key in values and values[key] != usual
    ]


def argument(key: str, value: Any) -> str:
    """The argument that gives the key this value, as a person types it in a shell."""
    if isinstance(value, str) and (WORD.fullmatch(value) or key == "reference"):
        return f"{key}={value}"
    return in_shell(f"{key}={easily_quoted(value)}")


def easily_quoted(value: Any) -> str:
    """The value in those quotes of Hydra around which quotes of a shell are short."""
    return quoted(value, '"' if set(str(value)) & set("'\"$`\\!") else "'")


def quoted(value: Any, quote: str = "'") -> str:
    """The text that Hydra's command line reads as this value."""
    if isinstance(value, list):
        return "[" + ",".join(quoted(each, quote) for each in value) + "]"
    if isinstance(value, str):
        # OmegaConf reads ${ as a reference, and halves the backslashes before it
        plain = re.sub(r"(\\*)\$\{", lambda match: match[1] * 2 + r"\${", value)
        # Hydra halves the backslashes before a quote
        inner = re.sub(
            rf"(\\*)({quote}|\Z)", lambda match: match[1] * 2 + rf"\{quote}" * bool(match[2]), plain
        )
        return f"{quote}{inner}{quote}"
    return {"None": "null", "True": "true", "False": "false"}.get(repr(value), repr(value))


def in_shell(argument: str) -> str:
    """The argument in the quotes that a shell needs."""
    if "'" not in argument or "!" in argument:  # an interactive shell replaces ! in double quotes
        return shlex.quote(argument)
    return '"' + re.sub(r'(["$`\\])', r"\\\1", argument) + '"'
