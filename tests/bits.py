"""The bits of small runs on every backend: whether a change leaves them as they were.

    python -m tests.bits write FILE                     before the change
    python -m tests.bits check FILE [--only SUBSTRING]  after it
    python -m tests.bits smoke                          checks an installation, needs no file

| exit code | meaning |
|---|---|
| 0 | all bits agree |
| 1 | some differ, from FILE or between two backends, or a run failed |
| 2 | FILE cannot be compared with: it is missing, or from another program, machine or version |

FILE holds two SHA-256 per run: of the last aggregate, and of the errors in rounds.csv. Processors
round differently, so a file serves only the kind of machine that wrote it.

The top of this module imports neither ddp nor Hydra: a spawned worker imports it too.
"""

import argparse
import csv
import hashlib
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from tests.jobs import BACKENDS

REPOSITORY = Path(__file__).parent.parent
FORMAT = "bits of ddp, 1"

Digests = dict[str, str]  # "state" and "rows" -> SHA-256
Bits = dict[str, dict[str, Digests]]  # configuration -> backend -> digests

SMALL = (
    *("model=tiny", "workers=3", "rounds=3", "local_epochs=2", "account=false"),
    *("display=none", "tensorboard=false", "reference=false", "checkpoint_every=0"),
)
MADE_UP = (
    *("data=synthetic", "data.num_users=90", "data.num_items=70", "data.num_ratings=2500"),
    "data.popularity=0.4",
)
AVERAGED = ("split=iid", "trainer=fused", "aggregation=uniform")
STRATIFIED = ("split=stratified", "trainer=fused", "aggregation=rows")
ADAM = ("trainer=autograd", "trainer.batch_size=128")
SGD = (*ADAM, "trainer.optimizer=sgd", "trainer.lr=0.1")

SMOKE = {
    "averaged": ("split=iid", "aggregation=uniform", "workers=2"),
    "stratified": ("split=stratified", "aggregation=rows", "workers=2"),
}
ADVICE = (
    "Install anew with `make clean smoke`. If it stays so, report these lines with the versions "
    "that `.venv/bin/pip freeze` prints and the processor that /proc/cpuinfo names."
)

QUICK = ("serial", "thread", "thread polling", "process", "shm")
SLOW = ("process spawned",)  # takes seconds: few configurations run on it


@dataclass(frozen=True)
class Job:
    """One configuration. `stop_after`: rounds after which the run ends, and is resumed; 0: never.

    `files`: how many CSV files hold its ratings; 0: none. `spawned`: also on the slow backend.
    """

    options: tuple[str, ...]
    stop_after: int = 0
    files: int = 0
    spawned: bool = False

    def backends(self) -> list[str]:
        """The names of the backends that this job runs on."""
        return [*QUICK, *SLOW] if self.spawned else [*QUICK]


# The trainers do not take turns: the server that workers are forked from begins anew with each.
JOBS = {
    "uniform": Job((*AVERAGED,), spawned=True),
    "samples, dirichlet": Job((*AVERAGED, "split=dirichlet", "aggregation=samples")),
    "inverse_loss, select_on=test": Job((*AVERAGED, "aggregation=inverse_loss", "select_on=test")),
    "softmax_loss, select_on=last": Job(
        (*AVERAGED, "aggregation=softmax_loss", "select_on=last", "workers=2"),
    ),
    "rows, by user": Job((*AVERAGED, "aggregation=rows", "split=user", "workers=4")),
    "rows, by item": Job((*AVERAGED, "aggregation=rows", "aggregation.power=2", "split=item")),
    "copies": Job((*AVERAGED, "split=copies", "trainer.lr_decay=0.9")),
    "momentum, holdout by user": Job(
        (*AVERAGED, "aggregation.outer=momentum", "split.holdout=user", "rounds=4"),
    ),
    "nesterov": Job((*AVERAGED, "aggregation=rows", "aggregation.outer=nesterov", "rounds=4")),
    "outer adam": Job(
        (*AVERAGED, "aggregation.outer=adam", "aggregation.outer_lr=0.02", "rounds=4"),
    ),
    "9 local epochs, select_on=valid": Job((*AVERAGED, "local_epochs=9", "select_on=valid")),
    "9 local epochs, select_on=last": Job((*AVERAGED, "local_epochs=9", "select_on=last")),
    "checkpoints, account, seed 7": Job(
        (*AVERAGED, "checkpoint_every=1", "account=true", "seed=7", "trainer.lr_decay=0.9"),
    ),
    "one worker, no biases": Job((*AVERAGED, "workers=1", "model.biases=false", "model.dim=5")),
    "ensemble": Job((*AVERAGED, "split=copies", "aggregation=ensemble")),
    "resumed, nesterov": Job(
        (*AVERAGED, "aggregation.outer=nesterov", "trainer.lr_decay=0.9", "rounds=5"),
        stop_after=2,
    ),
    "a file per worker": Job((*AVERAGED, "split=files", "select_on=valid"), files=3),
    "by time, from files": Job((*AVERAGED, "split=time", "split.holdout=time"), files=2),
    "stratified": Job((*STRATIFIED,)),
    "stratified, 5 workers, 6 epochs": Job(
        (*STRATIFIED, "workers=5", "local_epochs=6", "checkpoint_every=2", "account=true"),
    ),
    "stratified, resumed": Job((*STRATIFIED, "trainer.lr_decay=0.9", "rounds=5"), stop_after=3),
    "autograd adam": Job((*AVERAGED, *ADAM, "aggregation=rows"), spawned=True),
    "autograd adam, the seed's choices": Job(
        (*AVERAGED, *ADAM, "aggregation=inverse_loss", "select_on=test", "split.valid_fraction=0"),
    ),
    "autograd sgd": Job((*AVERAGED, *SGD, "aggregation=samples", "local_epochs=5")),
    "autograd ensemble": Job((*ADAM, "split=copies", "aggregation=ensemble")),
    "autograd stratified adam": Job((*STRATIFIED, *ADAM)),
    "autograd stratified sgd": Job((*STRATIFIED, *SGD, "workers=2")),
    "autograd resumed, outer adam": Job(
        (*AVERAGED, *ADAM, "aggregation.outer=adam", "aggregation.outer_lr=0.02", "rounds=4"),
        stop_after=2,
    ),
}

# --- one run ---


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
    options = (*data, *job.options, *BACKENDS[backend])
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
    rows = [[row[column] for column in columns] for row in rounds(directory)]
    return {
        "state": state.hexdigest(),
        "rows": hashlib.sha256(json.dumps(rows).encode()).hexdigest(),
    }


def rounds(directory: Path) -> list[dict[str, str]]:
    """The rows of rounds.csv; the last one is the last aggregate's."""
    return list(csv.DictReader((directory / "rounds.csv").read_text().splitlines()))


@contextmanager
def options_known() -> Iterator[None]:
    """Within the block Hydra composes from conf/."""
    from hydra import initialize_config_dir

    with initialize_config_dir(str(REPOSITORY / "conf"), version_base="1.3"):
        yield


# --- write and check ---


def machine() -> dict[str, str]:
    """All that rounding depends on besides the code: the processor and the libraries."""
    from llvmlite import binding

    from ddp.results.environment import environment

    here = environment()
    libraries = {name: str(here["versions"][name]) for name in ("numpy", "torch", "numba")}
    features = hashlib.sha256(binding.get_host_cpu_features().flatten().encode()).hexdigest()[:16]
    processor = f"{here['cpu_model']}, {binding.get_host_cpu_name()}, features {features}"
    return {"processor": processor, **libraries}


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


def between_backends(bits: Bits) -> list[str]:
    """A line for each run that differs from another backend's of the same configuration."""
    lines = []
    for name, of_job in bits.items():
        first = next(iter(of_job))
        for backend, found in of_job.items():
            if parts := differing(of_job[first], found):
                lines.append(f"{name} on {backend}: another {parts} than on {first}")
    return lines


def against(known: Bits, found: Bits, only: str = "") -> list[str]:
    """A line for each run that differs from the known one, or that only one of the two has."""
    lines = []
    runs = [(name, backend) for bits in (known, found) for name in bits for backend in bits[name]]
    for name, backend in dict.fromkeys(runs):
        before, now = known.get(name, {}).get(backend), found.get(name, {}).get(backend)
        if now is None:
            if only in f"{name} on {backend}":
                lines.append(f"{name} on {backend}: in the file, but no run of this program")
        elif before is None:
            lines.append(f"{name} on {backend}: not in the file")
        elif parts := differing(before, now):
            lines.append(f"{name} on {backend}: another {parts} than in the file")
    return lines


def differing(one: Digests, other: Digests) -> str:
    """The parts of a run that differ: "", "state", "rows" or "state and rows"."""
    return " and ".join(part for part in other if one.get(part) != other[part])


class Foreign(Exception):
    """A file that nothing can be compared with. The message says why."""


def read(file: Path, here: dict[str, str]) -> Bits:
    """The bits in a file that `write` made on such a machine. Raises Foreign for any other."""
    try:
        content: dict[str, Any] = json.loads(file.read_text())
    except OSError as error:
        raise Foreign(f"{file} cannot be read: {error.strerror}; make it with `write`") from None
    except ValueError:
        content = {}
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise Foreign(f"{file} is no file of bits of this program; make one with `write`")
    for what, value in here.items():
        if content["machine"].get(what) != value:
            raise Foreign(
                f"{file} comes from another machine: its {what} is "
                f"{content['machine'].get(what)}, here it is {value}. "
                "Bits may differ between them: write the file anew on this machine."
            )
    bits: Bits = content["bits"]
    return bits


def write_bits(file: Path) -> int:
    """`write`: returns the exit code."""
    bits = measure()
    content = {"format": FORMAT, "machine": machine(), "bits": bits}
    file.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
    print(f"{count(bits)} runs are in {file}")
    return tell(between_backends(bits))


def check_bits(file: Path, only: str) -> int:
    """`check`: returns the exit code."""
    try:
        known = read(file, machine())
    except Foreign as error:
        print(error, file=sys.stderr)
        return 2
    found = measure(only)
    if not found:
        print(f"--only {only!r} is in no configuration's name and no backend's", file=sys.stderr)
        return 2
    lines = against(known, found, only)
    differ = {line.partition(":")[0] for line in lines}
    runs = [f"{name} on {backend}" for name in found for backend in found[name]]
    print(f"{len(set(runs) - differ)} of {len(runs)} runs agree with {file}")
    return tell(lines + between_backends(found))


def count(bits: Bits) -> int:
    """The number of runs."""
    return sum(len(of_job) for of_job in bits.values())


def tell(differences: list[str]) -> int:
    """Prints a line for each difference. Returns the exit code."""
    for difference in differences:
        print(difference)
    return 1 if differences else 0


# --- smoke ---


def smoke() -> int:
    """One small run per split, trainer and backend as conf/ has them. Returns the exit code."""
    from ddp.config.options import OPTIONS

    print("checks this installation; the first time it compiles kernels, which may take a minute")
    failed = []
    with options_known():
        for trainer, split in product(OPTIONS["trainer"], SMOKE):
            expected = None
            for backend in ("serial", *(name for name in OPTIONS["backend"] if name != "serial")):
                options = (*SMOKE[split], f"trainer={trainer}", f"backend={backend}")
                with tempfile.TemporaryDirectory(prefix="ddp-smoke-") as folder:
                    told, found = try_out(options, Path(folder) / "run")
                if backend == "serial":
                    expected = found
                elif found is not None and expected is not None:
                    same = found == expected
                    told += ", bits as on serial" if same else ", OTHER BITS than on serial"
                well = found is not None and found == expected
                failed += [] if well else [backend]
                print(f"{trainer:8}  {split:10}  {backend:7}  {told}", flush=True)
    if failed:
        print(f"{len(failed)} runs went wrong, on {', '.join(dict.fromkeys(failed))}. {ADVICE}")
        return 1
    print("all runs went well: training may begin")
    return 0


def try_out(options: tuple[str, ...], directory: Path) -> tuple[str, Digests | None]:
    """A text about a run, and its digests; None if it has failed."""
    try:
        train((*MADE_UP, *options), directory)
        return f"test RMSE {float(rounds(directory)[-1]['test_rmse']):.4f}", digests(directory)
    except Exception as error:
        first_line = str(error).partition("\n")[0]  # a traceback may follow
        return f"FAILED with {type(error).__name__}: {first_line}", None


def main(arguments: list[str] | None = None) -> int:
    """Does what the command line asks for. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bits",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("smoke")
    commands.add_parser("write").add_argument("file", type=Path)
    check = commands.add_parser("check")
    check.add_argument("file", type=Path)
    only = 'of "configuration on backend"'
    check.add_argument("--only", default="", metavar="SUBSTRING", help=only)
    given = parser.parse_args(arguments)
    if given.command == "smoke":
        return smoke()
    if given.command == "write":
        return write_bits(given.file)
    return check_bits(given.file, given.only)


if __name__ == "__main__":
    sys.exit(main())
