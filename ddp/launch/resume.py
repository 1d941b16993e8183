"""Reads a run directory for `resume=RUN_DIR` and for `sweep_resume=true`."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import yaml

from ddp.config.checks import expanded
from ddp.config.command import quoted
from ddp.config.earlier import as_saved
from ddp.config.options import OPTIONS
from ddp.config.run_name import MAX_NAME
from ddp.config.schema import Config, deciding
from ddp.config.tracker import TRACKERS
from ddp.counting import counted
from ddp.errors import ConfigError, DirectoryTaken
from ddp.launch.quoting import text_of, typed
from ddp.machine.printable import cut, printable
from ddp.results.run_directory import CONFIG_FILE, differences, find_checkpoints
from ddp.results.run_file import NEVER, RunFile, find_runs, read_run_file

OUTPUTS, LAST = Path("outputs"), "last"  # resume=last: the last run in there
ENDS = ("rounds", "patience", "max_seconds")  # settings that end a run, see ended_by
ARGUMENT = re.compile(r"(\+\+)?resume=.*", re.DOTALL)


def resumed_arguments(arguments: list[str], *, sweep: bool) -> list[str]:
    """The overrides that continue a run: the values of its config.yaml, then `arguments`.

    Without `resume=RUN_DIR` among them the arguments stay as they are. Raises ConfigError for a
    directory without a run, and for a `sweep`.
    """
    given = [argument for argument in arguments if ARGUMENT.fullmatch(argument)]
    if not given or given[-1].partition("=")[2] in ("null", ""):
        return arguments
    directory = expanded(text_of(given[-1]))
    if directory == LAST:
        directory = str(_last_run())
    if sweep:
        raise ConfigError(
            "resume",
            directory,
            "continues one run; a sweep needs hydra.sweep.dir=DIR sweep_resume=true",
        )
    # the config.yaml of an earlier version has no name
    name = cut(printable(Path(directory).resolve().name), MAX_NAME)
    config = {"name": name} | _read_config(Path(directory))
    own = [argument for argument in arguments if not ARGUMENT.fullmatch(argument)]
    exchanged = {argument.partition("=")[0] for argument in own}
    values = []
    for key, value in config.items():
        if key == "tracker":
            values += [] if key in exchanged else _tracker_arguments(value)
        elif key not in OPTIONS:
            values.append(f"{key}={quoted(value)}")
        elif key not in exchanged:
            values.append(f"{key}={value['name']}")
            values += [
                f"{key}.{inner}={quoted(setting)}"
                for inner, setting in value.items()
                if inner != "name"
            ]
    folder = quoted(directory)
    return [*values, *own, f"resume={folder}", f"hydra.run.dir={folder}"]


def _last_run() -> Path:
    """The directory of the run below OUTPUTS that began, or went on, last. Raises ConfigError."""
    began = {
        directory: (directory / CONFIG_FILE).stat().st_mtime_ns
        for directory in find_runs([OUTPUTS])
        if (directory / CONFIG_FILE).is_file()
    }
    if not began:
        raise ConfigError("resume", LAST, f"there is no run below {OUTPUTS}/")
    return max(began, key=lambda directory: began[directory])


def _tracker_arguments(trackers: dict[str, dict[str, Any]]) -> list[str]:
    """The overrides that choose these trackers, with their settings."""
    known = [name for name in trackers if name in TRACKERS]
    arguments = [f"tracker=[{','.join(known)}]" if known else "tracker=none"]
    for name, settings in trackers.items():
        # "++": a class of the user's own has keys that conf/ may not have
        arguments += [f"++tracker.{name}.{key}={quoted(value)}" for key, value in settings.items()]
    return arguments


def _read_config(directory: Path) -> dict[str, Any]:
    path = directory / CONFIG_FILE
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        complete = all(config[group]["name"] in options for group, options in OPTIONS.items())
    except FileNotFoundError:
        raise ConfigError(
            "resume", directory, f"is not the directory of a run: it has no {CONFIG_FILE}"
        ) from None
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        raise ConfigError(
            "resume",
            directory,
            f"its {CONFIG_FILE} cannot be read ({type(error).__name__}: {error})",
        ) from None
    if not complete:
        raise ConfigError(
            "resume", directory, f"its {CONFIG_FILE} is not that of a run of this version"
        )
    return as_saved(config)


def finished_run(directory: Path, config: Config) -> RunFile | None:
    """The run with this config that ended well in `directory`.

    None: there is no such run. Raises DirectoryTaken if the directory holds a run of another
    config.
    """
    try:
        was = yaml.safe_load((directory / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    now = json.loads(json.dumps(dataclasses.asdict(config)))
    if isinstance(was, dict):
        # only the terminal and trackers see the settings of NEVER; earlier versions had no metrics
        was = {"metrics": now["metrics"]} | as_saved(was) | {key: now[key] for key in NEVER}
    changed = differences(was, now)
    if changed:
        raise DirectoryTaken(directory, f"holds a run with other settings: {', '.join(changed)}")
    result = read_run_file(directory)
    return result if result.status == "ok" else None


def nothing_left(directory: Path, config: Config) -> str | None:
    """The message of `resume=` for a run that has ended well; None if it has rounds to go.

    None also for settings that a run cannot go on with: its checkpoint refuses them.
    """
    run, before = read_run_file(directory), _read_config(directory)
    now = json.loads(json.dumps(dataclasses.asdict(config)))
    if run.status != "ok" or differences(*map(deciding, (before, now))):
        return None
    done = run.content.get("rounds_completed")
    ended = run.content.get("ended") or "rounds"  # earlier versions had no other end
    if not isinstance(done, int) or ended not in ENDS:
        return None  # a damaged file: the checkpoint decides
    limit, more = now[ended], f"{ended}=null"
    if ended == "rounds":
        is_over, more = done == limit, f"rounds={2 * done}"
    else:
        is_over = limit is not None and limit <= (before.get(ended) or 0)
    if not is_over:
        return None
    return (
        f"{directory}: the run has ended well after {counted(done, 'round')} ({ended}={limit}),"
        f" test RMSE {run.outcome['test_rmse']:.4f}; nothing is left to do\n"
        f"to train on: python train.py {typed('resume', str(directory))} {more}"
    )


def make_room(directory: Path) -> bool:
    """Prepares the directory of a job that did not end well, for `sweep_resume=true`.

    Gives True if the job continues from a checkpoint, False if it begins anew.
    """
    if find_checkpoints(directory):
        return (directory / CONFIG_FILE).is_file()
    (directory / CONFIG_FILE).unlink(missing_ok=True)
    return False
