"""The trainers that make all users anew in an epoch, and then all items: gibbs and als.

A worker makes the rows of its blocks (ddp/ratings/row_blocks.py). After each half of an epoch all
workers exchange their rows and the sums of their blocks.
"""

import math
from collections.abc import Generator

import numpy as np

from ddp.config.trainer import AlsTrainer, GibbsTrainer
from ddp.errors import Stopped
from ddp.machine.compiled.gates import CLOSED, LATE
from ddp.model.parameters import Parameters, Rows, Vector
from ddp.model.room import Room
from ddp.model.sweeping import STEPS, Sweeping
from ddp.ratings.arrays import Doubles, IndexArray, Part
from ddp.ratings.row_blocks import ITEMS, SIDES, USERS
from ddp.timing.loop_times import LoopTimes
from ddp.timing.spans import Spans
from ddp.tracking.metrics import SquaredError
from ddp.trainers.epochs_per_call import EpochsPerCall
from ddp.trainers.fused import Fused
from ddp.trainers.kernel_arguments import check_indices
from ddp.trainers.loops import ALL, WALL
from ddp.trainers.phases import Phases
from ddp.trainers.posterior.half import (
    begin_half,
    begin_known,
    draw_known,
    end_known,
    finish_half,
)
from ddp.trainers.posterior.priors import add_blocks
from ddp.trainers.posterior.sweeps import (
    PLACES,
    add_predictions,
    draw_precision,
    sweep_in_phases,
)
from ddp.trainers.sweep_arguments import half_of, pairs_of, pass_of, rule_of, sides_of
from ddp.trainers.trainer import AnyTrainer, Scale

LEAST_VARIANCE = 1e-6  # of ratings that are all alike, in rating units squared
NEVER = np.iinfo(np.int64).max  # a sweep that no run reaches


class Sweeper(AnyTrainer):
    """Makes rows of `parameters` in place, which all workers share or have a copy of each.

    | argument     | meaning                                                                    |
    |--------------|----------------------------------------------------------------------------|
    | `start`      | the state of the beginning: others may already have changed `parameters`   |
    | `by_user`    | the ratings of the worker's users, sorted by user                          |
    | `by_item`    | the ratings of its items, sorted by item                                   |
    | `held_out`   | its validation and its test part                                           |
    | `room`       | all else that is shared like the parameters                                |

    Raises IndexError if a rating has a user or an item that the model does not have.
    """

    def __init__(
        self,
        options: GibbsTrainer | AlsTrainer,
        parameters: Parameters,
        start: Parameters,
        by_user: Part,
        by_item: Part,
        *,
        worker: int,
        held_out: tuple[Part, Part],
        room: Room,
        sweeping: Sweeping,
        scale: Scale,
        seed: int,
    ) -> None:
        self.num_train, self.sums = sweeping.num_train, room.sums
        self.bounds = np.float32(scale[0]), np.float32(scale[1])
        for part in (by_user, by_item, *held_out):
            check_indices(parameters, part)
        self.mean = np.float32(parameters.views["global_mean"][0])
        self.rule = rule_of(options, seed)
        self.burn_in = options.burn_in if isinstance(options, GibbsTrainer) else NEVER
        if (precision := sweeping.precision) is None:
            variance = max(sweeping.variance, LEAST_VARIANCE)
            precision = 1.0 / variance if self.rule.noise else 1.0
        # of the noise, in each epoch of the last call of `sweeps`
        self.precisions = [precision]
        sides = sides_of(parameters, room.trusts)
        users = half_of(sides, by_user, sweeping, USERS, worker)
        items = half_of(sides, by_item, sweeping, ITEMS, worker)
        self.halves = users, items
        self.passes = (
            pass_of(users, sweeping, room, USERS, worker),
            pass_of(items, sweeping, room, ITEMS, worker),
        )
        valid, test = held_out
        self.pairs = pairs_of(valid), pairs_of(test)
        # the sums of all blocks before the first epoch of this worker
        self.initial: Doubles | None = sweeping.sums
        if sweeping.sums is None:
            self.initial = self._sums_of(start)
        self.per_call = EpochsPerCall()

    def _sums_of(self, start: Parameters) -> Doubles:
        """The sums of all blocks before a new chain, which each worker makes for itself."""
        sums = np.zeros((2, *self.sums.shape[2:]))
        views = start.views
        trusts = [np.ones(len(views[name]), np.float32) for name in ("user_bias", "item_bias")]
        for own, half, out in zip(sides_of(start, trusts), self.halves, sums, strict=True):
            none = np.zeros((0, half.offset.shape[1]), np.float32)
            last = len(half.bounds) - 1
            add_blocks(own, none, half.bounds, 0, last, np.zeros(len(own.bias)), out)
        return sums

    @property
    def told(self) -> list[float]:
        """The strengths of the weights' priors, and the spreads of the trusts'."""
        strengths = [float(passed.weights.strength[0]) for passed in self.passes]
        return [*strengths, *(float(half.spread[0]) for half in self.halves)]

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
        for side in SIDES:
            yield from self._one_half(sweep, side, phases, spans)
        self.initial = None
        with spans("compute"):
            precision, error = draw_precision(
                self.halves[ITEMS],
                sweep,
                self.rule,
                self.precisions[-1],
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

    def _one_half(
        self, sweep: int, side: int, phases: Phases, spans: Spans
    ) -> Generator[None, None, None]:
        half, passed, rule = self.halves[side], self.passes[side], self.rule
        phase = STEPS * (2 * sweep + side)

        def exchange(step: int) -> Generator[None, None, None]:
            phases.share(phase + step)
            with spans("wait"):
                yield
                phases.take(phase + step)

        with spans("compute"):
            known = self.sums[side, sweep % 2] if self.initial is None else self.initial[side]
            begin_half(half, sweep, side, rule, known)
        if len(passed.weights.lines):
            with spans("compute"):
                begin_known(half, passed)
            yield from exchange(1)
            with spans("compute"):
                draw_known(half, passed, sweep, side, rule)
            yield from exchange(2)
            with spans("compute"):
                end_known(half, passed, sweep, side, rule)
        with spans("compute"):
            precision = np.float32(self.precisions[-1])
            after = self.sums[side, (sweep + 1) % 2]
            finish_half(half, sweep, side, rule, self.mean, precision, after)
        yield from exchange(STEPS)

    def _sweeps_in_one_call(
        self, sweeps: range, phases: Phases, counters: IndexArray, spans: Spans
    ) -> list[float]:
        """Raises LateRows, or Stopped if the run ends."""
        number = self.per_call.choose(len(sweeps))
        times_ns, precisions = np.zeros((4, 2), np.int64), np.full(number, math.nan)
        initial: Doubles = (
            np.empty((0, *self.sums.shape[2:])) if self.initial is None else self.initial
        )
        with spans("compute"):
            outcome, error = sweep_in_phases(
                self.halves,
                self.passes,
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
