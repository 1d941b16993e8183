"""The trainers that make all users anew in an epoch, and then all items: gibbs and als.

A worker makes the rows of its blocks (ddp/ratings/row_blocks.py). After each half of an epoch all
workers exchange their rows and the sums of their blocks.
"""

import math
from collections.abc import Generator
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from ddp.config.seeding import stream
from ddp.config.trainer import AlsTrainer, GibbsTrainer
from ddp.errors import LateRows, Stopped
from ddp.machine.compiled.gates import CLOSED, LATE
from ddp.machine.compiled.lanes import sums_lines
from ddp.machine.compiled.simd import LANES
from ddp.model.parameters import Parameters, Rows, Vector
from ddp.ratings.arrays import FloatArray, IndexArray, IntArray, Part
from ddp.ratings.row_blocks import ITEMS, USERS, RowBlocks, num_sums
from ddp.timing.loop_times import LoopTimes
from ddp.timing.spans import Spans
from ddp.tracking.metrics import SquaredError
from ddp.trainers.epochs_per_call import EpochsPerCall
from ddp.trainers.fused import Fused
from ddp.trainers.kernel_arguments import check_indices
from ddp.trainers.loops import ALL, WALL
from ddp.trainers.posterior.priors import add_blocks, lay_out
from ddp.trainers.posterior.rows import Doubles, Prior, RowRatings, Side
from ddp.trainers.posterior.sweeps import (
    HalfSweep,
    Pairs,
    Rule,
    add_predictions,
    draw_half,
    draw_precision,
    sweep_in_phases,
)
from ddp.trainers.trainer import AnyTrainer, Scale

if TYPE_CHECKING:
    from ddp.machine.compiled.gates import Gates

KINDS = ("user", "item")
LEAST_VARIANCE = 1e-6  # of ratings that are all alike, in rating units squared
Column = TypeVar("Column", IntArray, FloatArray)
PLACES = 4  # what `sweep_in_phases` multiplies the place of a late worker by


class Phases(Protocol):
    """How the workers keep in step: phase 2 s + h + 1 is half h of epoch s.

    `gates`: the counters on which workers with shared memory wait; None: they share no memory, or
    one thread has all of them.
    """

    gates: "Gates | None"
    place: int
    timeout_s: float

    def share(self, phase: int) -> None:
        """Gives the others the rows and sums that this worker has made in the phase."""

    def take(self, phase: int) -> None:
        """Waits for those of all others. Raises LateRows after `timeout_s` seconds."""

    def late(self, place: int) -> LateRows:
        """The error for rows that did not come in time from the worker at this place."""


class Sweeper(AnyTrainer):
    """Makes rows of `parameters` in place, which all workers share or have a copy of each.

    | argument     | meaning                                                                    |
    |--------------|----------------------------------------------------------------------------|
    | `start`      | the state of the beginning: others may already have changed `parameters`   |
    | `by_user`    | the ratings of the worker's users, sorted by user                          |
    | `by_item`    | the ratings of its items, sorted by item                                   |
    | `held_out`   | its validation and its test part                                           |
    | `sums`       | float64, of `Sweeping.sums_shape`: shared like the parameters                |
    | `num_train`  | the number of training ratings of all workers                              |
    | `precision`  | of the noise; None: the run begins, with that of the ratings               |
    | `variance`   | of the training ratings of all workers                                     |

    The constructor raises IndexError if a rating has a user or an item that the model does not have.
    """

    def __init__(
        self,
        options: GibbsTrainer | AlsTrainer,
        parameters: Parameters,
        start: Parameters,
        by_user: Part,
        by_item: Part,
        *,
        blocks: RowBlocks,
        worker: int,
        held_out: tuple[Part, Part],
        sums: Doubles,
        num_train: int,
        precision: float | None,
        variance: float,
        scale: Scale,
        seed: int,
    ) -> None:
        self.num_train, self.sums = num_train, sums
        self.bounds = np.float32(scale[0]), np.float32(scale[1])
        for part in (by_user, by_item, *held_out):
            check_indices(parameters, part)
        self.mean = np.float32(parameters.views["global_mean"][0])
        draws = isinstance(options, GibbsTrainer)
        self.rule = Rule(
            noise=np.float32(draws),
            weighted=np.float32(0.0 if draws else options.reg),
            key=stream(seed, "draws").integers(0, 1 << 64, dtype=np.uint64),
        )
        self.burn_in = options.burn_in if draws else np.iinfo(np.int64).max
        if precision is None:
            precision = 1.0 / max(variance, LEAST_VARIANCE) if draws else 1.0
        # of the noise, in each epoch of the last call of `sweeps`
        self.precisions = [precision]
        users, items = _sides(parameters)
        self.halves = (
            _half(users, items, by_user, blocks, USERS, worker),
            _half(items, users, by_item, blocks, ITEMS, worker),
        )
        self.pairs = [_pairs(part) for part in held_out]
        self.initial: Doubles | None = self._sums_of(start)
        self.per_call = EpochsPerCall()

    def _sums_of(self, start: Parameters) -> Doubles:
        """The sums of all blocks before the first epoch, which each worker makes for itself."""
        sums = np.zeros((2, *self.sums.shape[2:]))
        for own, half, out in zip(_sides(start), self.halves, sums, strict=True):
            add_blocks(own, half.bounds, 0, len(half.bounds) - 1, np.zeros(len(own.bias)), out)
        return sums

    @property
    def predictions(self) -> list[Vector]:
        """The sums of predictions since `forget`, float32 (n,), of validation and test part."""
        return [pairs.predictions for pairs in self.pairs]

    def forget(self) -> None:
        """Begins a new round, whose predictions are summed anew."""
        for pairs in self.pairs:
            pairs.predictions[:] = 0

    def sweeps(
        self, sweeps: range, phases: Phases, spans: Spans
    ) -> Generator[None, None, list[float]]:
        """Does at least the first of these epochs, counted from the beginning of the run.

        Yields before it waits for others. Returns the mean squared error on all training ratings
        after each epoch, or only after the last one.
        """
        if phases.gates is None:
            return (yield from self._one_sweep(sweeps[0], phases, spans))
        return self._sweeps_in_one_call(sweeps, phases, phases.gates.counters, spans)

    def _one_sweep(
        self, sweep: int, phases: Phases, spans: Spans
    ) -> Generator[None, None, list[float]]:
        for side in (USERS, ITEMS):
            with spans("compute"):
                half = self.halves[side]
                draw_half(
                    half,
                    sweep,
                    side,
                    self.rule,
                    self.mean,
                    np.float32(self.precisions[-1]),
                    self.sums[side, sweep % 2] if self.initial is None else self.initial[side],
                    self.sums[side, (sweep + 1) % 2],
                )
            phase = 2 * sweep + side + 1
            phases.share(phase)
            with spans("wait"):
                yield
                phases.take(phase)
        self.initial = None
        with spans("compute"):
            precision, error = draw_precision(
                self.halves[ITEMS],
                sweep,
                self.rule,
                np.float32(self.precisions[-1]),
                self.num_train,
                self.sums[ITEMS, (sweep + 1) % 2],
            )
            self.precisions = [precision]
        if sweep >= self.burn_in:
            with spans("evaluate"):
                sides = self.halves[USERS].own, self.halves[ITEMS].own
                for pairs in self.pairs:
                    add_predictions(*sides, self.mean, *self.bounds, pairs)
        return [error / self.num_train]

    def _sweeps_in_one_call(
        self, sweeps: range, phases: Phases, counters: IndexArray, spans: Spans
    ) -> list[float]:
        """Raises LateRows, or Stopped if the run ends."""
        number = self.per_call.choose(len(sweeps))
        times_ns, precisions = np.zeros((4, 2), np.int64), np.full(number, math.nan)
        initial = np.empty((0, *self.sums.shape[2:])) if self.initial is None else self.initial
        with spans("compute"):
            outcome, error = sweep_in_phases(
                *self.halves,
                self.sums,
                initial,
                *self.pairs,
                self.rule,
                self.mean,
                *self.bounds,
                self.precisions[-1],
                self.num_train,
                counters,
                phases.place,
                sweeps[0],
                number,
                self.burn_in,
                round(phases.timeout_s * 1e9),
                precisions,
                times_ns,
            )
            spans.credit_loop(LoopTimes(*times_ns.tolist()))
        self.initial = None
        self.per_call.took(number, times_ns[ALL, WALL] / 1e9)
        self.precisions = precisions.tolist()
        if outcome % PLACES == CLOSED:
            raise Stopped
        if outcome % PLACES == LATE:
            with spans("wait"):
                raise phases.late(outcome // PLACES)
        return [math.nan] * (number - 1) + [error / self.num_train]

    @staticmethod
    def evaluate(parameters: Rows, part: Part, scale: Scale) -> SquaredError:
        """Predicts in one compiled call. Raises IndexError like the constructor."""
        return Fused.evaluate(parameters, part, scale)

    @staticmethod
    def warm_up() -> None:
        """Calls the kernel of an evaluation once, because a first call takes 20 to 30 ms."""
        Fused.warm_up()


def _sides(parameters: Parameters) -> tuple[Side, Side]:
    """Views of the rows of all users, and of all items."""
    views = parameters.views
    users, items = (Side(views[f"{kind}_factors"], views[f"{kind}_bias"]) for kind in KINDS)
    return users, items


def _half(
    own: Side, other: Side, part: Part, blocks: RowBlocks, side: int, worker: int
) -> HalfSweep:
    """What the worker needs for one side. `part`: the ratings of its rows, sorted by them."""
    rows = blocks.rows(side, worker)
    rated, others = (part.users, part.items) if side == USERS else (part.items, part.users)
    size = own.factors.shape[1] + 1
    lines = np.zeros((sums_lines(-(-(size - 1) // LANES) * LANES), LANES), np.float32)
    prior = Prior(np.zeros((size, size)), np.zeros(size), lines, np.zeros(size, np.float32))
    lay_out(prior)
    starts = np.searchsorted(rated, np.arange(rows.start, rows.stop + 1)).astype(np.int64)
    return HalfSweep(
        own=own,
        other=other,
        ratings=RowRatings(starts, _read_only(others), _read_only(part.ratings)),
        bounds=np.array(blocks.bounds(side), np.int64),
        blocks=np.array(blocks.blocks(side, worker), np.int64),
        prior=prior,
        terms=np.zeros(rows.stop - rows.start),
        total=np.zeros(num_sums(size - 1)),
    )


def _pairs(part: Part) -> Pairs:
    predictions: Vector = np.zeros(len(part), np.float32)
    return Pairs(_read_only(part.users), _read_only(part.items), predictions)


def _read_only(column: Column) -> Column:
    """A view that nobody can write to: inside a tuple, numba accepts only the exact type."""
    view = column.view()
    view.setflags(write=False)
    return view
