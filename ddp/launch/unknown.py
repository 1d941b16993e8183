"""Messages about settings and options that do not exist, with those that were probably meant."""

import dataclasses
import difflib
from collections.abc import Iterable

from ddp.config.checks import all_off
from ddp.config.options import OPTIONS
from ddp.config.schema import Scalars
from ddp.config.simulate import Simulate
from ddp.config.tracker import TRACKERS

# keys of conf/config.yaml that are no settings of a run
OF_THE_LAUNCH = ("resume", "sweep_resume", "advise", "simulate", "inspect", "tensorboard")
NAMED = ("experiment", "sweep")  # groups whose files set values anywhere
DEVICES = ("device", "devices", "cuda", "gpu", "gpus", "num_gpus", "accelerator")
HELP = "(python train.py --help lists all)"


def unknown(key: str) -> str:
    """The message about a key that nothing reads."""
    if key in DEVICES:
        return (
            "there is no such setting: this is a laboratory of CPUs, and nothing runs on another"
            f" device; backend and workers say what runs at the same time {HELP}"
        )
    group, _, name = key.partition(".")
    owners = [
        option for option, schema in OPTIONS.get(group, {}).items() if name in _fields(schema)
    ]
    if owners:
        return f"the chosen {group} has no such setting; {group}={','.join(owners)} does"
    tracker = name.partition(".")[0]
    if group == "tracker" and tracker in TRACKERS and key in _tracker_settings(tracker):
        return f"the run has no such tracker; tracker=[{tracker}] gives it one"
    close = _meant(key)
    groups = ", ".join([*OPTIONS, "tracker"])
    known = f"known here: {', '.join(_fields(Scalars))}, and the groups {groups}"
    hint = f"did you mean {' or '.join(close)}?" if close else known
    return f"there is no such setting; {hint} {HELP}"


def unknown_option(group: str, option: str, options: Iterable[str]) -> str:
    """The message about an option that a group does not have. `options`: those that it has."""
    known = list(options)
    close = difflib.get_close_matches(option, known, n=2)
    meant = " or ".join(f"{group}={name}" for name in close)
    hint = f"did you mean {meant}? There are" if close else "there are"
    return f"{group}={option}: there is no such option; {hint} {', '.join(known)} {HELP}"


def simulated() -> list[str]:
    """The settings of advise=true."""
    return [f"simulate.{name}" for name in all_off(Simulate)]


def _meant(key: str) -> list[str]:
    """The settings that the key resembles; a setting of a group counts without its group too."""
    inner = dict.fromkeys(
        f"{group}.{name}"
        for group, options in OPTIONS.items()
        for schema in options.values()
        for name in _fields(schema)
        if name != "name"
    )
    inner |= dict.fromkeys(name for tracker in TRACKERS for name in _tracker_settings(tracker))
    if same := [name for name in inner if name.partition(".")[2] == key]:
        return same
    whole = [*_fields(Scalars), *OPTIONS, "tracker", *OF_THE_LAUNCH, *simulated(), *NAMED, *inner]
    by_end = {name.partition(".")[2]: name for name in inner}
    close = difflib.get_close_matches(key, [*whole, *by_end], n=3)
    return list(dict.fromkeys(by_end.get(name, name) for name in close))


def _tracker_settings(name: str) -> list[str]:
    return [f"tracker.{name}.{key}" for key in _fields(TRACKERS[name])]


def _fields(schema: type) -> list[str]:
    return [field.name for field in dataclasses.fields(schema)]
