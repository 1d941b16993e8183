"""The directory of a run: the names of its files, and the lock that gives it to one run alone."""

import dataclasses
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from ddp.config.schema import Config
from ddp.errors import ConfigError, DirectoryTaken
from ddp.machine.files import atomic_file, new_file
from ddp.machine.owned import holder, lock

CONFIG_FILE, RESULT_FILE, ROUNDS_FILE, TRACE_FILE = (
    "config.yaml",
    "result.json",
    "rounds.csv",
    "trace.json",
)
CHECKPOINTS = "checkpoints"
REFERENCES = Path("outputs/references")  # a small file for each reference (reference.py)
# raise it when a change of a trainer, the model or the visit order changes the errors of one worker
REFERENCE_VERSION = 2
LOOKS, LOOK_S = 5, 0.01
CHECKPOINT = re.compile(r"round-(\d{6,})\.safetensors")


@contextmanager
def run_directory(config: Config, output_dir: Path, *, resume: bool) -> Iterator[None]:
    """Takes the directory for a run; no other run can take it before the block ends.

    A new run writes config.yaml. Raises ConfigError if the directory holds a run already, or if
    `resume` finds no run there or one that still lives. Raises OSError if the directory cannot be
    written, and then takes nothing.
    """
    if resume:
        if not (output_dir / CONFIG_FILE).is_file():
            raise ConfigError(
                "resume", output_dir, f"is not the directory of a run: it has no {CONFIG_FILE}"
            )
    else:
        output_dir.mkdir(parents=True, exist_ok=True)
    with held(output_dir):
        if resume:
            for part in output_dir.rglob(".*.part"):  # a killed process left it
                part.unlink(missing_ok=True)
        else:
            try:
                with new_file(output_dir / CONFIG_FILE) as file:
                    file.write(_as_yaml(config))
            except FileExistsError:
                raise directory_taken(output_dir) from None
        yield


def write_config(config: Config, output_dir: Path) -> None:
    """Replaces config.yaml: a resumed run may have other values than before."""
    with atomic_file(output_dir / CONFIG_FILE) as file:
        file.write(_as_yaml(config))


def _as_yaml(config: Config) -> bytes:
    return yaml.safe_dump(dataclasses.asdict(config), sort_keys=False).encode()


@contextmanager
def held(output_dir: Path) -> Iterator[None]:
    """Holds the lock on a directory. Raises DirectoryTaken if another process holds it."""
    fd = os.open(output_dir, os.O_RDONLY)
    try:
        if not _locked_soon(fd):
            pid = holder(fd)
            raise DirectoryTaken(
                output_dir,
                f"a run is going on in there{f' (process {pid})' if pid else ''}; wait for its end,"
                " or stop it",
            )
        yield
    finally:
        os.close(fd)


def _locked_soon(fd: int) -> bool:
    """Locks the directory; False if a run has it. `is_held` has the lock for an instant only."""
    for _ in range(LOOKS):
        if lock(fd, wait=False):
            return True
        time.sleep(LOOK_S)
    return False


def is_held(output_dir: Path) -> bool:
    """True if a living run has the directory."""
    try:
        fd = os.open(output_dir, os.O_RDONLY)
    except OSError:
        return False
    try:
        return not lock(fd, wait=False)
    finally:
        os.close(fd)


def directory_taken(output_dir: Path) -> DirectoryTaken:
    """The error for a directory that holds a run."""
    message = (
        "holds a run already; choose another directory (hydra.run.dir, hydra.sweep.dir),"
        " or remove this one"
    )
    return DirectoryTaken(output_dir, message)


def find_checkpoints(run_dir: Path) -> list[Path]:
    """The checkpoints of a run, the oldest first."""
    directory = run_dir / CHECKPOINTS
    if not directory.is_dir():
        return []
    found = {
        int(match[1]): path
        for path in directory.iterdir()
        if (match := CHECKPOINT.fullmatch(path.name))
    }
    return [found[next_round] for next_round in sorted(found)]


def reference_file(fingerprint: str) -> Path:
    """The file of the reference with this fingerprint."""
    return REFERENCES / f"v{REFERENCE_VERSION}-{fingerprint}.json"


def stale_references(directory: Path) -> list[Path]:
    """The files of references that no run of this version reads."""
    files = directory.glob("*.json") if directory.is_dir() else ()
    return sorted(path for path in files if not path.name.startswith(f"v{REFERENCE_VERSION}-"))


def differences(was: Any, now: dict[str, Any]) -> list[str]:
    """The settings in which two configs differ, in words.

    A missing setting is the same as null: an older version did not have it.
    """
    if not isinstance(was, dict):
        return [f"the config was {was}"]
    found = []
    for key in sorted({*was, *now}, key=str):
        before, after = was.get(key), now.get(key)
        if (
            isinstance(before, dict)
            and isinstance(after, dict)
            and before.get("name") == after.get("name")
        ):
            found += [f"{key}.{difference}" for difference in differences(before, after)]
        elif before != after:
            names = [
                value.get("name") if isinstance(value, dict) else value for value in (before, after)
            ]
            found.append(f"{key} was {names[0]}, not {names[1]}")
    return found
