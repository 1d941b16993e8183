"""Ids of users and items: whole numbers where all of them are, else text."""

import re
from typing import Any

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64] | npt.NDArray[np.str_]

WHOLE = re.compile(r"\s*([+-]?[0-9]+)(?:\.0*)?\s*")
LONGEST = 1000  # characters; a longer id is a mistake, and all ids take as much room as the longest


def whole_number(text: str) -> int | None:
    """The number if `text` is a whole one that fits into 64 bits, such as 12, 012 or 12.0."""
    match = WHOLE.fullmatch(text)
    # int() refuses very long numbers
    if match is None or len(match[1].lstrip("+-0")) > len(str(2**63)):
        return None
    number = int(match[1])
    return number if -(2**63) <= number < 2**63 else None


def numbers_or_text(ids: npt.NDArray[Any], *, as_text: bool = False) -> Ids:
    """Ids from str objects: int64 if all are whole numbers of 64 bits, else fixed-width text.

    Blanks around an id are none of it. `as_text`: keep numbers as they are written.
    """
    numbers = [None] if as_text else [whole_number(text) for text in ids]
    if None not in numbers:
        return np.array(numbers, dtype=np.int64)
    return np.array([text.strip() for text in ids], dtype=np.str_)


def positions(raw: npt.NDArray[Any], *, as_text: bool = False) -> tuple[Ids, npt.NDArray[np.int32]]:
    """(the sorted distinct ids, each row's position among them)."""
    import pandas as pd

    codes, distinct = pd.factorize(raw)  # by hashing: several times faster than sorting all rows
    if distinct.dtype == object:
        distinct = numbers_or_text(distinct, as_text=as_text)
    ids, rank = np.unique(distinct, return_inverse=True)
    return ids, rank.astype(np.int32)[codes]


def first_text_among_numbers(raw: npt.NDArray[Any]) -> int | None:
    """The first row whose id is no whole number, if those of most rows are; else None."""
    import pandas as pd

    if raw.dtype != object:
        return None
    codes, distinct = pd.factorize(raw)
    is_text = np.array([whole_number(text) is None for text in distinct])[codes]
    return int(is_text.argmax()) if 0 < 2 * np.count_nonzero(is_text) < len(raw) else None
