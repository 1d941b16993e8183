"""Runs of small configurations, and the digests of their bits."""

import csv
import hashlib
import json
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bits.configurations import JOBS, MADE_UP, SMALL, Job
from tests.jobs import BACKENDS

REPOSITORY = Path(__file__).parent.parent.parent

Digests = dict[str, str]  # "state" and "rows" -> SHA-256
Bits = dict[str, dict[str, Digests]]  # configuration -> backend -> digests


def write_ratings(folder: Path, number: int) -> list[Path]:
    """The same made-up ratings in every process, dealt to that many CSV files in `folder`."""
    dice = random.Random(number)
    pairs = dice.sample([(user, item) for user in range(60) for item in range(50)], 1200)
    files = [folder / f"ratings-{number}-{index}.csv" for index in range(number)]
    for index, file in enumerate(files):
        lines = ["userId,movieId,rating,timestamp"]
        for user, item in pairs[index::number]:
            lines.append(f"{user},{item},{dice.randint(1, 10) / 2},{dice.randrange(10**9)}")
        file.write_text("\n".join(lines) + "\n")
    return files


def train(options: tuple[str, ...], directory: Path, *, resume: bool = False) -> None:
    """A whole run with these options into `directory`."""
    from hydra import compose

    from ddp.experiment import run
    from ddp.launch.composed import load_config

    run(load_config(compose("config", [*SMALL, *options])), directory, [], resume=resume)


def run_job(job: Job, backend: str, folder: Path) -> Path:
    """Runs the job and returns its run directory, in `folder`."""
    data, directory = MADE_UP, folder / "run"
    if job.files:
        paths = ",".join(str(path) for path in write_ratings(folder, job.files))
        data = ("data=csv", f"data.paths=[{paths}]", "data.timestamp=timestamp", "data.cache=null")
    options = (*data, *job.pinned(), *job.options, *BACKENDS[backend])
    if job.stop_after:
        options = (*options, "checkpoint_every=1")
        train((*options, f"rounds={job.stop_after}"), directory)
    train(options, directory, resume=job.stop_after > 0)
    return directory


def digests(directory: Path) -> Digests:
    """The SHA-256 of a run's last aggregate and of its errors, read from its files."""
    from safetensors.numpy import load_file

    state = hashlib.sha256()
    for name, tensor in sorted(load_file(directory / "model.safetensors").items()):
        state.update(f"{name} {tensor.dtype} {tensor.shape}".encode() + tensor.tobytes())
    columns = ("round", "who", "train_loss", "valid_rmse", "test_rmse", "best_epoch")
    rows = [[_as_before(column, row[column]) for column in columns] for row in rounds(directory)]
    return {
        "state": state.hexdigest(),
        "rows": hashlib.sha256(json.dumps(rows).encode()).hexdigest(),
    }


def _as_before(column: str, text: str) -> str:
    """The text of a version that counted from 0, so that files of bits stay of use."""
    return str(int(text) - 1) if text and column in ("round", "best_epoch") else text


def rounds(directory: Path) -> list[dict[str, str]]:
    """The rows of rounds.csv; the last one is the last aggregate's."""
    return list(csv.DictReader((directory / "rounds.csv").read_text().splitlines()))


@contextmanager
def options_known() -> Iterator[None]:
    """Within the block Hydra composes from conf/."""
    from hydra import initialize_config_dir

    with initialize_config_dir(str(REPOSITORY / "conf"), version_base="1.3"):
        yield


def measure(only: str = "") -> Bits:
    """Runs each job on each of its backends; `only` those with this in their name."""
    bits: Bits = {}
    with options_known():
        for name, job in JOBS.items():
            for backend in job.backends():
                if only not in f"{name} on {backend}":
                    continue
                with tempfile.TemporaryDirectory(prefix="ddp-bits-") as folder:
                    try:
                        directory = run_job(job, backend, Path(folder))
                    except Exception as error:
                        error.add_note(f"in the run {name} on {backend}")
                        raise
                    bits.setdefault(name, {})[backend] = digests(directory)
    return bits
