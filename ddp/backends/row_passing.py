"""How rows of items go from worker to worker (split=stratified), one way for each kind of memory.

SharedRows    thread, shm   all train in one vector; a counter for each group says whose turn it is
ManagerRows   process       the manager's dict carries the rows, a pipe the news that they are there
RowsInTurn    serial        all train in one vector, one after another
"""

import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import numpy as np

from ddp.backends.store import Store, fetch, send, turn_key
from ddp.model.parameters import Vector
from ddp.model.rows import unpack
from ddp.ratings.arrays import IndexArray
from ddp.timing.spans import Spans
from ddp.tracking.messages import HandedOn, Message
from ddp.workers.exchange import RowPassing

TURN = struct.Struct("=q")


class RowsInTurn(RowPassing):
    """For workers that take turns in one thread. Each has had its turn before any has the next."""

    def __init__(self, vector: Vector) -> None:
        self.vector = vector

    def working_vector(self, start: Vector) -> Vector:
        return self.vector

    def take(
        self, group: int, turn: int, before: int, rows: Sequence[Vector], timeout_s: float
    ) -> bool:
        return True

    def hand_on(self, group: int, turn: int, to: int, rows: Sequence[Vector]) -> None:
        """Nothing to do."""


class SharedRows(RowPassing):
    """For workers that share memory: `vector`, in which all train, and the `counters` of the gates.

    `counters`: int64 (groups + 1,), see ddp/machine/compiled/gates.py.
    """

    def __init__(self, vector: Vector, counters: IndexArray) -> None:
        # here, for it loads numba, which not every worker needs
        from ddp.machine.compiled.gates import Gates

        self.vector = vector
        self.counters = counters
        self.gates: Gates = Gates(counters)

    def working_vector(self, start: Vector) -> Vector:
        return self.vector

    def take(
        self, group: int, turn: int, before: int, rows: Sequence[Vector], timeout_s: float
    ) -> bool:
        return self.gates.wait(group, turn, timeout_s)

    def hand_on(self, group: int, turn: int, to: int, rows: Sequence[Vector]) -> None:
        self.gates.open(group, turn)


@dataclass(slots=True)
class RowPipes:
    """Worker `worker`'s ends of the pipes: the one that it reads, and one to each worker.

    Processes without common memory tell each other through them that a turn may begin.
    """

    worker: int
    ours: Connection
    to: dict[int, Connection]
    # turns that others announced during the wait for an earlier one
    _begun: set[int] = field(default_factory=set)

    def tell(self, worker: int, turn: int) -> None:
        """Tells another worker that its turn `turn` may begin.

        All workers write into its pipe without a lock. A message this short is one write, so no
        other write can come in between. No worker gets more than a few turns ahead of another whose
        rows it needs, so the pipe is never full.
        """
        with suppress(BrokenPipeError):  # it is dead: the parent sees to that, and stops the run
            self.to[worker].send_bytes(TURN.pack(turn))

    def wait(self, turn: int, timeout_s: float) -> bool:
        """Waits until this worker's turn may begin; False after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while turn not in self._begun:
            if not self.ours.poll(max(0.0, deadline - time.monotonic())):
                return False
            (number,) = TURN.unpack(self.ours.recv_bytes())
            self._begun.add(number)
        self._begun.remove(turn)
        return True


class ManagerRows(RowPassing):
    """For processes that share nothing: rows travel pickled through the manager's dict `shared`.

    `tell`: sends a message to the aggregator, which learns so where the rows are.
    """

    def __init__(
        self, shared: Store, pipes: RowPipes, spans: Spans, tell: Callable[[Message], None]
    ) -> None:
        self.shared = shared
        self.pipes = pipes
        self.spans = spans
        self.tell = tell

    def working_vector(self, start: Vector) -> Vector:
        return start.copy()

    def take(
        self, group: int, turn: int, before: int, rows: Sequence[Vector], timeout_s: float
    ) -> bool:
        worker = self.pipes.worker
        if before == worker:
            return True
        if not self.pipes.wait(turn, timeout_s):
            return False
        key = turn_key(worker, turn)
        vector = fetch(self.shared, key, self.spans)
        with self.spans("copy"):
            unpack(vector, rows)
        self.spans.count_copied(vector.nbytes)
        with self.spans("transfer"):
            del self.shared[key]
        return True

    def hand_on(self, group: int, turn: int, to: int, rows: Sequence[Vector]) -> None:
        worker = self.pipes.worker
        if to != worker:
            with self.spans("copy"):
                vector = np.concatenate([array.ravel() for array in rows])
            self.spans.count_copied(vector.nbytes)
            send(self.shared, turn_key(to, turn), vector, self.spans)
            self.pipes.tell(to, turn)
        self.tell(HandedOn(worker=worker, group=group, turn=turn))
