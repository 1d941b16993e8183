"""Makes `Features` of columns of text.

| column of the file                | columns of the features                                     |
| --------------------------------- | ----------------------------------------------------------- |
| numbers, if more than 20 of them  | one: the number less the mean, over the standard deviation; |
| differ or one has a fraction      | a missing number counts as the mean                         |
| any other; a cell may have        | one for each value, `name=value`: 1 / sqrt(k) for each of   |
| several values, as in `War|Drama` | the k values of a cell                                      |

So each column of the file gives a row a vector of about length 1. A value of one row alone, or of
all rows, tells nothing of another row. It is left out, and does not count for k.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ddp.ratings.arrays import Features, IntArray
from ddp.ratings.sources.columns import NUMBER

MOST_CLASSES = 20  # more different numbers are an amount, such as an age
BETWEEN_VALUES = "|"
_MISSING = ("", "na", "n/a", "nan", "null", "none")  # in any case


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """Users or items as a file tells of them: `columns`: name -> the cell of each of the `ids`.

    `ids`: int64 or str, each once, in any order.
    """

    path: Path
    ids: npt.NDArray[np.int64] | npt.NDArray[np.str_]
    columns: Mapping[str, Sequence[str]]


# name, rows, values
Column = tuple[str, npt.NDArray[np.integer], npt.NDArray[np.float64]]


def features_of(
    columns: Mapping[str, Sequence[str]], positions: IntArray
) -> tuple[Features, tuple[str, ...]]:
    """The features, and a sentence about each column that is odd or left out.

    `columns`: name -> the cell of each row of a file. `positions`: int32 (rows,), what
    `Features.rows` says of each row, each once.
    """
    found: list[Column] = []
    notes: list[str] = []
    for name, cells in columns.items():
        texts = [cell.strip() for cell in cells]
        numbers, odd = _numbers(texts)
        made = list(_marks(name, texts) if numbers is None else _standardised(name, numbers))
        if odd:
            notes.append(
                f"{name}: {odd!r} is no number, so each value is an attribute of its own; if it"
                " means that none is known, leave the field empty"
            )
        if not made:
            notes.append(f"{name} is left out: it has one value in all rows, or another in each")
        found += made
    return _joined(found, positions), tuple(notes)


def _numbers(texts: Sequence[str]) -> tuple[npt.NDArray[np.float64] | None, str]:
    """(the numbers of an amount, or None if the column holds classes; the text that made it so).

    A missing number is NaN. The text is "" unless most of the other values are numbers.
    """
    distinct = [text for text in dict.fromkeys(texts) if text.lower() not in _MISSING]
    others = [text for text in distinct if not _is_number(text)]
    if others or not distinct:
        most_are = 2 * len(others) < len(distinct) or all(map(NUMBER.fullmatch, others))
        return None, others[0] if most_are and len(distinct) > MOST_CLASSES else ""
    numbers = np.array(list(map(float, distinct)))
    if len(np.unique(numbers)) <= MOST_CLASSES and (numbers == np.floor(numbers)).all():
        return None, ""
    number_of = dict(zip(distinct, numbers.tolist(), strict=True))
    return np.array([number_of.get(text, np.nan) for text in texts]), ""


def _is_number(text: str) -> bool:
    return NUMBER.fullmatch(text) is not None and "," not in text and bool(np.isfinite(float(text)))


def _standardised(name: str, numbers: npt.NDArray[np.float64]) -> Iterator[Column]:
    rows = np.flatnonzero(~np.isnan(numbers))
    known = numbers[rows] / np.abs(numbers[rows]).max()  # no sum of these is too large
    known -= known.min()
    if known.max() > 0:
        known /= known.max()
        yield name, rows, (known - known.mean()) / known.std()


def _marks(name: str, texts: Sequence[str]) -> Iterator[Column]:
    values_of = {text: _values(text) for text in dict.fromkeys(texts)}
    rows_with: dict[str, list[int]] = {value: [] for each in values_of.values() for value in each}
    for row, text in enumerate(texts):
        for value in values_of[text]:
            rows_with[value].append(row)
    shared = {
        value: np.array(rows) for value, rows in rows_with.items() if 1 < len(rows) < len(texts)
    }
    number = np.zeros(len(texts))
    for rows in shared.values():
        number[rows] += 1
    for value, rows in sorted(shared.items()):
        yield f"{name}={value}", rows, 1 / np.sqrt(number[rows])


def _values(text: str) -> list[str]:
    values = dict.fromkeys(map(str.strip, text.split(BETWEEN_VALUES)))
    return [value for value in values if value.lower() not in _MISSING]


def _joined(columns: Sequence[Column], positions: IntArray) -> Features:
    rows, values = [np.empty(0, np.int32)], [np.empty(0)]
    for _, own_rows, own_values in columns:
        order = np.argsort(positions[own_rows])
        rows.append(positions[own_rows][order])
        values.append(own_values[order])
    return Features(
        names=tuple(name for name, _, _ in columns),
        starts=np.cumsum([len(each) for each in rows], dtype=np.int64),
        rows=np.concatenate(rows),
        values=np.concatenate(values).astype(np.float32),
    )
