"""A worker's view of the others: the one interface that the rounds in worker.py and stratified.py
are written against.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ddp.model.parameters import EMPTY_VECTOR, Vector
from ddp.ratings.arrays import IndexArray
from ddp.timing.spans import Spans
from ddp.tracking.messages import Message

if TYPE_CHECKING:
    from ddp.machine.compiled.gates import Gates


@dataclass(slots=True, kw_only=True)
class Update:
    """What a worker publishes at the end of a round: its best state, that state's RMSE, and the
       loss that may weigh it.

    With split=stratified the rows that it holds, one after another. `trainer_state`: see `Job.trainer_state`,
    at the end of this round; empty unless the run may go back to it (`Job.sends_state`).
    """

    worker: int
    round_index: int
    vector: Vector
    rmse: float
    loss: float
    trainer_state: Vector = field(default_factory=lambda: EMPTY_VECTOR)


class Exchange(ABC):
    """A worker's end of a backend. `spans` is the worker's stopwatch: an implementation opens the
    finer spans in it.
    """

    own_process = False  # whether the worker has a process of its own

    @abstractmethod
    def publish(self, update: Update, spans: Spans) -> None:
        """Makes the update visible to the aggregator; `update.vector` may be changed as soon as
        this returns.
        """

    @abstractmethod
    def wait(self, round_index: int, timeout_s: float, spans: Spans) -> bool:
        """Waits until the aggregate of the round, or a later one, is there; False after
        `timeout_s`.
        """

    @abstractmethod
    def receive_into(self, out: Vector, round_index: int, spans: Spans) -> int:
        """Copies the aggregate that `wait` has seen into `out`. Gives its round: a later one if the
        worker was late.
        """

    @abstractmethod
    def tell(self, message: Message) -> None:
        """Hands a message to the aggregator's side. Raises Stopped when the run is being
        stopped.
        """

    # --- split=stratified: no vector is averaged, rows go from worker to worker ---

    # where workers share memory: they pass groups of items on through these
    gates: "Gates | None" = None

    def common(self, vector: Vector) -> Vector:
        """A copy of `vector` to train in: the same for all workers where they share memory."""
        return vector.copy()

    def hand_on(self, group: int, turn: int, to: int, rows: Sequence[Vector], spans: Spans) -> None:
        """Lets worker `to` have a group of items in turn `turn`: `rows`, views of the common
           vector. They are not ours any more.

        `to` may be ourselves.
        """
        assert self.gates is not None
        self.gates.open(group, turn)

    def take(
        self,
        group: int,
        turn: int,
        before: int,
        rows: Sequence[Vector],
        timeout_s: float,
        spans: Spans,
    ) -> bool:
        """Waits until a group of items, which worker `before` had, is ours in turn `turn`; False
           after `timeout_s`.

        It may write to `rows`, views of the common vector.
        """
        assert self.gates is not None
        return self.gates.wait(group, turn, timeout_s)


def make_gates(counters: IndexArray) -> "Gates":
    """Gates over counters that all workers share, as ddp/machine/compiled/gates.py wants them.
    (That needs numba, which not every worker does.)
    """
    from ddp.machine.compiled.gates import Gates

    return Gates(counters)
