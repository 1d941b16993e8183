"""The options of `tracker`: programs that get the figures of a run while it goes on.

A run may have several at once. A class of the user's own is a mapping: the import path of the class
as `_target_`, and the arguments of the class.
"""

from collections.abc import Mapping
from typing import Any

from ddp.config.checks import Checked, one_of, options
from ddp.errors import ConfigError

TARGET = "_target_"
DETAILS = ("few", "all")
MODES = ("offline", "online")
PLAIN = (str, int, float, bool, type(None))  # values that config.yaml and result.json can hold


@options
class TensorBoardOptions(Checked):
    """An event file in the run directory."""

    PREFIX = "tracker.tensorboard."

    detail: str = one_of(DETAILS)


@options
class MlflowOptions(Checked):
    """A run of MLflow."""

    PREFIX = "tracker.mlflow."

    uri: str
    experiment: str


@options
class WandbOptions(Checked):
    """A run of Weights & Biases."""

    PREFIX = "tracker.wandb."

    project: str
    mode: str = one_of(MODES)


# name -> the dataclass of its settings
TRACKERS: dict[str, type[Checked]] = {
    "tensorboard": TensorBoardOptions,
    "mlflow": MlflowOptions,
    "wandb": WandbOptions,
}
TrackerOptions = TensorBoardOptions | MlflowOptions | WandbOptions | dict[str, Any]


def own_tracker(name: str, values: Any) -> dict[str, Any]:
    """The settings of a class of the user's own. Raises ConfigError if they are not."""
    if not isinstance(values, dict) or not isinstance(values.get(TARGET), str):
        known = ", ".join(TRACKERS)
        hint = f"choose from {known}, or name your class: +tracker.{name}.{TARGET}=MODULE.CLASS"
        raise ConfigError(f"tracker.{name}", values, hint)
    if not all(isinstance(key, str) and _is_plain(value) for key, value in values.items()):
        raise ConfigError(f"tracker.{name}", values, "holds more than texts, numbers and lists")
    return values


def _is_plain(value: Any) -> bool:
    return all(map(_is_plain, value)) if isinstance(value, list) else isinstance(value, PLAIN)


def tracker_names(config: Mapping[str, Any]) -> str | None:
    """The names of a config's trackers, as one text; None if it has none of these keys.

    `config`: nested dicts. Runs of version 0.1 have `tensorboard` in the place of `tracker`.
    """
    if isinstance(chosen := config.get("tracker"), dict):
        return ",".join(map(str, chosen)) or "none"
    was = config.get("tensorboard")
    return None if was is None else "tensorboard" if was else "none"
