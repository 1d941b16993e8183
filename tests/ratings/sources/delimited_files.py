"""Files of ratings with one rating a line, and their rows as they are read."""

from dataclasses import replace
from pathlib import Path

from ddp.config.data import CsvData
from ddp.ratings.load import load_ratings

# as conf/data/csv.yaml has them, without a cache
AUTO = CsvData(
    name="csv", path="unset", paths=None, separator="auto", header="auto", encoding="auto",
    quote="auto", decimal="auto", skip_lines=0, comment=None, user="auto", item="auto",
    rating="auto", timestamp="auto", ids="auto", not_rated=None, rating_min=None, rating_max=None,
    duplicates="error", cache=None, user_features=None, item_features=None,
)  # fmt: skip
# nothing is recognised
DEFAULTS = replace(
    AUTO, separator=",", header=True, encoding="utf-8", quote='"', decimal=".",
    user="userId", item="movieId", rating="rating", timestamp=None,
)  # fmt: skip
HEADER = "userId,movieId,rating,when\n"
GOOD = "1,10,3,100\n2,10,4,100\n"  # two lines below it


def write(path: Path, content: str | bytes) -> str:
    """Writes the file and returns its path."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def load(path: Path, content: str | bytes, base: CsvData = DEFAULTS, **options):
    """The ratings of a file with that content."""
    return load_ratings(replace(base, path=write(path, content), **options), seed=0)


def rows(ratings) -> list[tuple]:
    """(user id, item id, rating) of each."""
    return list(
        zip(
            ratings.user_ids[ratings.users].tolist(),
            ratings.item_ids[ratings.items].tolist(),
            ratings.ratings.tolist(),
            strict=True,
        )
    )
