"""`python -m ddp.clean [--yes] [DIR ...]`: lists what no run needs any more; --yes removes it.

| kind      | meaning                                                                           |
|-----------|-----------------------------------------------------------------------------------|
| segment   | shared memory of a run that was killed while it started                           |
| run       | the directory of a run that ended before its first round; one with a file that no |
|           | run writes stays                                                                  |
| reference | errors of one worker that an earlier version kept, which no run reads any more    |

All that a living run holds stays. The next run with backend=shm removes such a segment too, and the
next run in processes the folder of sockets that a killed one has left (ddp/machine/sockets.py).
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import yaml

from ddp.errors import DirectoryTaken
from ddp.machine.files import describe
from ddp.machine.output import outlast_readers
from ddp.machine.printable import printable
from ddp.machine.segment import default_directory, remove_orphans
from ddp.results.run_directory import (
    CHECKPOINTS,
    CONFIG_FILE,
    REFERENCES,
    RESULT_FILE,
    ROUNDS_FILE,
    TRACE_FILE,
    held,
    stale_references,
)
from ddp.results.run_file import find_runs

# all that a run leaves which has finished no round
WRITTEN = (
    *(CONFIG_FILE, RESULT_FILE, ROUNDS_FILE, TRACE_FILE, "ddp_*_results.pkl"),
    *("events.out.tfevents.*", ".hydra", ".hydra/*.yaml", ".hydra/job.json"),
    *(CHECKPOINTS, f"{CHECKPOINTS}/rounds.jsonl", ".*.part", f"{CHECKPOINTS}/.*.part"),
)
Found = tuple[str, Path, int]  # kind, place and size in bytes


def main() -> int:
    """Runs the command, and gives its exit code."""
    outlast_readers()
    arguments = _parser().parse_args()
    segments = [default_directory(), *arguments.segments]
    for directory in (*segments, *(arguments.directories or ())):
        if not directory.is_dir():
            print(f"error: {printable(directory)} is not a directory", file=sys.stderr)
            return 2
    num, size = 0, 0
    try:
        for kind, path, num_bytes in _clean(
            segments, arguments.directories or [Path("outputs")], remove=arguments.yes
        ):
            print(f"{kind:10}{printable(path)}  {num_bytes / 2**20:,.1f} MiB")
            num, size = num + 1, size + num_bytes
    except OSError as error:
        print(f"error: {printable(describe(error))}", file=sys.stderr)
        return 1
    done = "removed" if arguments.yes else "would remove"
    hint = "" if arguments.yes or not num else " (--yes removes them)"
    print(f"{done}: {num}, {size / 2**20:,.1f} MiB{hint}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m ddp.clean",
        description="Lists what killed runs and earlier versions have left, and removes it.",
    )
    parser.add_argument("--yes", action="store_true", help="remove it; without, list it only")
    parser.add_argument(
        "--segments",
        action="append",
        default=[],
        type=Path,
        metavar="DIR",
        help="a backend.directory of runs, beside /dev/shm",
    )
    parser.add_argument(
        "directories",
        nargs="*",
        type=Path,
        metavar="DIR",
        help="directories that hold runs, at any depth (default: outputs)",
    )
    return parser


def _clean(segments: list[Path], roots: list[Path], *, remove: bool) -> Iterator[Found]:
    """Gives what no run needs, and with `remove` removes it first. Raises OSError."""
    for directory in dict.fromkeys(segments):
        for path, size in remove_orphans(directory, dry_run=not remove):
            yield "segment", path, size
    for directory in find_runs(roots):
        try:
            with held(directory):  # no run begins or goes on in there meanwhile
                entries = _entries(directory)
                if entries is None or _has_round(directory):
                    continue
                size = sum(path.lstat().st_size for path in entries)
                if remove:
                    shutil.rmtree(directory)
        except DirectoryTaken:
            continue
        yield "run", directory, size
    for path in stale_references(REFERENCES):
        size = path.stat().st_size
        if remove:
            path.unlink()
        yield "reference", path, size


def _entries(directory: Path) -> list[Path] | None:
    """All that is in the directory of a run; None if something there is not from a run."""
    if directory.is_symlink() or directory.stat().st_uid != os.getuid():
        return None
    entries = list(directory.rglob("*"))
    names = [path.relative_to(directory).as_posix() for path in entries]
    known = all(any(_matches(name, pattern) for pattern in WRITTEN) for name in names)
    return entries if known and not any(path.is_symlink() for path in entries) else None


def _matches(name: str, pattern: str) -> bool:
    return name.count("/") == pattern.count("/") and fnmatch(name, pattern)


def _has_round(directory: Path) -> bool:
    """False if it is sure that the run has finished no round.

    Without result.json it is sure where each round leaves a checkpoint, and there is none.
    """
    try:
        if (directory / RESULT_FILE).exists():
            result = json.loads((directory / RESULT_FILE).read_text(encoding="utf-8"))
            return bool(result["rounds_completed"] != 0)
        config = yaml.safe_load((directory / CONFIG_FILE).read_text(encoding="utf-8"))
        return bool(config["checkpoint_every"] != 1)
    except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError):
        return True


if __name__ == "__main__":
    sys.exit(main())
