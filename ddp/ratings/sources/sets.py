"""The MovieLens sets (https://grouplens.org/datasets/movielens/): their sources and layouts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ddp.ratings.sources.layout import Layout
from ddp.ratings.sources.listings import Listing, Titles
from ddp.ratings.sources.remote import Download, Member, Source, Wheel

_GROUPLENS = "https://files.grouplens.org/datasets/movielens"


@dataclass(frozen=True, slots=True, kw_only=True)
class MovieLensSet:
    """A MovieLens set and its sources.

    | field          | meaning                                                                    |
    | -------------- | -------------------------------------------------------------------------- |
    | `ratings_file` | the last file that `fetch` writes: if it is there, the set is complete     |
    | `titles`       | files of titles; `load` reads the first that exists                        |
    | `users`        | files that describe users                                                  |
    | `limit_bytes`  | size that neither a file of the set nor the archive exceeds                |
    | `sha256`       | of `ratings_file`; None: it has no published one                           |
    """

    folder: str
    ratings_file: str
    layout: Layout
    titles: tuple[Titles, ...]
    sources: tuple[Source, ...]
    limit_bytes: int
    users: tuple[Listing, ...] = ()
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
        Member(
            name="recbole/dataset_example/ml-100k/ml-100k.user",
            target="ml-100k.user",
            required=False,
        ),
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
        users=(
            Listing(file="u.user", separator="|", encoding="latin-1"),
            Listing(file="ml-100k.user", separator="\t", encoding="utf-8", header=True),
        ),
        sources=(
            _grouplens(
                "ml-100k",
                "u.item",
                "u.data",
                optional=("u.user", *_ML100K_SPLITS),
                sha256=ML100K_SHA256,
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
        users=(Listing(file="users.dat", separator="::", encoding="latin-1"),),
        sources=(_grouplens("ml-1m", "movies.dat", "ratings.dat", optional=("users.dat",)),),
        limit_bytes=100_000_000,
    ),
    "ml_latest_small": _csv_set("ml-latest-small", 100_000_000),
    "ml25m": _csv_set("ml-25m", 4_000_000_000),
    "ml32m": _csv_set("ml-32m", 4_000_000_000),
}
