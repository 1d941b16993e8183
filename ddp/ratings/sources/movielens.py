"""Reads the MovieLens sets, and fetches those of their files that are not there."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ddp.config.data import MovieLensData
from ddp.errors import DataError
from ddp.ratings.arrays import Ratings
from ddp.ratings.sources.cache import cached
from ddp.ratings.sources.listings import Listing, read_titles
from ddp.ratings.sources.rating_files import read_ratings
from ddp.ratings.sources.remote import Download, Source
from ddp.ratings.sources.sets import SETS, MovieLensSet
from ddp.ratings.telling import Tell, nobody

Form = TypeVar("Form", bound=Listing)


def load(data: MovieLensData, known: MovieLensSet | None = None, tell: Tell = nobody) -> Ratings:
    """Reads the set `data.name` (or `known`), and fetches it first if `data.root` lacks it.

    Raises DataError when no source has it, or when its files are not the published ones.
    """
    known = known or SETS[data.name]
    folder = Path(data.root) / known.folder
    path = folder / known.ratings_file
    if not _is_there(path):
        _fetch(
            data, known, known.sources, path, "choose data=synthetic, which needs no download", tell
        )
    titles = present(known.titles, folder)
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


def present(listings: Sequence[Form], folder: Path) -> Form | None:
    """The first of the files that is in the folder; None: none is."""
    return next((form for form in listings if (folder / form.file).is_file()), None)


def titles_of(data: MovieLensData, item_ids: npt.NDArray[Any]) -> npt.NDArray[np.str_] | None:
    """The titles of items of a set that is loaded; None: it has no file of titles."""
    known = SETS[data.name]
    folder = Path(data.root) / known.folder
    titles = present(known.titles, folder)
    return None if titles is None else read_titles(folder / titles.file, titles, item_ids)


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


def fetch_files(
    data: MovieLensData, known: MovieLensSet, files: Sequence[str], option: str, tell: Tell
) -> None:
    """Fetches those of these files that the first source has; `option` needs them.

    Raises DataError.
    """
    sources: list[Source] = []
    for source in known.sources:
        members = [member for member in source.members if member.target in files]
        needed = tuple(replace(member, required=True) for member in members)
        sources += [replace(source, members=needed)] if needed else []
    path = Path(data.root) / known.folder / files[0]
    _fetch(data, known, sources, path, f"leave out {option}", tell)


def _fetch(
    data: MovieLensData,
    known: MovieLensSet,
    sources: Sequence[Source],
    path: Path,
    otherwise: str,
    tell: Tell,
) -> None:
    """Fetches files into the folder of `path`, which is one of them. Raises DataError."""
    from ddp.ratings.sources.fetch import fetch

    reasons = fetch(
        sources,
        path.parent,
        connect_timeout_s=data.connect_timeout_s,
        limit_bytes=known.limit_bytes,
        tell=tell,
    )
    if reasons:
        zips = [source.url for source in sources if isinstance(source, Download)]
        tried = "\n".join(f"  - {reason}" for reason in reasons)
        raise DataError(
            f"data={data.name}: {path} is not there, and no source gave it:\n{tried}\n"
            f"Get {zips[0] if zips else 'the set'} by other means, and put its files into"
            f" {path.parent} so that {path} exists; or {otherwise}."
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
