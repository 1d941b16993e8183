"""The compiled trainer: plain SGD, one step per rating, in place on the parameters.

Its kernels release the GIL and store no gradients.
"""

from collections.abc import Generator

import numpy as np

from ddp.config.trainer import FusedTrainer
from ddp.errors import Stopped
from ddp.machine.compiled.gates import CLOSED, LATE, Gates
from ddp.model.parameters import Parameters, Rows, Vector
from ddp.ratings.arrays import IndexArray, Part
from ddp.timing.loop_times import LoopTimes
from ddp.timing.spans import Spans
from ddp.tracking.metrics import SquaredError
from ddp.trainers import visits
from ddp.trainers.epochs_per_call import EpochsPerCall
from ddp.trainers.kernel_arguments import (
    arrays_of,
    check_indices,
    chunks_of_blocks,
    columns_of,
    seeds,
)
from ddp.trainers.loops import ALL, WALL, Sums, TimeArray, sgd_in_turns, sgd_selecting
from ddp.trainers.sgd import sgd, shuffle, squared_error
from ddp.trainers.trainer import Best, Scale, Trainer, TurnErrors, Turns


class Fused(Trainer):
    """SGD with L2 regularization; `sgd` in sgd.py gives the formulas.

    Each epoch on a block multiplies the learning rate of the block by `lr_decay`. The constructor
    raises IndexError if a rating has a user or an item that the model does not have.
    """

    options: FusedTrainer

    def __post_init__(self) -> None:
        super().__post_init__()
        options = self.options
        self.lrs = np.full(len(self.blocks), options.lr)
        self.model = arrays_of(self.parameters)
        self.chunks = chunks_of_blocks(self.parameters, self.train, self.blocks)
        # A turn writes its chunks here, in its order of visits.
        self.chunk_buffers = np.empty_like(self.chunks.starts), np.empty_like(self.chunks.stops)
        for part in self.held_out:
            check_indices(self.parameters, part)
        self.train_columns = columns_of(self.train, [block.train for block in self.blocks])
        in_blocks = [[block.valid for block in self.blocks], [block.test for block in self.blocks]]
        self.held_out_columns = [
            columns_of(part, ranges) for part, ranges in zip(self.held_out, in_blocks, strict=False)
        ]
        self.regularization = np.float32(options.reg_factors), np.float32(options.reg_biases)
        self.bounds = np.float32(self.scale[0]), np.float32(self.scale[1])
        self.per_call = EpochsPerCall()

    def turn(self, block: int, order: np.random.Generator) -> float:
        """Trains one epoch on a block, in one compiled call."""
        chunks = self.draw(block, order)
        total: float = sgd(
            *self.model,
            self.train.users,
            self.train.items,
            self.train.ratings,
            *chunks,
            np.float32(self.lrs[block]),
            *self.regularization,
        )
        self.lrs[block] *= self.options.lr_decay
        return total

    def epochs(
        self, epochs: range, order: np.random.Generator, best: Best, spans: Spans
    ) -> list[float]:
        """Trains as many epochs as `EpochsPerCall` chooses, in one compiled call.

        The call also evaluates after each epoch, and copies each better state to `best`.
        """
        number = self.per_call.choose(len(epochs))
        (held_out,) = self.held_out_columns
        errors, times_ns = np.zeros(number), np.zeros((4, 2), np.int64)
        with spans("compute"):
            kept, best.rmse = sgd_selecting(
                *self.model,
                self.parameters.vector,
                best.vector,
                self.train_columns,
                held_out,
                self.chunks,
                *self.chunk_buffers,
                seeds(order, number),
                self._next_lrs(number),
                *self.regularization,
                *self.bounds,
                best.rmse,
                errors,
                times_ns,
            )
            self._note_times(number, times_ns, spans)
            if kept >= 0:
                best.epoch = epochs[kept]
        return [error / len(self.train) for error in errors.tolist()]

    def turns(
        self, turns: range, order: np.random.Generator, rows: Turns, spans: Spans
    ) -> Generator[None, None, TurnErrors]:
        """Trains as many epochs as `EpochsPerCall` chooses, in one compiled call.

        The call also waits for turns, evaluates, and passes rows on. Workers that share no memory
        have no `gates`, so they use the Python loop of the base class.
        """
        if rows.gates is None:
            return (yield from super().turns(turns, order, rows, spans))
        number = self.per_call.choose(len(turns) // len(self.blocks))
        now = turns[: number * len(self.blocks)]
        return self._turns_in_one_call(now, order, rows, rows.gates, spans, now == turns)

    def _turns_in_one_call(
        self,
        turns: range,
        order: np.random.Generator,
        rows: Turns,
        gates: Gates,
        spans: Spans,
        ends_round: bool,
    ) -> TurnErrors:
        """Trains these turns in one compiled call. Raises LateRows, or Stopped if the run ends."""
        train, held_out = np.zeros(len(turns) // len(self.blocks)), np.zeros(2)
        with spans("compute"):
            outcome, last = self._call_turns(
                turns, order, rows, gates.counters, ends_round, (train, held_out), spans
            )
        if outcome == CLOSED:
            raise Stopped
        if outcome == LATE:
            with spans("wait"):
                raise rows.late(last)
        return TurnErrors(
            [SquaredError(total, len(self.train)) for total in train.tolist()],
            list(map(SquaredError, held_out.tolist(), map(len, self.held_out))),
        )

    def _call_turns(
        self,
        turns: range,
        order: np.random.Generator,
        rows: Turns,
        counters: IndexArray,
        ends_round: bool,
        errors: tuple[Sums, Sums],
        spans: Spans,
    ) -> tuple[int, int]:
        """Calls the kernel, which adds to `errors`; returns the last wait's outcome and turn."""
        number = len(turns) // len(self.blocks)
        valid, test = self.held_out_columns
        waited_ns, times_ns = np.zeros(len(turns), np.int64), np.zeros((4, 2), np.int64)
        outcome_and_turn: tuple[int, int] = sgd_in_turns(
            *self.model,
            self.train_columns,
            valid,
            test,
            self.chunks,
            *self.chunk_buffers,
            np.array([rows.block(turn) for turn in turns], np.int64),
            seeds(order, len(turns)),
            counters,
            turns[0],
            round(rows.timeout_s * 1e9),
            ends_round,
            self._next_lrs(number),
            *self.regularization,
            *self.bounds,
            *errors,
            waited_ns,
            times_ns,
        )
        self._note_times(number, times_ns, spans)
        for turn, turn_ns in zip(turns, waited_ns.tolist(), strict=True):
            rows.waited(turn, turn_ns / 1e9)
        return outcome_and_turn

    def load_state(self, state: Vector, num_epochs: int) -> None:
        """Continues with the learning rates after `num_epochs` epochs; it keeps no other state."""
        self._next_lrs(num_epochs)

    @staticmethod
    def evaluate(parameters: Rows, part: Part, scale: Scale) -> SquaredError:
        """Predicts in one compiled call. Raises IndexError like the constructor."""
        check_indices(parameters, part)
        total = squared_error(
            *arrays_of(parameters),
            part.users,
            part.items,
            part.ratings,
            np.float32(scale[0]),
            np.float32(scale[1]),
        )
        return SquaredError(total, len(part))

    arrange = staticmethod(visits.arrange)

    @staticmethod
    def warm_up() -> None:
        """Calls the first kernels once, because the first call in a process takes 20 to 30 ms.

        Forked copies of this process need not do it again.
        """
        parameters = Parameters(1, 1, 1)
        zero = np.zeros(1, np.int32)
        one = Part(users=zero, items=zero, ratings=np.zeros(1, np.float32))
        options = FusedTrainer(name="fused", lr=1.0, lr_decay=1.0, reg_factors=0.0, reg_biases=0.0)
        Fused(options, parameters, one).epoch(np.random.default_rng(0))
        Fused.evaluate(parameters, one, (0.0, 1.0))

    def draw(self, block: int, order: np.random.Generator) -> tuple[IndexArray, IndexArray]:
        """The chunks of a block in random order: starts and stops, int64 (chunks,) each.

        The next draw overwrites them.
        """
        starts, stops = self.chunk_buffers
        count = shuffle(self.chunks, block, seeds(order, 1)[0], starts, stops)
        return starts[:count], stops[:count]

    def _next_lrs(self, number: int) -> Vector:
        """The learning rates of the next epochs, float32 (number,): the same for all blocks."""
        lrs: Vector = np.empty(number, np.float32)
        # Step by step as in `turn`, because a power would differ in the last bit.
        for epoch in range(number):
            lrs[epoch] = self.lrs[0]
            self.lrs *= self.options.lr_decay
        return lrs

    def _note_times(self, number: int, times_ns: TimeArray, spans: Spans) -> None:
        """Credits the seconds of a call of `number` epochs to spans, by the kernel's clocks."""
        spans.credit_loop(LoopTimes(*times_ns.tolist()))
        self.per_call.took(number, times_ns[ALL, WALL] / 1e9)
