"""Fields of an options dataclass, with the rule that their values keep.

    @options
    class Model(Checked):
        PREFIX = "model."

        name: str
        dim: int = at_least(1)
        init_std: float = above(0)

A field has no default: conf/ holds the values. Its rule is metadata of the field; `Checked` applies
the rules of all fields when an instance is made.
"""

import dataclasses
import math
import multiprocessing
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeVar, dataclass_transform

from ddp.errors import ConfigError

START_METHODS = ("spawn", "forkserver")
DECIDES = object()  # for `off`: the setting decides the numbers of a run, whatever its value

# takes a key and its value; raises a ConfigError that names the allowed values
Rule = Callable[[str, Any], None]
Class = TypeVar("Class")


def setting(
    rule: Rule | None = None,
    *,
    off: Any = DECIDES,
    convert: Callable[[Any], Any] | None = None,
) -> Any:
    """A field with a rule for its values; null passes where the type allows it.

    `convert` makes the value of the field from a value that keeps the rule.

    `off`: the value that leaves the setting without effect. Only a setting that decides no number
    of a run has one. A run may resume with another value of such a setting, and the reference has
    it off.
    """
    metadata = {"rule": rule, "convert": convert}
    return dataclasses.field(metadata=metadata | ({} if off is DECIDES else {"off": off}))


def one_of(allowed: Collection[str], *, off: Any = DECIDES) -> Any:
    """A field for one of these names."""

    def rule(key: str, value: str) -> None:
        if value not in allowed:
            raise ConfigError(key, value, f"choose one of {', '.join(allowed)}")

    return setting(rule, off=off)


def at_least(least: int, *, most: int | None = None, off: Any = DECIDES) -> Any:
    """A field for a whole number within these bounds."""

    def rule(key: str, value: int) -> None:
        if value < least:
            raise ConfigError(key, value, f"must be a whole number of at least {least}")
        if most is not None and value > most:
            raise ConfigError(key, value, f"must be at most {most}")

    return setting(rule, off=off)


def number(
    *,
    above: float = -math.inf,
    least: float = -math.inf,
    below: float = math.inf,
    off: Any = DECIDES,
) -> Any:
    """A field for a finite number within these bounds; `above` and `below` are excluded."""
    bounds = [f"above {above:g}"] * (above > -math.inf)
    bounds += [f"of at least {least:g}"] * (least > -math.inf)
    bounds += [f"below {below:g}"] * (below < math.inf)
    allowed = "must be a finite number " + " and ".join(bounds)

    def rule(key: str, value: float) -> None:
        if not (math.isfinite(value) and above < value < below and value >= least):
            raise ConfigError(key, value, allowed)

    return setting(rule, off=off)


def above(bound: float, *, below: float = math.inf, off: Any = DECIDES) -> Any:
    """A field for a finite number above the bound."""
    return number(above=bound, below=below, off=off)


def file_name() -> Any:
    """A field for the name of a file or folder, or for a list of them; it expands ~."""

    def rule(key: str, value: str | list[str]) -> None:
        for name in [value] if isinstance(value, str) else value:
            if "\0" in name:
                raise ConfigError(key, repr(name), "a file name cannot hold a NUL character")

    def convert(value: str | list[str]) -> str | list[str]:
        return expanded(value) if isinstance(value, str) else list(map(expanded, value))

    return setting(rule, convert=convert)


def expanded(name: str) -> str:
    """The name with the home directory in the place of ~ or ~user."""
    return os.path.expanduser(name)  # noqa: PTH111 - Path would drop a ./ or / as well


def safe_start_method() -> Any:
    """A field for a safe start method that this platform has."""

    def rule(key: str, value: str) -> None:
        reason = ""
        if value == "fork":
            reason = (
                "a fork of a process in which threads of torch, numba or TensorBoard run may hang; "
            )
        elif value in START_METHODS:
            reason = "this platform has no such thing; "
        if value not in start_methods():
            raise ConfigError(key, value, f"{reason}choose one of {', '.join(start_methods())}")

    return setting(rule)


def start_methods() -> list[str]:
    """The safe start methods of this platform; the last one starts workers fastest."""
    return [method for method in START_METHODS if method in multiprocessing.get_all_start_methods()]


@dataclass_transform(
    kw_only_default=True,
    field_specifiers=(setting, one_of, at_least, number, above, file_name, safe_start_method),
)
def options(made: type[Class]) -> type[Class]:
    """Makes a class a dataclass with slots, whose arguments are given by name."""
    return dataclass(slots=True, kw_only=True)(made)


@options
class Checked:
    """Base of all options: making an instance applies the rules to its values.

    Raises ConfigError, which names the field with `PREFIX` before it.
    """

    PREFIX = ""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            rule, value = field.metadata.get("rule"), getattr(self, field.name)
            if rule is not None and value is not None:
                rule(f"{self.PREFIX}{field.name}", value)
                if convert := field.metadata.get("convert"):
                    setattr(self, field.name, convert(value))
        self.check()

    def check(self) -> None:
        """Applies the rules that join fields. Raises ConfigError."""


def all_off(schema: type[Checked]) -> dict[str, Any]:
    """Field -> the value that leaves it without effect, for the fields that have one."""
    return {
        field.name: field.metadata["off"]
        for field in dataclasses.fields(schema)
        if "off" in field.metadata
    }
