"""The shared dict of the seed systems: its keys, and the access that threads and processes share.

key                    from        value
w{w}_r{r}_best         worker      the vector of its update
w{w}_r{r}_rmse         worker      that state's RMSE
w{w}_r{r}_test_loss    worker      the loss on the part that `select_on` names
w{w}_r{r}_ready        worker      True, written last
agg_r{r}_state         aggregator  the aggregate of the round
w{w}_r{r}_state        worker      its trainer state (not in the seed systems)
w{w}_t{t}_items        worker      rows of items for worker w in turn t (not in the seed systems)
w{w}_p{p}_rows         worker      its rows and sums of phase p (not in the seed systems)
"""

import pickle
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from ddp.model.parameters import EMPTY_VECTOR, Vector
from ddp.timing.spans import Spans
from ddp.workers.exchange import Update

Store = MutableMapping[str, Any]

FIELDS = ("best", "rmse", "test_loss", "ready")
TRAINER_STATE = "state"


def worker_key(worker: int, round_index: int, field: str) -> str:
    """The key of one of FIELDS, or that of TRAINER_STATE, of a worker's update."""
    return f"w{worker}_r{round_index}_{field}"


def aggregate_key(round_index: int) -> str:
    """The key of a round's aggregate."""
    return f"agg_r{round_index}_state"


def turn_key(worker: int, turn: int) -> str:
    """The key of the rows that a worker needs for a turn (split=stratified)."""
    return f"w{worker}_t{turn}_items"


def phase_key(worker: int, phase: int) -> str:
    """The key of the rows that a worker has made in a phase (split=both)."""
    return f"w{worker}_p{phase}_rows"


def entries_of(update: Update, vector: Vector) -> dict[str, Any]:
    """The entries of an update, with `vector` for its vector. "ready" comes last."""
    worker, round_index = update.worker, update.round_index
    entries = {
        worker_key(worker, round_index, "best"): vector,
        worker_key(worker, round_index, "rmse"): update.rmse,
        worker_key(worker, round_index, "test_loss"): update.loss,
    }
    if len(update.trainer_state):
        entries[worker_key(worker, round_index, TRAINER_STATE)] = update.trainer_state
    entries[worker_key(worker, round_index, "ready")] = True
    return entries


def update_of(
    worker: int, round_index: int, read: Callable[[str], Any], *, with_state: bool
) -> Update:
    """The update that `entries_of` has split. `read`: gives the value of a key."""

    def value(field: str) -> Any:
        return read(worker_key(worker, round_index, field))

    return Update(
        worker=worker,
        round_index=round_index,
        vector=value("best"),
        rmse=value("rmse"),
        loss=value("test_loss"),
        trainer_state=value(TRAINER_STATE) if with_state else EMPTY_VECTOR,
    )


class Readers:
    """Keeps for each aggregate the workers that may still read it.

    A worker may read an aggregate from its broadcast on, until the worker has published again.
    """

    def __init__(self) -> None:
        self._readers: dict[int, set[int]] = {}

    def done(
        self, averaged: Mapping[int, int], workers: Collection[int], round_index: int
    ) -> list[str]:
        """The keys that nobody reads again, after the broadcast of the aggregate of a round.

        `averaged`: worker -> the round of its update in this aggregate. `workers`: those that are
        not dropped.
        """
        keys = [
            worker_key(worker, updated, field)
            for worker, updated in averaged.items()
            for field in (*FIELDS, TRAINER_STATE)
        ]
        for readers in self._readers.values():
            readers.difference_update(averaged)
        old = [index for index, readers in self._readers.items() if not readers]
        for index in old:
            del self._readers[index]
        self._readers[round_index] = set(averaged).intersection(workers)
        return [*keys, *map(aggregate_key, old)]

    def forget(self, worker: int) -> None:
        """Takes a dropped worker out of all readers."""
        for readers in self._readers.values():
            readers.discard(worker)


def left_by(keys: Iterable[str], worker: int, but_of: int | None) -> list[str]:
    """The keys of a worker in the store, except those of its update of round `but_of`."""
    return [
        key
        for key in keys
        if key.startswith(f"w{worker}_") and not key.startswith(f"w{worker}_r{but_of}_")
    ]


def send(store: Store, key: str, value: Any, spans: Spans) -> None:
    """Puts a value into the manager's dict.

    A vector is pickled here, not inside the proxy: so two spans time the pickling and the way
    through the manager.
    """
    if isinstance(value, np.ndarray):
        with spans("serialise"):
            value = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
        spans.count_bytes(len(value))
    with spans("transfer"):
        store[key] = value


def fetch(store: Store, key: str, spans: Spans) -> Any:
    """The value that `send` has put into the manager's dict."""
    with spans("transfer"):
        value = store[key]
    if isinstance(value, bytes):
        spans.count_bytes(len(value))
        with spans("deserialise"):
            value = pickle.loads(value)  # a process of this run pickled it a moment ago
    return value


@contextmanager
def held(lock: Any, spans: Spans) -> Iterator[None]:
    """Holds the lock. One span times the wait for it, another one its holding."""
    with spans("lock_wait"):
        lock.acquire()
    try:
        with spans("lock_hold"):
            yield
    finally:
        lock.release()
