"""data=csv: any file of ratings, or several (`data.paths`, one per worker with split=files)."""

import hashlib
from dataclasses import fields
from pathlib import Path

from ddp.config.data import CsvData
from ddp.ratings.arrays import Ratings
from ddp.ratings.sources.cache import cached
from ddp.ratings.sources.layout import Layout
from ddp.ratings.sources.rating_files import read_ratings
from ddp.ratings.telling import Tell, nobody


def layout_of(data: CsvData) -> Layout:
    """The layout that `data` describes."""
    same = {field.name for field in fields(Layout)} - {"published", "not_rated", "comment"}
    return Layout(
        **{name: getattr(data, name) for name in same},
        not_rated=tuple(data.not_rated or ()),
        comment=data.comment or "",
    )


def load(data: CsvData, tell: Tell = nobody) -> Ratings:
    """The ratings of `data.path` or `data.paths`. The latter fill `Ratings.files`."""
    names = data.paths if data.paths is not None else [data.path or ""]
    paths = [Path(name) for name in names]
    layout = layout_of(data)
    several = data.paths is not None
    options = repr((data.name, layout, several))
    cache_file = None
    if data.cache is not None:
        identity = repr(([str(path.resolve()) for path in paths], options))
        cache_file = Path(data.cache) / f"{hashlib.sha256(identity.encode()).hexdigest()[:20]}.npz"
    return cached(
        cache_file,
        paths,
        options,
        lambda: read_ratings(data.name, paths, layout, number_files=several, tell=tell),
    )
