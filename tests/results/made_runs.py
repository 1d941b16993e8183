"""Directories of runs that a test makes."""

from pathlib import Path


def make_run(directory: Path, text: str = "{}") -> Path:
    directory.mkdir(parents=True)
    (directory / "result.json").write_text(text)
    return directory
