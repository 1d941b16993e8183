"""The protocols of benchmarks.quality: the rows of their test parts, and files of them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ddp.config.data import MovieLensData
from ddp.ratings.arrays import IndexArray, Ratings
from ddp.ratings.sources.test_file import with_test_file

PROTOCOLS = ("random", "folds", "time")
VALID_FRACTION = 0.05  # of the training part

HeldOut = tuple[str, ...]  # the settings of a run that hold out its test part


def test_parts(
    protocol: str, data: MovieLensData, ratings: Ratings, repeats: int
) -> Iterator[IndexArray]:
    """The rows of the test part of each repeat."""
    if protocol == "random":
        for seed in range(repeats):
            yield np.random.default_rng(seed).permutation(len(ratings))[: len(ratings) // 5]
    elif protocol == "folds":
        own = [Path(data.root) / "ml-100k" / f"u{fold}.test" for fold in range(1, 6)]
        if all(file.exists() for file in own):
            for file in own:
                rows = with_test_file(ratings, file, data).test_rows
                assert rows is not None
                yield rows
            return
        yield from np.array_split(np.random.default_rng(0).permutation(len(ratings)), 5)
    else:
        assert ratings.timestamps is not None
        order = np.lexsort((ratings.timestamps, ratings.users))
        counts = np.bincount(ratings.users, minlength=ratings.num_users)
        # a rating's place among those of its user, by time
        place = np.arange(len(ratings)) - np.repeat(np.cumsum(counts) - counts, counts)
        latest = order[place >= np.repeat(counts - counts // 5, counts)]
        for _ in range(repeats):
            yield latest


def write_parts(
    protocol: str, ratings: Ratings, parts: Sequence[IndexArray], folder: Path
) -> list[HeldOut]:
    """Writes each part to a file of its own, and gives the settings that hold it out."""
    files = [folder / f"{protocol}{repeat}.tsv" for repeat in range(len(parts))]
    for part, file in zip(parts, files, strict=True):
        _write_rows(ratings, part, file)
    return [(f"split.test_file={file}",) for file in files]


def _write_rows(ratings: Ratings, rows: IndexArray, file: Path) -> None:
    """Writes rows with the data's own ids, in the format of u.data."""
    columns = (ratings.user_ids[ratings.users[rows]], ratings.item_ids[ratings.items[rows]])
    lines = (
        f"{user}\t{item}\t{rating:g}\t0\n"
        for user, item, rating in zip(*columns, ratings.ratings[rows], strict=True)
    )
    file.write_text("".join(lines), encoding="utf-8")
