"""How long does it take to recognise the format of a rating file? `python -m benchmarks.reading`

Each file has users, items, half-star ratings and times, drawn at random. Three things are measured:
reading the file with every option given, reading it with none, and the recognition alone.
"""

import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.harness import Figures, Row, add_ratio, command_line, in_turn, report, table_of
from ddp.ratings.sources.content import read_content
from ddp.ratings.sources.layout import Layout
from ddp.ratings.sources.rating_files import read_rows
from ddp.ratings.sources.recognise import recognise

SIZES = (100_000, 25_000_000)
CHUNK = 1_000_000  # rows that are written at a time
READ, RECOGNISE, RATIO = "read, s", "recognise, ms", "times given"
GIVEN = Layout(
    separator=",", header=True, encoding="utf-8", quote='"', decimal=".",
    user="userId", item="movieId", rating="rating", timestamp="timestamp",
)  # fmt: skip
LAYOUTS = {"given": GIVEN, "recognised": Layout()}


def main() -> None:
    """The command."""
    parser = command_line("reading", __doc__)
    parser.add_argument(
        "--sizes", nargs="+", type=int, default=SIZES, help="numbers of ratings of the files"
    )
    arguments = parser.parse_args()
    import pandas  # noqa: F401  # not on anybody's time

    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for size in arguments.sizes:
            path = write_file(Path(folder) / f"{size}.csv", size)
            candidates = [
                ({"ratings": f"{size:,}", "format": name}, partial(measure, path, layout))
                for name, layout in LAYOUTS.items()
            ]
            measured = in_turn(candidates, arguments.repeats)
            add_ratio(measured, RATIO, READ, measured[0], faster=False)
            rows += measured
            path.unlink()
    title = f"Reading a file of ratings: median (lowest - highest) of {arguments.repeats}"
    table = table_of(title, rows, ("ratings", "format"), (READ, RATIO, RECOGNISE))
    report("reading", arguments, rows, [table])


def write_file(path: Path, size: int) -> Path:
    """Writes a file of `size` ratings with the columns of MovieLens 25M."""
    random = np.random.default_rng(0)
    with path.open("w", encoding="utf-8") as file:
        file.write("userId,movieId,rating,timestamp\n")
        for first in range(0, size, CHUNK):
            num = min(CHUNK, size - first)
            users = np.sort(random.integers(1, 162_542, num))
            items, halves = random.integers(1, 209_172, num), random.integers(1, 11, num)
            times = random.integers(789_652_009, 1_574_327_703, num)
            columns = (users.tolist(), items.tolist(), (halves / 2).tolist(), times.tolist())
            file.writelines(
                f"{user},{item},{rating},{when}\n"
                for user, item, rating, when in zip(*columns, strict=True)
            )
    return path


def measure(path: Path, layout: Layout) -> Figures:
    """The seconds of reading all rows, and the milliseconds of the recognition in it."""
    began = time.perf_counter()
    read_rows("benchmark", [path], layout)
    read_s = time.perf_counter() - began
    content = read_content(path, layout)
    began = time.perf_counter()
    recognise(content, layout)
    return {READ: read_s, RECOGNISE: 1e3 * (time.perf_counter() - began)}


if __name__ == "__main__":
    main()
