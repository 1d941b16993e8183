"""A run directory belongs to one run: how it is taken, and what its files are called."""

import dataclasses
from pathlib import Path

import yaml

from ddp.atomic import new_file
from ddp.config import Config
from ddp.errors import ConfigError

CONFIG_FILE, RESULT_FILE, ROUNDS_FILE = "config.yaml", "result.json", "rounds.csv"


def claim_run_directory(config: Config, output_dir: Path) -> None:
    """Writes config.yaml, and thereby takes the directory: a second run that is given it is refused with ConfigError.

    Raises OSError if it cannot be written; the directory is not taken then.
    """
    output_dir.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(dataclasses.asdict(config), sort_keys=False)
    try:
        with new_file(output_dir / CONFIG_FILE) as file:
            file.write(text.encode())
    except FileExistsError:
        raise directory_taken(output_dir) from None


def directory_taken(output_dir: Path) -> ConfigError:
    """What to say of a directory that holds a run."""
    message = "holds a run already; choose another directory (hydra.run.dir, hydra.sweep.dir), or remove this one"
    return ConfigError("run directory", output_dir, message)
