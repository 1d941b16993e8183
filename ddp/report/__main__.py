"""Writes one HTML file about runs, which needs no other file.

It shows where the time went, the error after each round, and how runs scale with workers.
"""

import argparse
import sys
from pathlib import Path

from ddp.machine.collector import collect_seldom
from ddp.machine.files import describe
from ddp.machine.output import outlast_readers
from ddp.machine.printable import printable
from ddp.results.run_directory import RESULT_FILE
from ddp.results.run_file import find_runs, read_runs


def main() -> int:
    """Runs the command `python -m ddp.report`; returns its exit code."""
    collect_seldom()
    outlast_readers()
    parser = argparse.ArgumentParser(prog="python -m ddp.report", description=__doc__)
    parser.add_argument(
        "roots",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="directories that hold runs, at any depth",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="file of the page (default: report.html in the first DIR)",
    )
    arguments = parser.parse_args()
    missing = [root for root in arguments.roots if not root.is_dir()]
    runs = find_runs(arguments.roots)
    if missing or not runs:
        why = (
            f"{missing[0]} is not a directory"
            if missing
            else f"no {RESULT_FILE} below {', '.join(map(str, arguments.roots))}"
        )
        print(f"error: {printable(why)}", file=sys.stderr)
        return 2
    from ddp.report.page import write_report  # late: matplotlib takes half a second

    path = arguments.out or arguments.roots[0] / "report.html"
    try:
        write_report(read_runs(runs), path)
    except OSError as error:
        message = f"{describe(error)}; choose another place with --out FILE"
        print(f"error: {printable(message)}", file=sys.stderr)
        return 1
    print(f"report: {printable(path)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
