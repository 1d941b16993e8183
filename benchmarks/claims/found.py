"""The measurements by which claims are judged."""

from collections.abc import Mapping, Sequence

from benchmarks.claims import calls
from benchmarks.claims.verdicts import Series
from benchmarks.harness import Row

# candidate -> figure -> its values, repeat by repeat
Found = Mapping[str, Mapping[str, Sequence[float]]]
Cells = tuple[str, str, str]  # measured here, holds when, turns over at

CALLS = "single calls"
JOB_MB = calls.size_mb(calls.JOB_FLOATS)


def found_in(rows: Sequence[Row]) -> Found:
    """The figures of all rows, by the name of the candidate."""
    return {str(row.labels["what"]): row.figures for row in rows}


def sizes(found: Found, what: str, floats: Sequence[int]) -> Series:
    """The figures of a call by the size of the state, MB."""
    return {calls.size_mb(size): found[CALLS][calls.call_name(what, size)] for size in floats}


def speed_ups(found: Found, of: str, over: str, figure: str) -> list[float]:
    """The speed-up of `of` over `over`, repeat by repeat."""
    return [other / own for own, other in zip(found[of][figure], found[over][figure], strict=True)]
