"""Counts as people and files have them: rounds from 1, and "1 round" but "2 rounds".

Inside the code a `round_index` counts from 0; a `round` counts from 1.
"""

# of result.json and trace.json; the rounds of format 1 count from 0 (ddp/results/earlier.py)
FORMAT = 2


def round_of(round_index: int) -> int:
    """The round, counted from 1, with this index, counted from 0."""
    return round_index + 1


def in_round(round_index: int | None) -> str:
    """Where a worker was, in words; None: before its first round."""
    return "before its first round" if round_index is None else f"in round {round_of(round_index)}"


def counted(number: int, noun: str) -> str:
    """The number with its noun, as in "1 round" or "2,000 rounds"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
