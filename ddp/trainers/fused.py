"""The compiled trainer: plain SGD, a step per rating, in place on the parameters. Its kernels hold
no GIL and keep no gradients.
"""

from collections.abc import Generator, Sequence

import numpy as np

from ddp.config.options import FusedTrainer
from ddp.errors import Stopped
from ddp.machine.compiled.gates import CLOSED, LATE, Gates
from ddp.model.parameters import Parameters, Rows, Vector
from ddp.ratings.arrays import Block, IndexArray, IntArray, Part
from ddp.timing.loop_times import LoopTimes
from ddp.timing.spans import Spans
from ddp.tracking.metrics import SquaredError
from ddp.trainers import visits
from ddp.trainers.epochs_per_call import EpochsPerCall
from ddp.trainers.loops import ALL, WALL, TimeArray, sgd_in_turns, sgd_selecting
from ddp.trainers.sgd import Columns, SeedArray, sgd, shuffle, squared_error
from ddp.trainers.trainer import UNBOUNDED, Best, Scale, Trainer, TurnErrors, Turns

NO_BIAS: Vector = np.zeros(0, np.float32)


class Fused(Trainer):
    """SGD with L2. Each epoch on a block multiplies the learning rate of the block by `lr_decay`.

    Raises IndexError for a user or an item that the model does not have.
    """

    def __init__(
        self,
        options: FusedTrainer,
        parameters: Parameters,
        train: Part,
        *,
        held_out: Sequence[Part] = (),
        blocks: Sequence[Block] = (),
        scale: Scale = UNBOUNDED,
    ) -> None:
        super().__init__(options, parameters, train, held_out=held_out, blocks=blocks, scale=scale)
        self.options = options
        self.lrs = np.full(len(self.blocks), options.lr)
        self.model = _arrays(parameters)
        chunks = []
        for block in self.blocks:
            part = train.between(block.train).counted_from(block.users.start, block.items.start)
            rows = parameters.block(block.users, block.items)
            check_indices(rows, part)
            chunks.append(
                visits.chunks_of(
                    part.users, part.items, rows.num_users, rows.num_items, parameters.dim
                )
            )
        self.chunks = visits.joined(chunks, [block.train.start for block in self.blocks])
        # for the chunks of a turn, in the order in which it visits them
        self.chunk_buffers = np.empty_like(self.chunks.starts), np.empty_like(self.chunks.stops)
        for part in held_out:
            check_indices(parameters, part)
        self.train_columns = _columns(train, [block.train for block in self.blocks])
        in_blocks = [[block.valid for block in self.blocks], [block.test for block in self.blocks]]
        self.held_out_columns = [
            _columns(part, ranges) for part, ranges in zip(held_out, in_blocks, strict=False)
        ]
        self.bounds = np.float32(scale[0]), np.float32(scale[1])
        self.per_call = EpochsPerCall()

    def turn(self, block: int, order: np.random.Generator) -> float:
        """One call of the kernel."""
        chunks = self.draw(block, order)
        total: float = sgd(
            *self.model,
            self.train.users,
            self.train.items,
            self.train.ratings,
            *chunks,
            *self.rates(block),
        )
        self.lrs[block] *= self.options.lr_decay
        return total

    def epochs(
        self, epochs: range, order: np.random.Generator, best: Best, spans: Spans
    ) -> list[float]:
        """As many epochs as fit into one compiled call, which also evaluates and keeps the best
        state.
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
        """Where workers share memory, one compiled call does as many epochs as fit, and also waits,
        evaluates and passes rows on.
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
        """Raises LateRows, or Stopped if the run is being stopped."""
        number = len(turns) // len(self.blocks)
        valid, test = self.held_out_columns
        train, held_out = np.zeros(number), np.zeros(2)
        waited_ns, times_ns = np.zeros(len(turns), np.int64), np.zeros((4, 2), np.int64)
        with spans("compute"):
            outcome, last = sgd_in_turns(
                *self.model,
                self.train_columns,
                valid,
                test,
                self.chunks,
                *self.chunk_buffers,
                np.array([rows.block(turn) for turn in turns], np.int64),
                seeds(order, len(turns)),
                gates.counters,
                turns[0],
                round(rows.timeout_s * 1e9),
                ends_round,
                self._next_lrs(number),
                *self.regularization,
                *self.bounds,
                train,
                held_out,
                waited_ns,
                times_ns,
            )
            self._note_times(number, times_ns, spans)
            for turn, turn_ns in zip(turns, waited_ns.tolist(), strict=True):
                rows.waited(turn, turn_ns / 1e9)
        if outcome == CLOSED:
            raise Stopped
        if outcome == LATE:
            with spans("wait"):
                raise rows.late(last)
        return TurnErrors(
            [SquaredError(total, len(self.train)) for total in train.tolist()],
            [
                SquaredError(total, len(part))
                for total, part in zip(held_out.tolist(), self.held_out, strict=True)
            ],
        )

    def load_state(self, state: Vector, num_epochs: int) -> None:
        """Continues with the learning rates that follow so many epochs; there is no other state."""
        self._next_lrs(num_epochs)

    @staticmethod
    def evaluate(parameters: Rows, part: Part, scale: Scale) -> SquaredError:
        """One call of the kernel. Raises IndexError like the constructor."""
        check_indices(parameters, part)
        total = squared_error(
            *_arrays(parameters),
            part.users,
            part.items,
            part.ratings,
            np.float32(scale[0]),
            np.float32(scale[1]),
        )
        return SquaredError(total, len(part))

    @staticmethod
    def arrange(
        users: IntArray,
        items: IntArray,
        num_users: int,
        num_items: int,
        dim: int,
        random: np.random.Generator,
    ) -> IndexArray | None:
        """Cell by cell (visits.py)."""
        return visits.arrange(users, items, num_users, num_items, dim, random)

    @staticmethod
    def warm_up() -> None:
        """Calls the first kernels once: the first call in a process takes 20 to 30 ms. Forked copies
        of the process inherit that.
        """
        parameters = Parameters(1, 1, 1)
        one = Part(
            users=np.zeros(1, np.int32),
            items=np.zeros(1, np.int32),
            ratings=np.zeros(1, np.float32),
        )
        options = FusedTrainer(name="fused", lr=1.0, lr_decay=1.0, reg_factors=0.0, reg_biases=0.0)
        Fused(options, parameters, one).epoch(np.random.default_rng(0))
        Fused.evaluate(parameters, one, (0.0, 1.0))

    def draw(self, block: int, order: np.random.Generator) -> tuple[IndexArray, IndexArray]:
        """The chunks of a block in random order: where each starts and stops. The next draw writes
        over them.
        """
        starts, stops = self.chunk_buffers
        count = shuffle(self.chunks, block, seeds(order, 1)[0], starts, stops)
        return starts[:count], stops[:count]

    def rates(self, block: int) -> tuple[np.float32, np.float32, np.float32]:
        """The learning rate of a block and both regularizations, as the kernels take them."""
        return np.float32(self.lrs[block]), *self.regularization

    @property
    def regularization(self) -> tuple[np.float32, np.float32]:
        """Of factors and of biases."""
        return np.float32(self.options.reg_factors), np.float32(self.options.reg_biases)

    def _next_lrs(self, number: int) -> Vector:
        """The learning rates of the next epochs, float32 (number,): the same for all blocks."""
        lrs: Vector = np.empty(number, np.float32)
        # step by step, as in `turn`: a power would differ in the last bit
        for epoch in range(number):
            lrs[epoch] = self.lrs[0]
            self.lrs *= self.options.lr_decay
        return lrs

    def _note_times(self, number: int, times_ns: TimeArray, spans: Spans) -> None:
        """Credits the seconds of a call that did so many epochs to what they were spent on."""
        spans.credit_loop(LoopTimes(*times_ns.tolist()))
        self.per_call.took(number, times_ns[ALL, WALL] / 1e9)


def seeds(order: np.random.Generator, count: int) -> SeedArray:
    """The seeds of so many turns: the same, however many are drawn at a time."""
    return order.integers(0, 1 << 64, count, np.uint64)


def check_indices(parameters: Rows, part: Part) -> None:
    """Raises IndexError for a user or an item that the model does not have: the kernels would write
    outside of their arrays.
    """
    for kind, column, size in (
        ("user", part.users, parameters.num_users),
        ("item", part.items, parameters.num_items),
    ):
        if len(column) and not (column.min() >= 0 and column.max() < size):
            raise IndexError(
                f"{kind} {column.min()} or {column.max()} is out of range: the model has {size}"
                f" {kind}s"
            )


def _arrays(parameters: Rows) -> tuple[Vector, Vector, Vector, Vector, Vector]:
    """The parameters as the kernels take them."""
    views = parameters.views
    biases = (views.get("user_bias", NO_BIAS), views.get("item_bias", NO_BIAS))
    return views["user_factors"], views["item_factors"], *biases, views["global_mean"]


def _columns(part: Part, ranges: Sequence[slice]) -> Columns:
    """A part whose blocks are these ranges, as the kernels take it."""
    bounds: IndexArray = np.array([0, *(rows.stop for rows in ranges)], np.int64)
    views = part.users.view(), part.items.view(), part.ratings.view()
    for view in views:
        view.setflags(write=False)  # in a tuple numba wants the very type that the kernel names
    return Columns(*views, bounds)
