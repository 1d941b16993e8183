"""Turns the errors of Hydra and OmegaConf into messages that say what to write."""

import re
import sys
import traceback

from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from ddp.config.command import in_shell, quoted
from ddp.config.options import OPTIONS
from ddp.launch.composed import outside_package
from ddp.launch.quoting import requoted
from ddp.launch.unknown import NAMED, unknown, unknown_option

MISSING_OPTION = re.compile(
    r"Could not find '([^'/]+)/([^']+)'\n+Available options in '\1':\n((?:\t\S+\n)+)"
)
ONE_FORM = "a setting is written KEY=VALUE, as in workers=3"


def composition_message(error: Exception) -> str | None:
    """The message about Hydra's `error`; None if `error` is of another kind."""
    if isinstance(error, HydraException | OmegaConfBaseException):
        return _message(error)
    if isinstance(error, ValueError) and _raised_by_hydra(error):
        return _of_value_error(str(error))
    return None


def _message(error: HydraException | OmegaConfBaseException) -> str:
    text = str(error)
    if isinstance(error, OverrideParseException):
        return _unreadable(error.override, text)
    if several := re.match(r"Ambiguous value for argument '(.*)'$", text, re.MULTILINE):
        return _several_values(several[1])
    if about_a_file := _outside_package(text) or _missing_option(text):
        return about_a_file
    refused = re.search(r"Could not override '([^']+)'", text)
    if refused and "No match in the defaults list" not in text:
        return f"{refused[1]}: {unknown(refused[1])}"
    if "does not support sweep type : INTERVAL_SWEEP" in text:
        return "an interval needs a sweeper that chooses from it: hydra/sweeper=optuna"
    parts = [text]
    if isinstance(error.__cause__, OmegaConfBaseException):
        parts.append(str(error.__cause__))
    return _without_blank_lines("\n".join(parts))


def _unreadable(argument: str, text: str) -> str:
    """The message about an argument that Hydra's grammar refuses."""
    reason = _without_blank_lines(text.partition("\nSee https:")[0])
    if argument not in reason:
        reason = f"{argument}: {reason}"
    again = requoted(argument, several="--multirun" in sys.argv)
    if again is None:
        return f"{reason}\n{ONE_FORM}"
    return f"{reason}\nput a text in quotes within the quotes of your shell: {again}"


def _several_values(argument: str) -> str:
    key, _, values = argument.partition("=")
    return (
        f"{argument}: a run has one value of a setting; write -m (--multirun) for a sweep over"
        f" these, {in_shell(f'{key}=[{values}]')} for a list, or"
        f" {in_shell(f'{key}={quoted(values)}')} for a text with a comma"
    )


def _outside_package(text: str) -> str | None:
    """The message about an experiment or sweep that overrides a group below its own name."""
    found = re.search(r"In '(experiment|sweep)/([^']+)': Could not override '[^']*@\1\b", text)
    return str(outside_package(found[1], found[2])) if found else None


def _missing_option(text: str) -> str | None:
    """The message about an option that its group does not have."""
    found = MISSING_OPTION.search(text)
    return unknown_option(found[1], found[2], found[3].split()) if found else None


def _of_value_error(text: str) -> str:
    # Hydra says this about group=null, and about =3
    if "Config group override must be" not in text:
        return text
    pairs = [argument.partition("=") for argument in sys.argv[1:]]
    groups = [
        "".join(pair)
        for pair in pairs
        if pair[0] in {*OPTIONS, *NAMED, "tracker"} and "null" in pair[2]
    ]
    if not groups:
        return ONE_FORM
    return f"a group cannot be null, it needs one of its options: look at {' '.join(groups)}"


def _without_blank_lines(text: str) -> str:
    return re.sub(r"\n\s*\n", "\n", text.strip())


def _raised_by_hydra(error: Exception) -> bool:
    frames = list(traceback.walk_tb(error.__traceback__))
    return bool(frames) and frames[-1][0].f_globals["__name__"].startswith("hydra.")
