"""Writes one HTML file about runs, which needs no other file.

It shows where the time went, the error after each round, and how runs scale with workers.
"""

import argparse
import sys
from pathlib import Path

from ddp.errors import UserError
from ddp.machine.collector import collect_seldom
from ddp.machine.files import describe
from ddp.machine.output import outlast_readers
from ddp.machine.printable import printable
from ddp.results.run_file import add_roots, runs_below


def main() -> int:
    """Runs the command `python -m ddp.report`; returns its exit code."""
    collect_seldom()
    outlast_readers()
    parser = argparse.ArgumentParser(prog="python -m ddp.report", description=__doc__)
    add_roots(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="file of the page (default: report.html in the first DIR)",
    )
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    arguments = parser.parse_args()
    try:
        runs = runs_below(arguments.roots)
    except UserError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 2
    from ddp.report.page import write_report  # late: matplotlib takes half a second

    path = arguments.out or arguments.roots[0] / "report.html"
    try:
        write_report(runs, path)
    except OSError as error:
        message = f"{describe(error)}; choose another place with --out FILE"
        print(f"error: {printable(message)}", file=sys.stderr)
        return 1
    link = path.absolute().as_uri()  # a terminal makes a link of it
    print(f"report: {link}")
    return _open(link) if arguments.open else 0


def _open(link: str) -> int:
    """Opens the page in the browser of this machine, or says that there is none."""
    import webbrowser  # late: few people ask for it

    if webbrowser.open(link):
        return 0
    message = "no browser started on this machine; open the link above, or set BROWSER to a command"
    print(f"error: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
