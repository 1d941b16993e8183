"""Timestamps as people write them: seconds, milliseconds or finer, and dates (ISO 8601)."""

import re
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

# Numbers from here on are counted in a finer unit. In seconds it would be the year 5138.
_UNITS = ((1e17, 1_000_000_000, "nanoseconds"), (1e14, 1_000_000, "microseconds"),
          (1e11, 1000, "milliseconds"), (0.0, 1, "seconds"))  # fmt: skip
_NUMBER = re.compile(r"[ \t]*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?[ \t]*", re.I)
_FIRST_DAY, _LAST_DAY = 19000101, 21001231  # 20050930 is a day; as seconds it would be in 1970

Times = npt.NDArray[np.int64] | npt.NDArray[np.float64]


def to_seconds(raw: npt.NDArray[Any]) -> tuple[Times, str]:
    """(seconds since 1970, the unit in words) of timestamps: numbers, or text of numbers or dates.

    Gives int64, or float64 if any has a fraction. Raises ValueError if not all are of one kind.
    """
    if raw.dtype != object:
        return _from_numbers(raw)
    import pandas as pd

    codes, distinct = pd.factorize(raw)
    kinds = {kind_of(text) for text in distinct}
    if kinds == {"number"}:
        seconds, unit = _from_numbers(_numbers(distinct))
        return seconds[codes], unit
    if kinds != {"date"}:
        raise ValueError("timestamps are not all of one kind")
    dates = np.array([_date(text).timestamp() for text in distinct])
    return _whole_if_possible(dates)[codes], "dates"


def kind_of(text: str) -> str | None:
    """ "number" or "date"; None: it is neither."""
    if _NUMBER.fullmatch(text):
        return "number" if np.isfinite(float(text)) and abs(float(text)) < 2**63 else None
    try:
        _date(text)
    except (ValueError, OverflowError):
        return None
    return "date"


def unit_of(number: float) -> str:
    """The unit that a timestamp of this size is counted in."""
    return next(name for least, _, name in _UNITS if abs(number) >= least)


def _from_numbers(numbers: npt.NDArray[Any]) -> tuple[Times, str]:
    lowest, highest = float(numbers.min()), float(numbers.max())
    if not np.isfinite(highest - lowest):
        raise ValueError("a timestamp is not finite")
    unit = unit_of(max(-lowest, highest))
    if unit != "seconds":
        smallest = np.abs(numbers[numbers != 0].astype(np.float64)).min()
        if unit_of(smallest) != unit:
            raise ValueError("timestamps are not all in one unit")
    if numbers.dtype == np.int64 and numbers.min() >= _FIRST_DAY and numbers.max() <= _LAST_DAY:
        days = _days(numbers)
        if days is not None:
            return days, "dates"
    parts = next(parts for _, parts, name in _UNITS if name == unit)
    if parts == 1:
        return _whole_if_possible(numbers), unit
    return _whole_if_possible(numbers / parts), unit


def _days(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64] | None:
    """Seconds of days such as 20050930; None if one of them is no day."""
    distinct, codes = np.unique(numbers, return_inverse=True)
    try:
        return np.array([_date(str(day)).timestamp() for day in distinct]).astype(np.int64)[codes]
    except ValueError:
        return None


def _date(text: str) -> datetime:
    """The moment of an ISO 8601 text, in UTC if it does not say where. Raises ValueError."""
    moment = datetime.fromisoformat(text.strip(" \t").replace("/", "-"))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _numbers(texts: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if all(re.fullmatch(r"[ \t]*[+-]?[0-9]+[ \t]*", text) for text in texts):
        return np.array([int(text) for text in texts], dtype=np.int64)
    return np.array([float(text) for text in texts])


def _whole_if_possible(numbers: npt.NDArray[Any]) -> Times:
    if numbers.dtype == np.int64:
        return numbers
    return numbers.astype(np.int64) if (numbers == np.floor(numbers)).all() else numbers
