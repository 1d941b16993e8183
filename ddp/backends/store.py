"""The document's shared dict: its keys, and the access to it that threads and processes have in common.

Under keys `w{w}_r{r}_best`, `_rmse`, `_test_loss` and `_ready` a worker leaves its update, under `agg_r{r}_state` the
aggregator leaves the aggregate. (`_test_loss` holds the loss on whatever part `select_on` names.)
"""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from ddp.timing import Spans

Store = MutableMapping[str, Any]

FIELDS = ("best", "rmse", "test_loss", "ready")


def worker_key(worker: int, round_index: int, field: str) -> str:
    """The document's key of one of FIELDS."""
    return f"w{worker}_r{round_index}_{field}"


def aggregate_key(round_index: int) -> str:
    """The document's key of a round's aggregate."""
    return f"agg_r{round_index}_state"


def turn_key(worker: int, turn: int) -> str:
    """The key of the rows that a worker needs for a turn (split=stratified, which the document does not know)."""
    return f"w{worker}_t{turn}_items"


def read_keys(num_workers: int, round_index: int) -> list[str]:
    """What nobody will read again once the aggregate of `round_index` is out.

    Every worker has published this round, so each is past the aggregate of the round before.
    """
    keys = [worker_key(worker, round_index, field) for worker in range(num_workers) for field in FIELDS]
    return [*keys, aggregate_key(round_index - 1)]


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
