"""The attributes that a MovieLens set tells of its users and films: data.user_features=own."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ddp.config.data import OWN, MovieLensData
from ddp.errors import DataError
from ddp.ratings.features import BETWEEN_VALUES, Attributes
from ddp.ratings.sources.listings import Listing, read_listing
from ddp.ratings.sources.movielens import fetch_files, present
from ddp.ratings.sources.sets import SETS
from ddp.ratings.telling import Tell

# of u.item, in the order of its marks
_GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary",
    "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi",
    "Thriller", "War", "Western",
)  # fmt: skip
# of users.dat, by their numbers
_OCCUPATIONS = (
    "other", "academic/educator", "artist", "clerical/admin", "college/grad student",
    "customer service", "doctor/health care", "executive/managerial", "farmer", "homemaker",
    "K-12 student", "lawyer", "programmer", "retired", "sales/marketing", "scientist",
    "self-employed", "technician/engineer", "tradesman/craftsman", "unemployed", "writer",
)  # fmt: skip
_YEAR_IN_TITLE = re.compile(r"\(([0-9]{4})\)\s*$")
_NO_GENRES = "(no genres listed)"

Cells = dict[str, str]  # attribute -> its text


def _user_100k(fields: list[str]) -> Cells:
    return {"age": fields[1], "gender": fields[2], "occupation": fields[3]}


def _user_1m(fields: list[str]) -> Cells:
    occupation = _OCCUPATIONS[int(fields[3])]
    return {"gender": fields[1], "age": fields[2], "occupation": occupation}


def _film(genres: str, year: str) -> Cells:
    if not year.isdigit():  # of the film that the set calls unknown
        year = ""
    return {"genre": genres, "year": year, "decade": year and f"{year[:3]}0s"}


def _film_with_marks(fields: list[str]) -> Cells:
    marks = zip(_GENRES, fields[5:], strict=True)
    genres = [genre for genre, mark in marks if mark == "1"]
    return _film(BETWEEN_VALUES.join(genres), fields[2][-4:])  # 01-Jan-1995


def _film_of_recbole(fields: list[str]) -> Cells:
    return _film(fields[3].replace(" ", BETWEEN_VALUES), fields[2])


def _film_with_year_in_title(fields: list[str]) -> Cells:
    year = _YEAR_IN_TITLE.search(fields[1])
    return _film(fields[2].replace(_NO_GENRES, ""), year[1] if year else "")


# file -> the attributes in the fields of one of its lines
_ATTRIBUTES: dict[str, Callable[[list[str]], Cells]] = {
    "u.user": _user_100k,
    "ml-100k.user": _user_100k,
    "users.dat": _user_1m,
    "u.item": _film_with_marks,
    "ml-100k.item": _film_of_recbole,
    "movies.dat": _film_with_year_in_title,
    "movies.csv": _film_with_year_in_title,
}


def own_attributes(data: MovieLensData, kind: str, tell: Tell) -> Attributes:
    """The attributes of all users (items) of a set. Fetches their file if it is not there.

    Raises DataError.
    """
    known = SETS[data.name]
    forms: tuple[Listing, ...] = known.users if kind == "user" else known.titles
    option = f"data.{kind}_features={OWN}"
    if not forms:
        raise DataError(
            f"{option}: data={data.name} tells nothing of its {kind}s. Name a FILE of attributes,"
            " or leave the option out."
        )
    folder = Path(data.root) / known.folder
    form = present(forms, folder)
    if form is None:
        fetch_files(data, known, [each.file for each in forms], option, tell)
        form = present(forms, folder)
        assert form is not None
    path = folder / form.file
    trouble = f"is no line of the published {form.file}. Delete it to have it fetched again."
    rows = read_listing(path, form, _ATTRIBUTES[form.file], trouble)
    if not rows:
        raise DataError(f"{path}: is empty. Delete it to have it fetched again.")
    names = next(iter(rows.values()))
    columns = {name: [cells[name] for cells in rows.values()] for name in names}
    return Attributes(path=path, ids=np.array(list(rows), np.int64), columns=columns)
