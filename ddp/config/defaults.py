"""The values in conf/, read without Hydra: for --help, and for the config of a default run."""

from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, cast, get_args

import yaml

from ddp.config.checks import Checked
from ddp.config.options import OPTIONS
from ddp.config.schema import Config, Scalars
from ddp.config.tracker import TRACKERS, TrackerOptions

CONF = Path(__file__).parent.parent.parent / "conf"


def read_option(path: Path) -> dict[str, Any]:
    """The values in the file of an option: its own, then those of the files that it extends."""
    own = _read(path)
    bases = [name for name in own.pop("defaults", ()) if isinstance(name, str) and name != "_self_"]
    # a file with the package _global_ has the option's own values under the name of the group
    own = dict(own.get(path.parent.name, own))
    for name in bases:
        own |= read_option(path.parent / f"{name.removesuffix('@_here_')}.yaml") | own
    return own


@dataclass(frozen=True, slots=True)
class Brought:
    """The values outside of its group that an option brings with it.

    | field      | meaning                                             |
    |------------|-----------------------------------------------------|
    | `scalars`  | scalar -> its value                                 |
    | `options`  | other group -> the option                           |
    | `settings` | other group -> settings of its option -> their value |
    """

    scalars: dict[str, Any]
    options: dict[str, str]
    settings: dict[str, dict[str, Any]]


@cache
def brought_by(group: str, name: str) -> Brought:
    """The values that the file of an option gives, if its package is _global_."""
    values = _read(CONF / group / f"{name}.yaml")
    entries = [entry for entry in values.pop("defaults", ()) if isinstance(entry, dict)]
    if group not in values:
        return Brought({}, {}, {})
    return Brought(
        scalars={key: value for key, value in values.items() if key not in OPTIONS},
        options={
            key.removeprefix("override /"): option
            for entry in entries
            for key, option in entry.items()
        },
        settings={key: values[key] for key in OPTIONS if key in values and key != group},
    )


@cache
def default_scalars() -> dict[str, Any]:
    """Scalar -> its value in conf/config.yaml."""
    return _typed(Scalars, _read(CONF / "config.yaml"))


@cache
def default_tracker(name: str) -> TrackerOptions:
    """The settings of a tracker, with the values of its file."""
    schema = TRACKERS[name]
    values = read_option(CONF / "tracker" / f"{name}.yaml")
    return cast(TrackerOptions, schema(**_typed(schema, values)))


@cache
def default_values(group: str, name: str) -> dict[str, Any]:
    """Setting of an option -> its value in the file of the option."""
    return _typed(OPTIONS[group][name], read_option(CONF / group / f"{name}.yaml"))


@cache
def default_option(group: str, name: str) -> Any:
    """The option of a group, with the values of its file."""
    return OPTIONS[group][name](**default_values(group, name))


@cache
def default_names() -> dict[str, Any]:
    """Group -> the option that conf/config.yaml chooses, or the list of them."""
    defaults = [entry for entry in _read(CONF / "config.yaml")["defaults"] if entry != "_self_"]
    return {group: name for entry in defaults for group, name in entry.items()}


def default_config(**chosen: str) -> Config:
    """The config of `python train.py` when only options of groups are chosen."""
    brought = brought_by("trainer", chosen.get("trainer") or default_names()["trainer"])
    options = default_names() | brought.options | chosen
    groups = {
        group: replace(default_option(group, options[group]), **brought.settings.get(group, {}))
        for group in OPTIONS
    }
    scalars = default_scalars() | brought.scalars
    trackers = {name: default_tracker(name) for name in options["tracker"]}
    return Config(**scalars, **groups, tracker=trackers)


def _read(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")) or {})  # {}: only comments


def _typed(schema: type[Checked], values: dict[str, Any]) -> dict[str, Any]:
    """The values of the fields, as floats where the schema has floats.

    YAML reads 1e-3 as a text, and 3 as a whole number.
    """
    return {
        field.name: float(values[field.name])
        if float in (field.type, *get_args(field.type)) and values[field.name] is not None
        else values[field.name]
        for field in fields(schema)
    }
