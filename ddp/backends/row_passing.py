"""How rows of items go from worker to worker (split=stratified), one way for each kind of memory.

RowsInTurn    serial        all train in one vector, one after another
SharedRows    thread, shm   all train in one vector; a counter for each group says whose turn it is
ManagerRows   process       the manager's dict carries the rows; a pipe says that they are there

    worker 0 --rows--> manager's dict --rows--> worker 1        ManagerRows
             --number of the turn, in a pipe-->
"""

import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext

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
    """For workers in one thread: each has had its turn before the next turn begins."""

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
    """For workers that share memory: all train in `vector`, and gates make them take turns.

    `counters`: int64 (groups + 1,), see ddp/machine/compiled/gates.py.
    """

    def __init__(self, vector: Vector, counters: IndexArray) -> None:
        # imported here, since it loads numba, which not every worker needs
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
    """A worker's ends of the pipes for turns: `ours`, which it reads, and one `to` each worker.

    Through them processes that share no memory tell each other that a turn may begin.
    """

    worker: int
    ours: Connection
    to: dict[int, Connection]
    # turns that others announced during the wait for an earlier one
    _begun: set[int] = field(default_factory=set)

    def tell(self, worker: int, turn: int) -> None:
        """Tells another worker that its turn `turn` may begin.

        All workers write into that worker's pipe without a lock. A message this short is one write,
        which no other write can split. Workers need each other's rows, so none gets more than a few
        turns ahead, and the pipe is never full.
        """
        with suppress(BrokenPipeError):  # that worker is dead: the parent notices
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

    def close(self) -> None:
        """Closes the ends in the parent, once the workers have theirs."""
        for end in (self.ours, *self.to.values()):
            end.close()


def connect_rows(workers: Sequence[int], context: BaseContext) -> list[RowPipes]:
    """The ends for each worker: it reads its own pipe, and writes into those of all."""
    ends = {worker: context.Pipe(duplex=False) for worker in workers}
    to = {worker: writer for worker, (_, writer) in ends.items()}
    return [RowPipes(worker, reader, to) for worker, (reader, _) in ends.items()]


class ManagerRows(RowPassing):
    """For processes that share nothing: rows travel pickled through the manager's dict `shared`.

    `tell`: sends the aggregator a message, which says where the rows are.
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
        vector: Vector = fetch(self.shared, key, self.spans)
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
