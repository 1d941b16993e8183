"""`Ratings`: the form of every source of data; `Part` and `Block`: the ratings of a worker."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int32]
FloatArray = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a source was read. It tells the user; nothing of a run depends on it.

    | field      | meaning                                                                   |
    | ---------- | ------------------------------------------------------------------------- |
    | `format`   | part ("separator", "header", "user", "item", ...) -> its value in words,  |
    |            | and where that comes from: "given", "recognised" or "published"           |
    | `left_out` | reason -> number of rows that are not among the ratings                   |
    | `warnings` | sentences about rows that look wrong                                      |
    """

    format: dict[str, tuple[str, str]]
    left_out: dict[str, int]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """The attributes of users or of items: a sparse matrix by columns, one column per attribute.

    | field    | type                   | meaning                                                  |
    | -------- | ---------------------- | -------------------------------------------------------- |
    | `names`  | tuple of str           | of the columns, such as `age` or `genre=Drama`           |
    | `starts` | int64 (num_columns+1,) | column c has the entries `starts[c]` to `starts[c + 1]`  |
    | `rows`   | int32 (entries,)       | positions in `Ratings.user_ids` or `item_ids`, ascending |
    |          |                        | in each column                                           |
    | `values` | float32 (entries,)     | ddp/ratings/features.py says their scale                 |

    A user or item without entries has no attributes.
    """

    names: tuple[str, ...]
    starts: IndexArray
    rows: IntArray
    values: FloatArray


@dataclass(slots=True, kw_only=True)
class Ratings:
    """n ratings of `num_users` users for `num_items` items, in the order of their source.

    | field                      | type             | meaning                                   |
    | -------------------------- | ---------------- | ----------------------------------------- |
    | `users`, `items`           | int32 (n,)       | positions in `user_ids` and `item_ids`    |
    | `ratings`                  | float32 (n,)     |                                           |
    | `user_ids`, `item_ids`     | int64 or str     | the data's own ids, sorted, each once     |
    | `rating_min`, `rating_max` | float            | the scale that predictions are clipped to |
    | `timestamps`               | int or float64   | (n,), seconds; None if the data has none  |
    | `files`                    | int16 (n,)       | the number of the file in `data.paths`    |
    | `titles`                   | str (num_items,) | "" where a title is unknown               |
    | `noise_floor`              | float            | RMSE of the true model, of synthetic data |
    | `test_rows`                | int64, ascending | the rows of `split.test_file`             |
    | `reading`                  | Reading          | None: the ratings come from no file       |
    | `user_features`, ...       | Features         | the attributes; None: none are given      |
    """

    name: str
    users: IntArray
    items: IntArray
    ratings: FloatArray
    user_ids: npt.NDArray[np.int64] | npt.NDArray[np.str_]
    item_ids: npt.NDArray[np.int64] | npt.NDArray[np.str_]
    rating_min: float
    rating_max: float
    timestamps: npt.NDArray[np.int64] | npt.NDArray[np.float64] | None = None
    files: npt.NDArray[np.int16] | None = None
    titles: npt.NDArray[np.str_] | None = None
    noise_floor: float | None = None
    test_rows: IndexArray | None = None
    reading: Reading | None = None
    user_features: Features | None = None
    item_features: Features | None = None

    @property
    def num_users(self) -> int:
        return len(self.user_ids)

    @property
    def num_items(self) -> int:
        return len(self.item_ids)

    def __len__(self) -> int:
        return len(self.ratings)

    def deciding(self) -> list[npt.NDArray[Any]]:
        """The arrays that decide the numbers of a run, for a checksum over them."""
        arrays: list[npt.NDArray[Any]] = [self.users, self.items, self.ratings]
        for features in (self.user_features, self.item_features):
            if features is not None:
                arrays += [features.starts, features.rows, features.values]
        return arrays

    def part(self, rows: IndexArray) -> "Part":
        """A copy of the given rows."""
        return Part(users=self.users[rows], items=self.items[rows], ratings=self.ratings[rows])


@dataclass(slots=True, kw_only=True)
class Part:
    """Some of the ratings, as a worker gets them.

    `users` and `items` are int32 (n,), `ratings` is float32 (n,).
    """

    users: IntArray
    items: IntArray
    ratings: FloatArray

    def __len__(self) -> int:
        return len(self.ratings)

    def take(self, rows: IndexArray) -> "Part":
        """A copy of the given rows."""
        return Part(users=self.users[rows], items=self.items[rows], ratings=self.ratings[rows])

    def between(self, rows: slice) -> "Part":
        """A view of a range of the rows."""
        return Part(users=self.users[rows], items=self.items[rows], ratings=self.ratings[rows])

    def counted_from(self, first_user: int, first_item: int) -> "Part":
        """The same ratings, with users and items counted from these numbers.

        Copies a column only if its numbers change.
        """
        return Part(
            users=self.users - np.int32(first_user) if first_user else self.users,
            items=self.items - np.int32(first_item) if first_item else self.items,
            ratings=self.ratings,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The ratings of a range of users for a range of items.

    `train`, `valid` and `test` are their rows in the worker's parts of these names.
    """

    users: slice
    items: slice
    train: slice
    valid: slice
    test: slice
