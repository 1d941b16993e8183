"""Checks of single values: each raises a ConfigError that names the key and says what is
allowed.
"""

import math
import multiprocessing
from collections.abc import Collection

from ddp.errors import ConfigError

START_METHODS = ("spawn", "forkserver")


def one_of(key: str, value: str, allowed: Collection[str]) -> None:
    """Raises ConfigError unless the value is one of `allowed`."""
    if value not in allowed:
        raise ConfigError(key, value, f"choose one of {', '.join(allowed)}")


def at_least(key: str, value: int, least: int) -> None:
    """Raises ConfigError for a smaller value."""
    if value < least:
        raise ConfigError(key, value, f"must be a whole number of at least {least}")


def number(
    key: str,
    value: float,
    *,
    above: float = -math.inf,
    least: float = -math.inf,
    below: float = math.inf,
) -> None:
    """Raises ConfigError for NaN, infinity, and a value outside the bounds; `above` and `below` are
    excluded.
    """
    if not (math.isfinite(value) and above < value < below and value >= least):
        bounds = [f"above {above:g}"] * (above > -math.inf) + [f"of at least {least:g}"] * (
            least > -math.inf
        )
        bounds += [f"below {below:g}"] * (below < math.inf)
        raise ConfigError(key, value, "must be a finite number " + " and ".join(bounds))


def file_name(key: str, value: str | None) -> None:
    """Raises ConfigError for what no file or folder can be called; None passes."""
    if value is not None and "\0" in value:
        raise ConfigError(key, repr(value), "a file name cannot hold a NUL character")


def start_methods() -> list[str]:
    """Those of START_METHODS that this platform has; the last one starts workers fastest."""
    return [method for method in START_METHODS if method in multiprocessing.get_all_start_methods()]


def check_start_method(value: str) -> None:
    """Raises ConfigError for a way to start processes that is not safe, or that there is not
    here.
    """
    reason = ""
    if value == "fork":
        reason = (
            "a fork of a process in which threads of torch, numba or TensorBoard run may hang; "
        )
    elif value in START_METHODS:
        reason = "this platform has no such thing; "
    if value not in start_methods():
        raise ConfigError(
            "backend.start_method", value, f"{reason}choose one of {', '.join(start_methods())}"
        )
