"""Pipes in which worker processes without common memory tell each other that a turn may begin
(split=stratified).
"""

import struct
import time
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

TURN = struct.Struct("=q")


@dataclass(slots=True)
class TurnPipes:
    """A worker's ends: the one that it reads, and one to each worker. None if nothing is handed
    on.
    """

    ours: Connection | None = None
    to: dict[int, Connection] = field(default_factory=dict)
    # turns whose number came while we waited for that of an earlier one
    _begun: set[int] = field(default_factory=set)

    def tell(self, worker: int, turn: int) -> None:
        """Turn `turn` of another worker may begin.

        All write into its pipe without a lock: so short a message is one write that no other can
        come into, and as nobody gets more than a few turns ahead of a worker that it needs rows of,
        the pipe is never full.
        """
        with suppress(BrokenPipeError):  # it is dead: our parent sees to that, and will stop us
            self.to[worker].send_bytes(TURN.pack(turn))

    def wait(self, turn: int, timeout_s: float) -> bool:
        """Waits until our turn `turn` may begin; False after `timeout_s`."""
        assert self.ours is not None
        deadline = time.monotonic() + timeout_s
        while turn not in self._begun:
            if not self.ours.poll(max(0.0, deadline - time.monotonic())):
                return False
            (number,) = TURN.unpack(self.ours.recv_bytes())
            self._begun.add(number)
        self._begun.remove(turn)
        return True
