"""The document's shared dict: its keys, and the access to it that threads and processes have in
   common.

Under keys `w{w}_r{r}_best`, `_rmse`, `_test_loss` and `_ready` a worker leaves its update, under
`agg_r{r}_state` the aggregator leaves the aggregate. (`_test_loss` holds the loss on whatever part
`select_on` names; `_memory`, which the document does not know, is there only in rounds that may be
gone back to.)
"""

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

from ddp.timing.spans import Spans

Store = MutableMapping[str, Any]

FIELDS = ("best", "rmse", "test_loss", "ready")
TRAINER_STATE = "memory"


def worker_key(worker: int, round_index: int, field: str) -> str:
    """The document's key of one of FIELDS, or that of TRAINER_STATE."""
    return f"w{worker}_r{round_index}_{field}"


def aggregate_key(round_index: int) -> str:
    """The document's key of a round's aggregate."""
    return f"agg_r{round_index}_state"


def turn_key(worker: int, turn: int) -> str:
    """The key of the rows that a worker needs for a turn (split=stratified, which the document does
    not know).
    """
    return f"w{worker}_t{turn}_items"


class Readers:
    """Who may still read which aggregate: whoever was told of it, until it has published again."""

    def __init__(self) -> None:
        self._readers: dict[int, set[int]] = {}

    def done(self, counted: Mapping[int, int], round_index: int) -> list[str]:
        """What nobody will read again once the workers that count in the aggregate of the round
           were told that it is out.

        `counted`: these, and of which round their updates were.
        """
        keys = [
            worker_key(worker, updated, field)
            for worker, updated in counted.items()
            for field in (*FIELDS, TRAINER_STATE)
        ]
        for readers in self._readers.values():
            readers.difference_update(counted)
        old = [index for index, readers in self._readers.items() if not readers]
        for index in old:
            del self._readers[index]
        self._readers[round_index] = set(counted)
        return [*keys, *map(aggregate_key, old)]

    def forget(self, worker: int) -> None:
        """A worker was dropped: it reads nothing any more."""
        for readers in self._readers.values():
            readers.discard(worker)


def left_by(keys: Iterable[str], worker: int, but_of: int | None) -> list[str]:
    """What a worker has left in the store, but for the update of that round."""
    return [
        key
        for key in keys
        if key.startswith(f"w{worker}_") and not key.startswith(f"w{worker}_r{but_of}_")
    ]


@contextmanager
def held(lock: Any, spans: Spans) -> Iterator[None]:
    """Holds the lock, and accounts for waiting for it and for holding it."""
    with spans("lock_wait"):
        lock.acquire()
    try:
        with spans("lock_hold"):
            yield
    finally:
        lock.release()
