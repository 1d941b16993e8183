"""Finds the rows of users or items by the data's own ids, in any form that a caller has them in."""

import math
from collections.abc import Iterable
from functools import cached_property
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from ddp.ratings.arrays import IndexArray
from ddp.ratings.sources.ids import whole_number

Id = int | str | float
Ids = Id | Iterable[Id]  # lists, tuples, ranges, and what numpy makes an array of: pandas' columns

_NO_ID = "an id is a number or a text"
# A type of floats holds every whole number below this one; other types: 2**53.
_EXACT_BELOW: dict[type, float] = {np.float16: 2.0**11, np.float32: 2.0**24}


class KnownIds:
    """The ids of a model's users or items: row r has the id `ids[r]`, and the ids are sorted.

    | the model's ids | an id that is asked for                                            |
    |-----------------|--------------------------------------------------------------------|
    | numbers         | 196, 196.0, "196", "0196" and "196.0" are the same                 |
    | text            | a number counts as its text: 196 and 196.0 as "196", 3.5 as "3.5"  |

    Blanks around a text do not count.
    """

    def __init__(self, ids: npt.NDArray[Any], kind: str) -> None:
        self.ids = ids
        self.kind = kind  # "user" or "item", for messages
        self.are_numbers = ids.dtype.kind == "i"

    def rows(self, ids: Ids, *, refuse: bool = False) -> IndexArray:
        """The row of each of `ids`, -1 for an unknown one; int64 (n,), or () for a single id.

        Raises ValueError for a value that is no id. With `refuse`, raises KeyError for the first
        unknown id.
        """
        values, single = self._values(ids)
        whole = _whole_numbers(values) if self.are_numbers else None
        rows = self._find(values, single) if whole is None else self._search(whole)
        if refuse and (rows < 0).any():
            raise KeyError(
                f"{self.kind} {values[int((rows < 0).argmax())]} is not in the data that the model"
                " was trained on"
            )
        return rows.reshape(()) if single else rows

    def _values(self, ids: Any) -> tuple[npt.NDArray[Any] | list[Any], bool]:
        """The ids, and whether they are a single one."""
        if hasattr(ids, "__array__"):
            array = np.asanyarray(ids)  # "any": a masked array keeps its mask
            if array.ndim > 1:
                raise ValueError(f"{self.kind}s of shape {array.shape}: give a list of ids")
            return np.atleast_1d(array), array.ndim == 0
        if isinstance(ids, str | bytes) or not np.iterable(ids):
            return [ids], True
        return list(ids), False  # an array of numbers and texts would change them

    def _search(self, wanted: npt.NDArray[np.int64]) -> IndexArray:
        rows = np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1)
        return np.where(self.ids[rows] == wanted, rows, -1)

    def _find(self, ids: npt.NDArray[Any] | list[Any], single: bool) -> IndexArray:
        values = _listed(ids)
        self._check(values, single)
        rows = np.fromiter(map(self._row_of.get, values, repeat(-1)), np.int64, len(values))
        missed = np.flatnonzero(rows < 0).tolist()
        again = {
            value: self._row_of.get(self._text(value), -1)
            for value in {values[position] for position in missed}
        }
        rows[missed] = [again[values[position]] for position in missed]
        return rows

    def _check(self, values: list[Any], single: bool) -> None:
        if {*map(type, values)} <= {int, str}:
            return
        for position, value in enumerate(values):
            if trouble := _trouble(value):
                where = self.kind if single else f"{self.kind}s[{position}]"
                raise ValueError(f"{where} is {value}: {trouble}")

    @cached_property
    def _row_of(self) -> dict[str, int]:
        """The row by the text of an id."""
        return {text: row for row, text in enumerate(map(str, self.ids.tolist()))}

    def _text(self, value: Any) -> str:
        """The text of the id that `value` stands for."""
        if not isinstance(value, str):
            return str(value if value % 1 else int(value))
        number = whole_number(value) if self.are_numbers else None
        return value.strip() if number is None else str(number)


def _whole_numbers(ids: npt.NDArray[Any] | list[Any]) -> npt.NDArray[np.int64] | None:
    """The same numbers as int64; None if one of them is not whole, may be rounded, or is text."""
    if isinstance(ids, list) and {*map(type, ids)} != {int}:
        return None
    array = np.asanyarray(ids)
    if array.dtype.kind == "f":
        exact = (abs(array) < _exact_below(array.dtype.type)) & (array == np.rint(array))
    elif array.dtype.kind in "iu":
        exact = array <= np.iinfo(np.int64).max
    else:
        return None
    return array.astype(np.int64) if exact.all() and not np.ma.is_masked(array) else None


def _listed(ids: npt.NDArray[Any] | list[Any]) -> list[Any]:
    if isinstance(ids, list):
        return ids
    # tolist() is quick; the elements of other arrays keep their types
    values: list[Any] = ids.tolist() if ids.dtype.kind in "iuUO" else list(ids)
    return values


def _trouble(value: Any) -> str | None:
    """The reason why a value is no id; None if it is one."""
    if isinstance(value, float | np.floating):
        size = abs(float(value))
        if size < _exact_below(type(value)):
            return None
        return (
            _NO_ID
            if math.isnan(size)
            else "a float of this size is rounded; give a whole number or text"
        )
    is_id = isinstance(value, int | str | np.integer) and not isinstance(value, bool)
    return None if is_id else _NO_ID


def _exact_below(kind: type[Any]) -> float:
    return _EXACT_BELOW.get(kind, 2.0**53)
