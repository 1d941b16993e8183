"""The MovieLens sets (https://grouplens.org/datasets/movielens/): their sources and layouts."""

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ddp.config.data import MovieLensData
from ddp.errors import DataError
from ddp.ratings.arrays import Ratings
from ddp.ratings.sources.cache import cached
from ddp.ratings.sources.layout import Layout
from ddp.ratings.sources.rating_files import read_ratings
from ddp.ratings.sources.remote import Download, Member, Source, Wheel
from ddp.ratings.telling import Tell, nobody

_GROUPLENS = "https://files.grouplens.org/datasets/movielens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Titles:
    """A file with a line per item: id, title, ...

    `year_column`: the column of the year, where the title does not hold it.
    """

    file: str
    separator: str
    encoding: str
    header: bool = False
    year_column: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MovieLensSet:
    """A MovieLens set and its sources.

    | field          | meaning                                                                    |
    | -------------- | -------------------------------------------------------------------------- |
    | `ratings_file` | the last file that `fetch` writes: if it is there, the set is complete     |
    | `titles`       | files of titles; `load` reads the first that exists                        |
    | `limit_bytes`  | size that neither a file of the set nor the archive exceeds                |
    | `sha256`       | of `ratings_file`; None: it has no published one                           |
    """

    folder: str
    ratings_file: str
    layout: Layout
    titles: tuple[Titles, ...]
    sources: tuple[Source, ...]
    limit_bytes: int
    sha256: str | None = None


def _layout(separator: str, rating_min: float) -> Layout:
    return Layout(
        separator=separator, header=False, encoding="utf-8", quote="", decimal=".",
        user=0, item=1, rating=2, timestamp=3, rating_min=rating_min, rating_max=5.0,
        published=True,
    )  # fmt: skip


def _grouplens(
    folder: str, *files: str, optional: Sequence[str] = (), sha256: str | None = None
) -> Download:
    """A zip of GroupLens, which holds one folder of the same name.

    The last of `files` holds the ratings. `fetch` writes it last.
    """
    extra = tuple(Member(name=f"{folder}/{file}", target=file, required=False) for file in optional)
    titles = tuple(Member(name=f"{folder}/{file}", target=file) for file in files[:-1])
    ratings = Member(name=f"{folder}/{files[-1]}", target=files[-1], sha256=sha256)
    return Download(url=f"{_GROUPLENS}/{folder}.zip", members=(*extra, *titles, ratings))


def _csv_set(folder: str, limit_bytes: int) -> MovieLensSet:
    return MovieLensSet(
        folder=folder,
        ratings_file="ratings.csv",
        layout=replace(
            _layout(",", 0.5),
            header=True,
            quote='"',
            user="userId",
            item="movieId",
            rating="rating",
            timestamp="timestamp",
        ),
        titles=(Titles(file="movies.csv", separator=",", encoding="utf-8", header=True),),
        sources=(_grouplens(folder, "movies.csv", "ratings.csv"),),
        limit_bytes=limit_bytes,
    )


ML100K_SHA256 = "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490"
_ML100K_SPLITS = tuple(
    f"{part}.{kind}"
    for part in ("u1", "u2", "u3", "u4", "u5", "ua", "ub")
    for kind in ("base", "test")
)
# RecBole ships the set as an example: u.data below one header line, and the titles in a table of
# its own.
_ML100K_WHEEL = Wheel(
    requirement="recbole==1.2.1",
    members=(
        Member(name="recbole/dataset_example/ml-100k/ml-100k.item", target="ml-100k.item"),
        Member(
            name="recbole/dataset_example/ml-100k/ml-100k.inter",
            target="u.data",
            num_lines_skipped=1,
            sha256=ML100K_SHA256,
        ),
    ),
)

SETS: dict[str, MovieLensSet] = {
    "ml100k": MovieLensSet(
        folder="ml-100k",
        ratings_file="u.data",
        layout=_layout("\t", 1.0),
        titles=(
            Titles(file="u.item", separator="|", encoding="latin-1"),
            Titles(
                file="ml-100k.item", separator="\t", encoding="utf-8", header=True, year_column=2
            ),
        ),
        sources=(
            _grouplens(
                "ml-100k", "u.item", "u.data", optional=_ML100K_SPLITS, sha256=ML100K_SHA256
            ),
            _ML100K_WHEEL,
        ),
        limit_bytes=20_000_000,
        sha256=ML100K_SHA256,
    ),
    "ml1m": MovieLensSet(
        folder="ml-1m",
        ratings_file="ratings.dat",
        layout=_layout("::", 1.0),
        titles=(Titles(file="movies.dat", separator="::", encoding="latin-1"),),
        sources=(_grouplens("ml-1m", "movies.dat", "ratings.dat"),),
        limit_bytes=100_000_000,
    ),
    "ml_latest_small": _csv_set("ml-latest-small", 100_000_000),
    "ml25m": _csv_set("ml-25m", 4_000_000_000),
    "ml32m": _csv_set("ml-32m", 4_000_000_000),
}


def load(data: MovieLensData, known: MovieLensSet | None = None, tell: Tell = nobody) -> Ratings:
    """Reads the set `data.name` (or `known`), and fetches it first if `data.root` lacks it.

    Raises DataError when no source has it, or when its files are not the published ones.
    """
    known = known or SETS[data.name]
    folder = Path(data.root) / known.folder
    path = folder / known.ratings_file
    if not _is_there(path):
        from ddp.ratings.sources.fetch import fetch

        reasons = fetch(
            known.sources,
            folder,
            connect_timeout_s=data.connect_timeout_s,
            limit_bytes=known.limit_bytes,
            tell=tell,
        )
        if reasons:
            raise _nowhere(data.name, path, known, reasons)
    titles = next((titles for titles in known.titles if (folder / titles.file).is_file()), None)
    files = [path] if titles is None else [path, folder / titles.file]

    def build() -> Ratings:
        _verify(path, known.sha256)
        ratings = read_ratings(data.name, [path], known.layout, tell=tell)
        if titles is not None:
            ratings.titles = read_titles(folder / titles.file, titles, ratings.item_ids)
        return ratings

    return cached(
        folder / "ratings.npz", files, repr((data.name, known.layout, titles, known.sha256)), build
    )


def _is_there(path: Path) -> bool:
    """True if the file exists. Raises DataError for a place that cannot be looked at."""
    try:
        path.stat()  # from Python 3.14 on, Path.exists() is False for a name that is too long
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read: {error.strerror}. Set data.root to a folder of yours."
        ) from None
    return True


def _nowhere(name: str, path: Path, known: MovieLensSet, reasons: Sequence[str]) -> DataError:
    zips = [source.url for source in known.sources if isinstance(source, Download)]
    tried = "\n".join(f"  - {reason}" for reason in reasons)
    return DataError(
        f"data={name}: {path} is not there, and no source gave it:\n{tried}\n"
        f"Get {zips[0] if zips else 'the set'} by other means, and put its files into"
        f" {path.parent} "
        f"so that {path} exists; or choose data=synthetic, which needs no download."
    )


def _verify(path: Path, sha256: str | None) -> None:
    if sha256 is None:
        return
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sha256:
        raise DataError(
            f"{path}: is not the published file: its SHA-256 is {digest}, not {sha256}. "
            "Delete it to have it fetched again, or read a file of your own with data=csv"
            " data.path=FILE."
        )


def read_titles(
    path: Path, titles: Titles, item_ids: npt.NDArray[np.generic]
) -> npt.NDArray[np.str_]:
    """The title of each item, such as 'Some Film (1995)': str (num_items,).

    It is "" where the file has none. Raises DataError.
    """
    found: dict[int, str] = {}
    line = 0
    try:
        with path.open(encoding=titles.encoding, newline="") as file:
            quoted = titles.separator == ","
            rows = (
                csv.reader(file)
                if quoted
                else (line.rstrip("\r\n").split(titles.separator) for line in file)
            )
            for line, row in enumerate(rows, start=1):
                if row and row != [""] and not (titles.header and line == 1):
                    year = "" if titles.year_column is None else row[titles.year_column]
                    found[int(row[0])] = f"{row[1]} ({year})" if year.isdigit() else row[1]
    except (ValueError, IndexError, csv.Error):
        raise DataError(
            f"{path}:{max(line, 1)}: is not 'item id{titles.separator}title'. Delete the file to"
            " go on without titles."
        ) from None
    return np.array([found.get(item, "") for item in item_ids.tolist()], dtype=np.str_)
