"""Small disks that are really mounted, and files that are whole."""

import csv
import json
import os
import pickle
import subprocess
import zipfile
from pathlib import Path

import psutil
import yaml
from jobs import DATA

TIMEOUT_S = 60
PAGE = 4096
SMALL = (
    *DATA,
    *("aggregation=rows", "model=tiny", "workers=2", "rounds=6", "local_epochs=1"),
    *("reference=false", "display=none", "checkpoint_every=0"),
)


class Disk:
    """A small file system of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, pages: int = 0) -> None:
        """Fills the disk and leaves so many pages."""
        (self.path / "filler").unlink(missing_ok=True)
        free = os.statvfs(self.path)
        with (self.path / "filler").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_bsize - pages * PAGE)

    def protect(self) -> None:
        """Makes the disk read-only: for root too, who may ignore permissions."""
        subprocess.run(["mount", "-o", "remount,ro", self.path], check=True)


def members(session: int) -> list[psutil.Process]:
    """The processes of a command that still run."""
    running = []
    for process in psutil.process_iter(["status"]):
        try:
            if os.getsid(process.pid) == session and process.info["status"] != psutil.STATUS_ZOMBIE:
                running.append(process)
        except ProcessLookupError:
            continue
    return running


def assert_whole(directory: Path) -> None:
    """Every file below is complete."""
    assert list(directory.rglob("*.part")) == []
    for path in directory.rglob("*.*"):
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".yaml":
            assert yaml.safe_load(path.read_text()) is not None
        elif path.suffix == ".csv":
            assert len({len(row) for row in csv.reader(path.read_text().splitlines())}) == 1
            assert path.read_text().endswith("\n")
        elif path.suffix == ".pkl":
            pickle.loads(path.read_bytes())
        elif path.suffix == ".npz":
            assert zipfile.ZipFile(path).testzip() is None
        elif path.suffix == ".safetensors":
            from safetensors.numpy import load

            assert load(path.read_bytes())
        elif "tfevents" in path.name:
            assert num_events(path) > 1


def num_events(path: Path) -> int:
    """Raises an exception at half a record."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    return len(list(EventFileLoader(str(path)).Load()))


def errors(said: str) -> list[str]:
    return [
        line.removeprefix("error: ") for line in said.splitlines() if line.startswith("error: ")
    ]
