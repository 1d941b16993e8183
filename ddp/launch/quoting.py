"""Puts a text into the quotes of Hydra's command line, and into those of a shell."""

import re
import shlex
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

PLAIN = re.compile(r"[\w./:@%+-]+", re.ASCII)  # neither Hydra nor a shell wants quotes around it
# `resumed_arguments` reads this value before Hydra does, and the directory of a job has = and ,
READ_AS_IT_IS = {"resume": re.compile(r"[\w./:@%+=,-]+", re.ASCII)}
QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
BARE = r"[^,\[\](){}'\"\\]*"
# a quoted text, or a whole value or element that has a ~ and no quotes
TILDE = re.compile(rf"{QUOTED}|(^|[,\[(])({BARE}~{BARE})(?=[,\])]|$)", re.DOTALL)
SIGN = re.compile(r"[,;#|\"'!&*^$]")  # a separator, a quote, the beginning of a comment
ELEMENT = re.compile(rf"(?:{QUOTED}|[^,])+", re.DOTALL)


def quoted(value: Any, quote: Quote = Quote.single) -> str:
    """The text that Hydra's command line reads as this value."""
    if isinstance(value, list):
        return "[" + ",".join(map(quoted, value)) + "]"
    if isinstance(value, str):
        # OmegaConf reads ${ as a reference, and halves the backslashes before it
        plain = re.sub(r"(\\*)\$\{", lambda match: match[1] * 2 + r"\${", value)
        return QuotedString(plain, quote).with_quotes()
    return {"None": "null", "True": "true", "False": "false"}.get(repr(value), repr(value))


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
    return in_shell(f"{key}={_elements_quoted(value) if several else _easily_quoted(value)}")


def _elements_quoted(text: str) -> str:
    elements = [element.strip() for element in ELEMENT.findall(text)]
    return ",".join(
        element if _reads(f"key={element}") else _easily_quoted(element) for element in elements
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
    return in_shell(f"{key}={text if plain else _easily_quoted(text)}")


def _easily_quoted(text: str) -> str:
    """The text in those quotes of Hydra around which quotes of a shell are short."""
    return quoted(text, Quote.double if set(text) & set("'\"$`\\!") else Quote.single)


def in_shell(argument: str) -> str:
    """The argument in the quotes that a shell needs."""
    if "'" not in argument or "!" in argument:  # an interactive shell replaces ! in double quotes
        return shlex.quote(argument)
    return '"' + re.sub(r'(["$`\\])', r"\\\1", argument) + '"'
