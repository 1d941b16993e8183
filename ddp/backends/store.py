"""The shared dict of the seed systems: its keys, and the access that threads and processes share.

key                    from        value
w{w}_r{r}_best         worker      the vector of its update
w{w}_r{r}_rmse         worker      that state's RMSE
w{w}_r{r}_test_loss    worker      the loss on the part that `select_on` names
w{w}_r{r}_ready        worker      True, written last
agg_r{r}_state         aggregator  the aggregate of the round
w{w}_r{r}_state        worker      its trainer state (not in the seed systems)
w{w}_t{t}_items        worker      rows of items that worker w needs in turn t (not in them)
"""

import pickle
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

from ddp.model.parameters import Vector
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


def entries_of(update: Update, vector: Vector) -> dict[str, Any]:
    """The entries of an update, whose vector is in the store as `vector`. "ready" comes last."""
    values = zip(FIELDS, (vector, update.rmse, update.loss, True), strict=True)
    return {worker_key(update.worker, update.round_index, field): value for field, value in values}


class Readers:
    """Keeps for each aggregate the workers that may still read it.

    A worker may read an aggregate from when it was told of it until it has published again.
    """

    def __init__(self) -> None:
        self._readers: dict[int, set[int]] = {}

    def done(self, counted: Mapping[int, int], round_index: int) -> list[str]:
        """The keys that nobody reads again once the aggregate of the round is out.

        `counted`: the workers that count in it, with the round of their update.
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
    """The keys that a worker has left in the store, but for its update of round `but_of`."""
    return [
        key
        for key in keys
        if key.startswith(f"w{worker}_") and not key.startswith(f"w{worker}_r{but_of}_")
    ]


def send(store: Store, key: str, vector: Vector, spans: Spans) -> None:
    """Puts a vector into the manager's dict, pickled here and not inside the proxy.

    So serialising and the way through the manager are timed apart, and the bytes of a numpy array
    travel. (A torch tensor would travel as a handle to shared memory.)
    """
    with spans("serialise"):
        pickled = pickle.dumps(vector, protocol=pickle.HIGHEST_PROTOCOL)
    spans.count_bytes(len(pickled))
    with spans("transfer"):
        store[key] = pickled


def fetch(store: Store, key: str, spans: Spans) -> Vector:
    """The vector that `send` has put there."""
    with spans("transfer"):
        pickled = store[key]
    spans.count_bytes(len(pickled))
    with spans("deserialise"):
        # a worker or the aggregator of this run pickled it a moment ago
        vector: Vector = pickle.loads(pickled)
    return vector


@contextmanager
def held(lock: Any, spans: Spans) -> Iterator[None]:
    """Holds the lock, and times the wait for it and the holding of it apart."""
    with spans("lock_wait"):
        lock.acquire()
    try:
        with spans("lock_hold"):
            yield
    finally:
        lock.release()
