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

The tops of these modules import neither ddp nor Hydra: no worker pays for them.
"""

import argparse
import json
import sys
from pathlib import Path

from tests.bits.comparing import FORMAT, Foreign, against, between_backends, machine, read
from tests.bits.runs import Bits, measure
from tests.bits.smoke import smoke


def write_bits(file: Path) -> int:
    """The command `write`. Returns the exit code."""
    bits = measure()
    content = {"format": FORMAT, "machine": machine(), "bits": bits}
    file.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
    print(f"{count(bits)} runs are in {file}")
    return tell(between_backends(bits))


def check_bits(file: Path, only: str) -> int:
    """The command `check`. Returns the exit code."""
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
