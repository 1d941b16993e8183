"""The data of small benchmarks, and a figure of their output."""

from pathlib import Path

REPOSITORY = Path(__file__).parent.parent.parent
DATA = ("data.num_users=60", "data.num_items=40", "data.num_ratings=1200", "data.popularity=0.3")


def median(row, figure):
    return row["figures"][figure]["median"]
