"""Puts the arguments of `python train.py` into the form that Hydra reads."""

import argparse
import re
import sys
from typing import Any, NoReturn

from hydra._internal.utils import get_args_parser

from ddp.config.checks import expanded
from ddp.errors import ConfigError, UserError
from ddp.launch.quoting import sign_quoted, tilde_quoted
from ddp.launch.resume import resumed_arguments

COMMANDS = ("run", "multirun", "cfg", "shell_completion", "info", "hydra_help")
# groups of Hydra's own; a dot in the place of the slash would set the group to a text
HYDRA_GROUP = re.compile(
    r"\+{0,2}hydra\.(launcher|sweeper|job_logging|hydra_logging|help|hydra_help|output|env)=(\w+)"
)

if sys.version_info >= (3, 14):
    # Hydra 1.3 gives argparse a help text that is no string, and from this version on argparse
    # looks for a % in it.
    argparse.ArgumentParser._check_help = lambda parser, action: None


def hydra_arguments(arguments: list[str]) -> list[str]:
    """The same command: flags first, quotes around ~, and the settings of `resume=RUN_DIR`.

    Raises UserError for arguments that Hydra would refuse without saying what to write.
    """
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]
    flags = vars(parser.parse_intermixed_args(arguments))
    overrides = flags.pop("overrides")
    _check(flags, overrides)
    readable = [sign_quoted(tilde_quoted(override)) for override in overrides]
    overrides = resumed_arguments(readable, sweep=flags["multirun"])
    return [*_spelt(flags), *overrides]


def _refuse(message: str) -> NoReturn:
    """Takes the place of argparse's, which prints all flags."""
    if message.startswith("unrecognized arguments"):
        message += "; settings have no dashes, as in workers=3"
    raise UserError(f"{message} (--help lists the settings, --hydra-help the flags)")


def _check(flags: dict[str, Any], overrides: list[str]) -> None:
    commands = [f"--{name.replace('_', '-')}" for name in COMMANDS if flags[name]]
    if "--multirun" in commands and "--cfg" in commands:
        raise UserError(
            f"--cfg {flags['cfg']} shows the configuration of one run: leave out -m (--multirun)"
        )
    if len(commands) > 1:
        raise UserError(f"{' and '.join(commands)} are different commands: write one of them")
    if flags["hydra_help"] and overrides:
        raise UserError(f"--hydra-help shows no settings: leave out {' '.join(overrides)}")
    for flag, form in {"resolve": "--resolve", "package": f"--package {flags['package']}"}.items():
        if flags[flag] and not flags["cfg"]:
            raise UserError(f"--{flag} belongs to --cfg: write --cfg job {form}")
    for override in overrides:
        if match := HYDRA_GROUP.fullmatch(override):
            raise ConfigError(
                f"hydra.{match[1]}",
                match[2],
                f"an option has a slash before it: write hydra/{match[1]}={match[2]}",
            )


def _spelt(flags: dict[str, Any]) -> list[str]:
    """The flags that were given, each as one argument."""
    return [
        f"--{name.replace('_', '-')}" + ("" if value is True else f"={expanded(value)}")
        for name, value in flags.items()
        if value not in (None, False)
    ]
