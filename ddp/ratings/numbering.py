"""New numbers for users and items: those that belong together get numbers side by side."""

from dataclasses import dataclass

from ddp.ratings.arrays import IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbering:
    """The new number of each user and of each item: int32 (num_users,) and int32 (num_items,)."""

    users: IntArray
    items: IntArray
