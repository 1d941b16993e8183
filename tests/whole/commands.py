"""The command as a person runs it: its options, files and messages."""

import csv
import json
import os
import signal
import subprocess
from pathlib import Path

from jobs import DATA, TYPED
from programs import TIMEOUT_S

SMALL = (*DATA, *TYPED)
SPYING = "+hydra.callbacks.spy._target_=spying.Spy"


def read_json(directory: Path) -> dict:
    """The result.json of a run."""
    return json.loads((directory / "result.json").read_text(encoding="utf-8"))


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a table."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def statuses(sweep: Path) -> list[str]:
    """The status of each job, from the table of the sweep."""
    return [row["status"] for row in read_csv(sweep / "sweep.csv")]


def contents(directory: Path) -> dict[str, bytes]:
    """The files below the directory: their relative names, and what is in them."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def only_message(ended: subprocess.CompletedProcess[str]) -> str:
    """The one message of a refused command, on standard error, without a stack trace."""
    assert ended.returncode == 2, ended
    assert ended.stdout == ""
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("error: ") == 1
    assert "Traceback" not in ended.stderr
    assert 'File "' not in ended.stderr
    return ended.stderr.removeprefix("error: ").rstrip("\n")


def interrupted(process) -> tuple[str, str]:
    """Sends Ctrl-C to a program, and gives its two outputs. The program leaves no process."""
    try:
        os.killpg(process.pid, signal.SIGINT)
        return process.communicate(timeout=TIMEOUT_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def jobs_of(directory: Path) -> list[Path]:
    """The run directories of a sweep, in the order of its jobs."""
    return sorted((path.parent for path in directory.rglob("result.json")), key=number_of_job)


def number_of_job(directory: Path) -> int:
    """The number of a sweep's job, which its directory begins with."""
    return int(directory.name.partition("_")[0])


def job_of(sweep: Path, number: int) -> Path:
    """The directory of the sweep's job with this number."""
    (found,) = (path for path in sweep.glob(f"{number}_*") if path.is_dir())
    return found
