"""The cost of each step of a run with trainer=gibbs or trainer=als, alone on a core.

An epoch has two halves, of which each makes the rows of a side. A half has three phases if
something is known about its rows (ddp/trainers/posterior/half.py), else one. After each phase a
worker waits for all others. `Amounts` says what a phase consists of; its seconds are the sum of all
amounts x their constants, and these:

| step | seconds |
|---|---|
| a phase, thread and shm | `epoch_s` / 2 |
| a phase, serial and process | `phase_s` |
| share, and take from one worker | `epoch_s` / 4 + `float_s` x floats (process; else none) |
| `evaluate` | an evaluation of both parts, and their predictions after each epoch that samples |

Messages, vectors and checkpoints cost as in ddp/advice/worker_costs.py and cost_model.py.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil
from typing import NamedTuple

from ddp.advice.constants import Training
from ddp.advice.cost_model import Costs
from ddp.advice.kinds import AVERAGE, COMPUTE, EVALUATE, EXCHANGE
from ddp.advice.simulation import Work
from ddp.advice.sizes import Sizes
from ddp.config.trainer import GibbsTrainer
from ddp.ratings.row_blocks import SIDES, num_sums, padded
from ddp.trainers.epochs_per_call import TOGETHER_S

LANES = 8  # floats of a vector of the kernels


class Amounts(NamedTuple):
    """The work of a worker in a phase. W: the dimension as a multiple of 8; P: `padded` of it.

    | field | number |
    |---|---|
    | `ratings` | of its rows |
    | `products` | ratings x W (W + 8) / 2, the products of two factors |
    | `rows` | that it makes |
    | `cells`, `systems` | rows x W^2, rows x W^3 |
    | `entries` | of features that it goes through, x columns |
    | `lines` | rows and features that it multiplies by a matrix |
    | `turned` | lines x P^2 |
    """

    ratings: float = 0.0
    products: float = 0.0
    rows: float = 0.0
    cells: float = 0.0
    systems: float = 0.0
    entries: float = 0.0
    lines: float = 0.0
    turned: float = 0.0

    def seconds(self, costs: Training) -> float:
        """Seconds of these amounts."""
        factors: list[float] = [getattr(costs, name) for name in AMOUNT_S]
        return sum(amount * factor for amount, factor in zip(self, factors, strict=True))


AMOUNT_S = ("rating_s", "product_s", "row_s", "cell_s", "system_s", "entry_s", "line_s", "turned_s")


class Phase(NamedTuple):
    """A phase of a worker. `floats`: those that it shares after it."""

    amounts: Amounts
    floats: int


def phases_of(sizes: Sizes, dim: int, worker: int) -> list[Phase]:
    """The phases of an epoch of a worker."""
    return [phase for side in SIDES for phase in _half(sizes, dim, worker, side)]


def _half(sizes: Sizes, dim: int, worker: int, side: int) -> list[Phase]:
    sweeping = sizes.sweeping
    assert sweeping is not None
    rows, known = sweeping.blocks.rows(side, worker), sweeping.known[side]
    first, stop = sweeping.blocks.blocks(side, worker)
    num_rows, num_ratings = rows.stop - rows.start, (sizes.train, sizes.by_item)[side][worker]
    width, columns = LANES * ceil(dim / LANES), padded(dim)
    made = Amounts(
        ratings=num_ratings,
        products=num_ratings * width * (width + LANES) / 2,
        rows=num_rows,
        cells=num_rows * width**2,
        systems=num_rows * width**3,
    )
    # with trusts; a sum has the size of two floats
    floats = num_rows * (dim + 2) + 2 * (stop - first) * num_sums(dim)
    if known is None:
        return [Phase(made, floats)]
    own, of_own = sweeping.features(side, worker), sweeping.columns(dim, worker)
    num_own, num_columns = own.stop - own.start, of_own.stop - of_own.start
    entries = int(known.starts[rows.stop] - known.starts[rows.start])
    lines = num_rows + num_own
    begun = Amounts(entries=entries * columns, lines=lines, turned=lines * columns**2)
    drawn = Amounts(entries=2 * len(known.by_row) * num_columns)
    lines += 2 * num_rows
    ended = made._replace(lines=lines, turned=lines * columns**2)
    return [
        Phase(begun, (num_rows + num_own) * columns),
        Phase(drawn, (known.num_rows + known.num_features + 2) * num_columns),
        Phase(ended, floats + num_own * columns),
    ]


class SweepCosts(Costs):
    """The steps of the workers and the aggregator of a configuration whose trainer sweeps."""

    def phases(self, worker: int) -> list[tuple[Work, Work, Work]]:
        """The phases of an epoch: the work of each, and then its `share` and its `take`."""
        found = []
        numbers = range(self.config.workers)
        everyone = [phases_of(self.sizes, self.config.model.dim, number) for number in numbers]
        told_s = self._report_s(worker) / (self.config.local_epochs * len(everyone[worker]))
        for all_of_one in zip(*everyone, strict=True):
            seconds = all_of_one[worker].amounts.seconds(self.training) + self._around_s + told_s
            others = [phase.floats for number, phase in enumerate(all_of_one) if number != worker]
            own = [all_of_one[worker].floats] if others else []
            found.append(
                (Work(seconds=seconds, kind=COMPUTE), self._passed(own), self._passed(others))
            )
        return found

    @property
    def _around_s(self) -> float:
        """Seconds of a phase besides its amounts."""
        return self.exchange.epoch_s / 2 if self._in_one_call else self.training.phase_s

    @property
    def _in_one_call(self) -> bool:
        """True if a compiled call does whole epochs."""
        return self.backend in ("thread", "shm")

    def _passed(self, floats: Sequence[int]) -> Work:
        """Sending or receiving these vectors; free where workers share memory."""
        if self.backend != "process":
            return Work(seconds=0.0, kind=EXCHANGE)
        seconds = len(floats) * self.exchange.epoch_s / 4 + sum(floats) * self.exchange.float_s
        return Work(
            seconds=seconds, kind=EXCHANGE, num_bytes=float(self.copied_bytes * sum(floats))
        )

    def hand_over(self, worker: int) -> Work:
        """Sending a worker the ratings of its users and items, and all features, both ways."""
        assert self.sizes.sweeping is not None
        known = [each for each in self.sizes.sweeping.known if each is not None]
        floats = 3 * self.sizes.by_item[worker] + sum(2 * len(each.by_row) for each in known)
        more_s = floats * self.exchange.float_s * (self.backend in ("process", "shm"))
        ratings = super().hand_over(worker)
        return replace(ratings, seconds=ratings.seconds + more_s)

    def train(self, worker: int) -> Work:
        """All phases of a round, one after another (serial)."""
        epoch_s = sum(work.seconds for work, _, _ in self.phases(worker))
        return Work(seconds=self.config.local_epochs * epoch_s, kind=COMPUTE)

    def _num_messages(self, worker: int) -> int:
        epochs = self.config.local_epochs
        if not self._in_one_call:
            return epochs
        phases = phases_of(self.sizes, self.config.model.dim, worker)
        epoch_s = sum(phase.amounts.seconds(self.training) + self._around_s for phase in phases)
        return max(1, min(epochs, ceil(epochs * epoch_s / TOGETHER_S)))

    def evaluate(self, worker: int) -> Work:
        """Both parts at the end of a round, and predictions of both after each epoch."""
        parts = self.sizes.valid[worker], self.sizes.test[worker]
        once_s = sum(map(self._evaluation_s, parts))
        predictions_s = once_s - len(parts) * self.training.evaluation_s
        return Work(
            seconds=once_s + self.config.local_epochs * self._sampling_share * predictions_s,
            kind=EVALUATE,
        )

    @property
    def _sampling_share(self) -> float:
        """The share of all epochs whose states are samples."""
        trainer, epochs = self.config.trainer, self.config.rounds * self.config.local_epochs
        return max(0.0, 1 - trainer.burn_in / epochs) if isinstance(trainer, GibbsTrainer) else 0.0

    def receive(self) -> Work:
        """Free: a worker has all rows already."""
        return Work(seconds=0.0, kind=EXCHANGE)

    def _update_floats(self, worker: int) -> int:
        sweeping, dim = self.sizes.sweeping, self.config.model.dim
        assert sweeping is not None
        rows = [sweeping.blocks.rows(side, worker) for side in SIDES]
        made: int = sum(each.stop - each.start for each in rows) * self.width
        predicted = self.sizes.valid[worker] + self.sizes.test[worker]
        return made + self.config.local_epochs + predicted + sweeping.num_told(worker, dim)

    def _state_floats(self, worker: int) -> float:
        return 0.0

    def average(self) -> Work:
        """Putting rows together, and copying the state of the chain."""
        copied_s = self.exchanges.average_float_s * self._chain_floats
        together = super().average()
        return replace(together, seconds=together.seconds + copied_s)

    @property
    def _chain_floats(self) -> int:
        """Floats of predictions, and of the chain's state besides the model."""
        sweeping, dim = self.sizes.sweeping, self.config.model.dim
        assert sweeping is not None
        if not self.config.trainer.samples:
            return 0
        features = sum(known.num_features for known in sweeping.known if known is not None)
        bounds = (sweeping.blocks.bounds(side) for side in SIDES)
        sums = sum(len(each) - 1 for each in bounds) * num_sums(dim)
        predictions = self.sizes.whole_valid + self.sizes.whole_test
        return sum(sweeping.num_rows) + features * padded(dim) + 2 * (sums + predictions)

    def read_messages(self) -> Work:
        """As for other trainers. With process each phase of a worker also has a message."""
        workers, epochs = range(self.config.workers), self.config.local_epochs
        phases = len(phases_of(self.sizes, self.config.model.dim, 0))
        handed_on = epochs * phases * (self.backend == "process")
        messages = sum(self._num_messages(worker) + handed_on + 1 for worker in workers)
        return Work(seconds=messages * self.exchanges.heard_s, kind=AVERAGE)

    def record_s(self) -> float:
        """Seconds of trackers and checkpoints per round; a checkpoint has all samples so far."""
        costs, config = self.exchanges, self.config
        every = config.checkpoint_every
        due = range(every, config.rounds + 1, every) if every else range(0)
        floats = len(due) * (self._chain_floats + self.num_floats)
        floats += sum(map(self._sample_floats, due))
        saved_s = len(due) * costs.checkpoint_s + floats * costs.checkpoint_float_s
        return costs.log_s + saved_s / config.rounds

    def save_s(self) -> float:
        """Seconds of saving the model, in which all samples lie side by side."""
        models = max(1, self._num_samples(self.config.rounds))
        return self.exchanges.save_s + self.exchanges.save_float_s * self.num_floats * models

    def _sample_floats(self, rounds: int) -> int:
        """Floats of the samples that are kept after so many rounds: their rows, and the trusts."""
        trusts = self.sizes.num_users + self.sizes.num_items
        return self._num_samples(rounds) * (self.num_floats + trusts)

    def _num_samples(self, rounds: int) -> int:
        """The samples that are kept after so many rounds (`Posterior.with_sample`)."""
        trainer, stride = self.config.trainer, 1
        if not isinstance(trainer, GibbsTrainer):
            return 0
        first = trainer.burn_in // self.config.local_epochs  # the first round with a sample
        while (kept := ceil(rounds / stride) - ceil(first / stride)) > trainer.keep_samples:
            stride *= 2
        return max(0, kept)
