"""Reads the files of a run, as strictly as other programs do."""

import csv
import json
from pathlib import Path

STAGES = {"data", "imports", "start", "train", "stop", "save", "metrics"}


def no_constant(token: str) -> None:
    raise AssertionError(f"{token} is not JSON")


def read_json(directory: Path) -> dict:
    return json.loads(
        (directory / "result.json").read_text(encoding="utf-8"), parse_constant=no_constant
    )


def read_rounds(directory: Path) -> list[dict[str, str]]:
    with (directory / "rounds.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
