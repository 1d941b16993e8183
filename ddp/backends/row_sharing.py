"""How each worker's rows get to all others (split=both), one way for each kind of memory.

RowsOfOne      serial        all make rows in one vector, one after another
CommonRows     thread, shm   all make rows in one vector; a counter says what each worker has done
ManagerSharing process       the manager's dict carries the rows; a pipe says that they are there

    worker 0 --its rows--> manager's dict --its rows--> worker 1, worker 2, ...
             --number of the phase, in pipes----------> worker 1, worker 2, ...
"""

from collections.abc import Callable, Sequence

import numpy as np

from ddp.backends.row_passing import RowPipes
from ddp.backends.store import Store, fetch, phase_key, send
from ddp.model.parameters import Vector
from ddp.model.room import Room
from ddp.ratings.arrays import Doubles, IndexArray
from ddp.timing.spans import Spans
from ddp.tracking.messages import HandedOn, Message
from ddp.workers.exchange import RowSharing


class RowsOfOne(RowSharing):
    """For workers in one thread: each has had its phase before the next phase begins."""

    def __init__(self, vector: Vector, room: Room) -> None:
        self.vector = vector
        self.room = room

    def working_vector(self, start: Vector) -> Vector:
        return self.vector

    def working_room(self) -> Room:
        return self.room

    def share(self, phase: int, arrays: Sequence[Vector | Doubles]) -> None:
        """Nothing to do."""

    def take(
        self, phase: int, worker: int, arrays: Sequence[Vector | Doubles], timeout_s: float
    ) -> bool:
        return True


class CommonRows(RowsOfOne):
    """For workers that share memory: gates keep them in step.

    `counters`: int64 (workers + 1,), the last phase of each worker, see
    ddp/machine/compiled/gates.py.
    """

    def __init__(self, vector: Vector, room: Room, counters: IndexArray) -> None:
        # imported here, since it loads numba, which not every worker needs
        from ddp.machine.compiled.gates import Gates

        super().__init__(vector, room)
        self.gates: Gates = Gates(counters)


class ManagerSharing(RowSharing):
    """For processes that share nothing: rows travel pickled through the manager's dict `shared`.

    `workers`: all that take part. `tell`: sends the aggregator a message.
    """

    def __init__(
        self,
        shared: Store,
        pipes: RowPipes,
        workers: Sequence[int],
        room: Room,
        spans: Spans,
        tell: Callable[[Message], None],
    ) -> None:
        self.shared = shared
        self.pipes = pipes
        self.workers = workers
        self.room = room
        self.spans = spans
        self.tell = tell

    def working_vector(self, start: Vector) -> Vector:
        return start.copy()

    def working_room(self) -> Room:
        return self.room

    def share(self, phase: int, arrays: Sequence[Vector | Doubles]) -> None:
        own = self.pipes.worker
        if len(self.workers) > 1:
            with self.spans("copy"):
                content = np.concatenate([array.ravel().view(np.uint8) for array in arrays])
            self.spans.count_copied(content.nbytes)
            send(self.shared, phase_key(own, phase), content, self.spans)
            # This worker has taken the phase before from all, so all had taken the one before that.
            with self.spans("transfer"):
                self.shared.pop(phase_key(own, phase - 2), None)
        for worker in self.workers:
            if worker != own:
                self.pipes.tell(worker, self._number(phase, own))
        self.tell(HandedOn(worker=own, group=self.workers.index(own), turn=phase))

    def take(
        self, phase: int, worker: int, arrays: Sequence[Vector | Doubles], timeout_s: float
    ) -> bool:
        if not self.pipes.wait(self._number(phase, worker), timeout_s):
            return False
        content = fetch(self.shared, phase_key(worker, phase), self.spans)
        with self.spans("copy"):
            start = 0
            for array in arrays:
                stop = start + array.nbytes
                array[...] = content[start:stop].view(array.dtype).reshape(array.shape)
                start = stop
        self.spans.count_copied(content.nbytes)
        return True

    def _number(self, phase: int, worker: int) -> int:
        """One number for a phase of a worker, as the pipes carry it."""
        return phase * len(self.workers) + self.workers.index(worker)
