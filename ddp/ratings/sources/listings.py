"""Files of MovieLens sets with a line per item or user: titles, and what else they tell."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ddp.errors import DataError

Told = TypeVar("Told")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A file with a line per item or user: its id, then other fields."""

    file: str
    separator: str
    encoding: str
    header: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Titles(Listing):
    """A file with a line per item: id, title, ...

    `year_column`: the column of the year, where the title does not hold it.
    """

    year_column: int | None = None


def read_listing(
    path: Path, form: Listing, told: Callable[[list[str]], Told], trouble: str
) -> dict[int, Told]:
    """Id -> that which `told` makes of the fields of its line.

    Raises DataError with `trouble` for a line of which it makes nothing: ValueError, IndexError.
    """
    found: dict[int, Told] = {}
    line = 0
    try:
        with path.open(encoding=form.encoding, newline="") as file:
            quoted = form.separator == ","
            rows = (
                csv.reader(file)
                if quoted
                else (line.rstrip("\r\n").split(form.separator) for line in file)
            )
            for line, row in enumerate(rows, start=1):
                if row and row != [""] and not (form.header and line == 1):
                    found[int(row[0])] = told(row)
    except (ValueError, IndexError, csv.Error):
        raise DataError(f"{path}:{max(line, 1)}: {trouble}") from None
    return found


def read_titles(
    path: Path, titles: Titles, item_ids: npt.NDArray[np.generic]
) -> npt.NDArray[np.str_]:
    """The title of each item, such as 'Some Film (1995)': str (num_items,).

    It is "" where the file has none. Raises DataError.
    """

    def title(row: list[str]) -> str:
        year = "" if titles.year_column is None else row[titles.year_column]
        return f"{row[1]} ({year})" if year.isdigit() else row[1]

    trouble = f"is not 'item id{titles.separator}title'. Delete the file to go on without titles."
    found = read_listing(path, titles, title, trouble)
    return np.array([found.get(item, "") for item in item_ids.tolist()], dtype=np.str_)
