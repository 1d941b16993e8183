"""`python -m ddp.clean [--dry-run] [DIR ...]`: removes shared memory segments of killed runs.

Only a run that is killed while it starts leaves a segment: later its segment has no name, and the
system frees it. The next run with backend=shm removes such a segment too. A killed run may also
leave a folder of sockets; the next run that needs such a folder removes it
(ddp/machine/sockets.py).
"""

import argparse
from pathlib import Path

from ddp.machine.output import outlast_readers
from ddp.machine.printable import printable
from ddp.machine.segment import default_directory, remove_orphans


def main() -> None:
    """Cleans the default directory, or those that the user names. Live runs keep their segments."""
    outlast_readers()
    parser = argparse.ArgumentParser(
        "python -m ddp.clean", description="Removes the shared memory that killed runs have left."
    )
    parser.add_argument("--dry-run", action="store_true", help="list the segments, remove none")
    parser.add_argument(
        "directories",
        nargs="*",
        type=Path,
        metavar="DIR",
        help="the backend.directory of the runs (default: /dev/shm)",
    )
    arguments = parser.parse_args()
    directories = arguments.directories or [default_directory()]
    for directory in directories:
        if not directory.is_dir():
            parser.error(printable(f"{directory} is not a directory"))
    found = [
        item
        for directory in directories
        for item in remove_orphans(directory, dry_run=arguments.dry_run)
    ]
    for path, size in found:
        print(f"{printable(path)}  {size / 2**20:,.1f} MiB")
    total = sum(size for _, size in found) / 2**20
    print(
        f"{'would remove' if arguments.dry_run else 'removed'}: {len(found)} files, {total:,.1f}"
        " MiB"
    )


if __name__ == "__main__":
    main()
