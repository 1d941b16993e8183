"""The turns of one worker (split=stratified).

In each turn the worker trains on one block of its ratings. The rows of the block's items come from
the worker that held them in the turn before, and go to the worker that needs them in the next turn.
"""

from ddp.errors import LateRows
from ddp.model.parameters import Parameters, Vector
from ddp.model.rows import item_rows
from ddp.ratings.strata import Strata
from ddp.timing.spans import Spans
from ddp.trainers.trainer import Turns
from ddp.workers.exchange import RowPassing
from ddp.workers.job import Job


class WorkerTurns(Turns):
    """The turns of the worker of `job`. It trains in `parameters`, which workers may share.

    Turns are numbered from the first round of a run on. An epoch has as many turns as workers.
    """

    def __init__(
        self, job: Job, strata: Strata, rows: RowPassing, parameters: Parameters, spans: Spans
    ) -> None:
        self.job = job
        self.strata = strata
        self.rows = rows
        self.parameters = parameters
        self.spans = spans
        self.gates = rows.gates
        self.timeout_s = job.config.round_timeout
        self.first = strata.first_turn(job.first_round)
        self.end = strata.first_turn(job.config.rounds)

    def block(self, turn: int) -> int:
        """The index of the turn's block, which is the number of its group of items."""
        return self.strata.group(self.job.worker, turn)

    def take(self, turn: int) -> None:
        """Waits for the rows of the turn, which another worker held in the turn before.

        Raises LateRows after `timeout_s`.
        """
        if turn == self.first:
            return
        group = self.block(turn)
        before = self.strata.holder(group, turn - 1)
        if not self.rows.take(group, turn, before, self._items(turn), self.timeout_s):
            raise self.late(turn)

    def hand_on(self, turn: int) -> None:
        """Passes the rows of the turn to the worker that holds them next."""
        if turn + 1 == self.end:
            return
        group = self.block(turn)
        with self.spans("publish"):
            to = self.strata.holder(group, turn + 1)
            self.rows.hand_on(group, turn + 1, to, self._items(turn))

    def waited(self, turn: int, seconds: float) -> None:
        """Notes the seconds that the worker waited for a turn, and for which other worker."""
        if turn > self.first and seconds > 0:
            self.spans.waited_for(self.strata.holder(self.block(turn), turn - 1), seconds)

    def late(self, turn: int) -> LateRows:
        """The error for rows that did not come in time."""
        before = self.strata.holder(self.block(turn), turn - 1)
        return LateRows(
            f"no items came from worker {before} within round_timeout={self.timeout_s:g} s"
        )

    def _items(self, turn: int) -> list[Vector]:
        """The rows of items that the worker holds in a turn."""
        block = self.job.shard.blocks[self.block(turn)]
        return item_rows(self.parameters.block(block.users, block.items))
