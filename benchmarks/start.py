"""How long does a command take, from its start to its exit? `python -m benchmarks.start`

Each command is measured in turn with `python -c "import torch"`, which most programs in this field
pay at least. The data are on disk, kernels and bytecode are cached, and the machine's constants of
`advise=true` are known: a first turn, which does not count, sees to that. `--before DIR` measures
another checkout of this repository in the same turns.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.harness import (
    Figures,
    Unavailable,
    add_ratio,
    command_line,
    in_turn,
    report,
    table_of,
)
from benchmarks.train_runs import REPOSITORY

COMMAND, TIMES = "whole command, s", "times import torch"
TORCH = ("-c", "import torch")
# label -> arguments of Python, and the exit code. NEW stands for a new directory, RUN for that of a
# run.
COMMANDS: dict[str, tuple[Sequence[str], int]] = {
    "python train.py": (("train.py", "hydra.run.dir=NEW"), 0),
    "python train.py display=none tensorboard=false": (
        ("train.py", "hydra.run.dir=NEW", "display=none", "tensorboard=false"),
        0,
    ),
    "python train.py --help": (("train.py", "--help"), 0),
    "python train.py workers=0": (("train.py", "workers=0"), 2),
    "python train.py advise=true": (("train.py", "advise=true"), 0),
    "python -m ddp.results DIR": (("-m", "ddp.results", "RUN"), 0),
    "python -m ddp.report RUN": (("-m", "ddp.report", "RUN"), 0),
}


def main() -> None:
    """The command."""
    parser = command_line("start", __doc__)
    parser.set_defaults(repeats=15)
    parser.add_argument("--before", type=Path, metavar="DIR", help="a checkout to compare with")
    arguments = parser.parse_args()
    checkouts = {"now": REPOSITORY} | ({"before": arguments.before} if arguments.before else {})
    with tempfile.TemporaryDirectory() as temporary:
        runs = {name: Path(temporary, name) for name in checkouts}
        candidates = [
            ({"command": "python -c 'import torch'", "checkout": "-"}, partial(torch, runs["now"]))
        ]
        for label, (options, code) in COMMANDS.items():
            for name, checkout in checkouts.items():
                measure = partial(command, checkout, runs[name], options, code)
                candidates.append(({"command": label, "checkout": name}, measure))
        for name, checkout in checkouts.items():
            command(checkout, runs[name], ("train.py", "hydra.run.dir=RUN"), 0)
        for _, measure in candidates:  # the turn that does not count
            measure()
        rows = in_turn(candidates, arguments.repeats)
    add_ratio(rows, TIMES, COMMAND, rows[0], faster=False)
    title = f"Median (lowest - highest) of {arguments.repeats}"
    columns = ("command", "checkout") if arguments.before else ("command",)
    report("start", arguments, rows, [table_of(title, rows, columns, (COMMAND, TIMES))])


def torch(run: Path) -> Figures:
    """Imports torch in a new interpreter."""
    return command(REPOSITORY, run, TORCH, 0)


def command(checkout: Path, run: Path, options: Sequence[str], code: int) -> Figures:
    """Runs Python in the checkout. Raises Unavailable if it ends with another exit code."""
    new = tempfile.mkdtemp(dir=run.parent)
    given = [option.replace("RUN", str(run)).replace("NEW", new) for option in options]
    # the bytecode of all modules is cached, as it is where people work
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    began = time.perf_counter()
    ended = subprocess.run(
        [sys.executable, *given], cwd=checkout, env=kept, capture_output=True, check=False
    )
    seconds = time.perf_counter() - began
    if ended.returncode != code:
        raise Unavailable(f"{' '.join(given)}: exit code {ended.returncode}")
    return {COMMAND: seconds}


if __name__ == "__main__":
    main()
