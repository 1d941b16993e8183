"""Puts a text into the quotes of Hydra's command line, and into those of a shell."""

import re

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ddp.config.command import PLAIN, easily_quoted, in_shell, quoted

# `resumed_arguments` reads this value before Hydra does, and the directory of a job has = and ,
READ_AS_IT_IS = {"resume": re.compile(r"[\w./:@%+=,-]+", re.ASCII)}
QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
BARE = r"[^,\[\](){}'\"\\]*"
# a quoted text, or a whole value or element that has a ~ and no quotes
TILDE = re.compile(rf"{QUOTED}|(^|[,\[(])({BARE}~{BARE})(?=[,\])]|$)", re.DOTALL)
SIGN = re.compile(r"[,;#|\"'!&*^$]")  # a separator, a quote, the beginning of a comment
ELEMENT = re.compile(rf"(?:{QUOTED}|[^,])+", re.DOTALL)


def tilde_quoted(argument: str) -> str:
    """The argument with quotes around each text that has a ~: Hydra reads no ~ without them."""
    key, equals, value = argument.partition("=")
    with_quotes = TILDE.sub(
        lambda match: match[0] if match[2] is None else match[1] + quoted(match[2].strip()), value
    )
    return f"{key}{equals}{with_quotes}"


def sign_quoted(argument: str) -> str:
    """The argument with quotes around a value of one sign, as in data.decimal=, or data.comment=#.

    Hydra reads no such sign without them.
    """
    key, equals, value = argument.partition("=")
    return f"{key}={quoted(value)}" if equals and SIGN.fullmatch(value) else argument


def requoted(argument: str, *, several: bool) -> str | None:
    """The text to type in a shell instead of an argument that Hydra cannot read.

    `several`: the value lists the values of a sweep. None: Hydra cannot read the key.
    """
    key, equals, value = argument.partition("=")
    if not equals or not _reads(f"{key}="):
        return None
    if value.startswith("[") and value.endswith("]"):
        return in_shell(f"{key}=[{_elements_quoted(value[1:-1])}]")
    return in_shell(f"{key}={_elements_quoted(value) if several else easily_quoted(value)}")


def _elements_quoted(text: str) -> str:
    elements = [element.strip() for element in ELEMENT.findall(text)]
    return ",".join(
        element if _reads(f"key={element}") else easily_quoted(element) for element in elements
    )


def _reads(argument: str) -> bool:
    """True if Hydra can read the argument."""
    try:
        OverridesParser.create().parse_override(argument)
    except HydraException:
        return False
    return True


def text_of(argument: str) -> str:
    """The text that an argument gives its key, or all after the = if Hydra reads no text there."""
    text = argument.partition("=")[2]
    try:
        value = OmegaConf.create([OverridesParser.create().parse_override(argument).value()])[0]
    except (HydraException, OmegaConfBaseException):
        return text
    return value if isinstance(value, str) else text


def typed(key: str, text: str) -> str:
    """The argument that gives the key this text, as a person types it in a shell."""
    plain = READ_AS_IT_IS.get(key, PLAIN).fullmatch(text)
    return in_shell(f"{key}={text if plain else easily_quoted(text)}")
