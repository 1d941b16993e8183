"""Makes the trackers that a config names. Nothing of a tracker is imported unless it is chosen."""

import importlib
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ddp.config.schema import Config
from ddp.config.tracker import (
    TARGET,
    MlflowOptions,
    TensorBoardOptions,
    TrackerOptions,
    WandbOptions,
)
from ddp.errors import ConfigError
from ddp.tracking.tracker import Guarded, RunFacts, Tracker

if TYPE_CHECKING:
    from rich.console import Console

PACKAGES = ("mlflow", "wandb")  # trackers whose package has their name, and is an extra


def check_trackers(chosen: Mapping[str, TrackerOptions]) -> None:
    """Refuses trackers that this Python cannot import. Raises ConfigError."""
    for name, options in chosen.items():
        if isinstance(options, dict):
            _own_class(name, options)
        elif name in PACKAGES and find_spec(name) is None:
            install = f"pip install -c constraints.txt -e '.[{name}]'"
            raise ConfigError("tracker", name, f"{name} is not installed; install it: {install}")


def make_display(config: Config, console: "Console") -> Tracker:
    """The tracker that `display` in the config names.

    With `auto` it is bars on a terminal, and lines where the output is piped, or where the
    environment asks for plain text.
    """
    from ddp.tracking.terminal import Lines, wants_plain_text

    kind = config.display
    if kind == "auto":
        kind = "bars" if console.is_interactive and not wants_plain_text() else "lines"
    if kind == "bars":
        from ddp.tracking.bars import Bars

        return Bars(config, console)
    return Lines(config, console) if kind == "lines" else Tracker()


def make_trackers(chosen: Mapping[str, TrackerOptions], run: RunFacts) -> list[Tracker]:
    """The chosen trackers of a run. Raises ConfigError."""
    check_trackers(chosen)
    return [Guarded(name, _make(name, options, run)) for name, options in chosen.items()]


def _make(name: str, options: TrackerOptions, run: RunFacts) -> Tracker:
    match options:
        case TensorBoardOptions():
            from ddp.tracking.tensorboard import TensorBoard

            return TensorBoard(run, options.detail)
        case MlflowOptions():
            from ddp.tracking.mlflow import Mlflow

            return Mlflow(run, options)
        case WandbOptions():
            from ddp.tracking.wandb import Wandb

            return Wandb(run, options)
        case dict():
            return _make_own(name, options, run)


def _make_own(name: str, settings: dict[str, Any], run: RunFacts) -> Tracker:
    arguments = {key: value for key, value in settings.items() if key != TARGET}
    try:
        return _own_class(name, settings)(run, **arguments)  # type: ignore[call-arg]
    except ConfigError:
        raise
    except Exception as error:
        given = ", ".join(["the run", *(f"{key}={value!r}" for key, value in arguments.items())])
        reason = f"cannot be made with ({given}): {type(error).__name__}: {error}"
        raise ConfigError(f"tracker.{name}.{TARGET}", settings[TARGET], reason) from error


def _own_class(name: str, settings: Mapping[str, Any]) -> type[Tracker]:
    """The class at the import path of the user's settings. Raises ConfigError."""
    path = settings[TARGET]

    def refusal(reason: str) -> ConfigError:
        return ConfigError(f"tracker.{name}.{TARGET}", path, reason)

    module, _, attribute = path.rpartition(".")
    if not module or not all(part.isidentifier() for part in path.split(".")):
        raise refusal("expected the import path of a class, as in my_trackers.MyTracker")
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except Exception as error:  # the module is the user's, and may raise anything
        where = "Python looks in the folder of train.py and in those of PYTHONPATH"
        reason = f"cannot be imported: {type(error).__name__}: {error}"
        raise refusal(f"{reason} ({where})") from error
    if found is None:
        raise refusal(f"the module {module} has no {attribute}")
    if not (isinstance(found, type) and issubclass(found, Tracker)):
        raise refusal("is no subclass of ddp.tracking.tracker.Tracker")
    return found
