"""Makes the next aggregate from the updates of a round.

| class | aggregation | the aggregate |
|---|---|---|
| `MeanByWorker` | uniform, samples, ... | a mean with one weight per worker |
| `MeanByRow` | rows | a mean with weights per user and item |
| `OuterStep` | outer=... | the aggregate before, plus an optimizer's step towards the mean |
| `SideBySide` | ensemble | the models of all workers side by side in one |
| `Assemble` | none | each row from the worker that holds it |
| `MadeRows` (made_rows.py) | none | each row from the worker that makes it (split=both) |
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np

from ddp.aggregation.outer import OuterOptimizer
from ddp.aggregation.weights import Weights, normalised, row_weights, worker_weights
from ddp.config.aggregation import Averaging, RowsAggregation
from ddp.errors import AggregationError
from ddp.model.parameters import Parameters, Vector
from ddp.model.rows import held_rows, learned, unpack
from ddp.ratings.strata import Strata
from ddp.workers.exchange import Update
from ddp.workers.job import Task
from ddp.workers.posterior import Posterior
from ddp.workers.prepare import Prepared


class Combine(ABC):
    """Makes the next aggregate from updates.

    `outer_state`: the state of the outer optimizer; each round makes new arrays. `posterior`: the
    samples so far, of a trainer that samples; each round makes a new one.
    """

    outer_state: tuple[Vector, ...] = ()
    posterior: Posterior | None = None

    @abstractmethod
    def __call__(self, updates: Sequence[Update], before: Vector, out: Vector) -> tuple[float, ...]:
        """Writes the next aggregate into `out`; returns the weight of each update.

        `before`: the aggregate before the round. Updates of some workers may be missing. Raises
        AggregationError, which names the worker.
        """


class MeanByWorker(Combine):
    """A mean with one weight per worker. `num_ratings`: training ratings of each worker."""

    def __init__(self, options: Averaging, num_ratings: Mapping[int, int]) -> None:
        from ddp.aggregation.mean import weighted_mean  # late: numba, which stratified runs save

        self.weighted_mean = weighted_mean
        self.options = options
        self.num_ratings = num_ratings

    def __call__(self, updates: Sequence[Update], before: Vector, out: Vector) -> tuple[float, ...]:
        workers = [update.worker for update in updates]
        losses = [update.loss for update in updates]
        weights = worker_weights(
            self.options, [self.num_ratings[worker] for worker in workers], losses, workers
        )
        self.weighted_mean([update.vector for update in updates], weights, out, workers)
        return tuple(weights.tolist())


class MeanByRow(Combine):
    """A mean in which each worker has a weight per user and item.

    The weight follows from the worker's number of training ratings of the user or item. The row of
    a user or item without training ratings stays as it was.
    """

    def __init__(self, options: RowsAggregation, prepared: Prepared) -> None:
        from ddp.aggregation.mean import mean_by_row

        self.mean_by_row = mean_by_row
        self.task = prepared
        self.workers = list(prepared.workers)
        ratings, trains = prepared.ratings, prepared.trains
        users = [np.bincount(ratings.users[rows], minlength=ratings.num_users) for rows in trains]
        items = [np.bincount(ratings.items[rows], minlength=ratings.num_items) for rows in trains]
        self.users = row_weights(users, options.power)
        self.items = row_weights(items, options.power)
        self.shares = _shares(self.users, self.items)

    def __call__(self, updates: Sequence[Update], before: Vector, out: Vector) -> tuple[float, ...]:
        workers = [update.worker for update in updates]
        users, items, shares = self.users, self.items, self.shares
        if workers != self.workers:
            places = [self.workers.index(worker) for worker in workers]
            users, items = normalised(users[:, places]), normalised(items[:, places])
            shares = _shares(users, items)
        self.mean_by_row(
            [update.vector for update in updates],
            users,
            items,
            self.task.parameters(before),
            out,
            workers,
        )
        return shares


def _shares(users: Weights, items: Weights) -> tuple[float, ...]:
    """The weight of each worker, averaged over all rows."""
    rows: Weights = np.concatenate([users, items])
    return tuple((rows.sum(axis=0) / rows.sum()).tolist())


class OuterStep(Combine):
    """The aggregate before the round, plus an optimizer's step towards the mean."""

    def __init__(
        self, options: Averaging, mean: Combine, length: int, outer_state: tuple[Vector, ...]
    ) -> None:
        self.mean = mean
        self.optimizer = OuterOptimizer(options, length, outer_state)

    @property
    def outer_state(self) -> tuple[Vector, ...]:  # type: ignore[override]
        """The state of the outer optimizer."""
        return self.optimizer.state

    def __call__(self, updates: Sequence[Update], before: Vector, out: Vector) -> tuple[float, ...]:
        weights = self.mean(updates, before, out)
        np.subtract(out, before, out=out)
        np.add(before, self.optimizer.step(out), out=out)
        if not np.isfinite(out).all():
            raise AggregationError(
                "the outer step overflows float32; try a smaller aggregation.outer_lr"
            )
        return weights


class SideBySide(Combine):
    """A model whose prediction is the mean of the workers' predictions, before clipping.

    It has the factors of all N workers side by side, divided by sqrt(N), and the mean biases:

        sum_w <p_w, q_w> / N = <(p_1, ..., p_N), (q_1, ..., q_N)> / N
    """

    def __init__(self, task: Task) -> None:
        self.task = task

    def __call__(self, updates: Sequence[Update], before: Vector, out: Vector) -> tuple[float, ...]:
        out[:] = 0.0  # the factors of missing workers stay zero
        aggregate, share = self.task.make_aggregate(out), 1.0 / len(updates)
        for update in updates:
            self._add(update, aggregate, share)
        return tuple([share] * len(updates))

    def _add(self, update: Update, aggregate: Parameters, share: float) -> None:
        if not np.isfinite(update.vector).all():
            raise AggregationError.not_finite(update.worker)
        state = self.task.parameters(update.vector)
        columns = slice(update.worker * state.dim, (update.worker + 1) * state.dim)
        for name in ("user_factors", "item_factors"):
            np.multiply(
                state.views[name], np.float32(share**0.5), out=aggregate.views[name][:, columns]
            )
        for name in aggregate.views:
            if not name.endswith("factors"):
                aggregate.views[name] += state.views[name] * np.float32(share)


class Assemble(Combine):
    """Each row from the worker that holds it at the end of the round (split=stratified)."""

    def __init__(self, task: Task, strata: Strata) -> None:
        self.task = task
        self.strata = strata

    def __call__(self, updates: Sequence[Update], before: Vector, out: Vector) -> tuple[float, ...]:
        strata, state = self.strata, self.task.parameters(out)
        np.copyto(out, before)  # for the global mean, and for the users of dropped workers
        for update in updates:
            last_turn = strata.first_turn(update.round_index + 1) - 1
            held = learned(held_rows(strata, state, update.worker, last_turn))
            unpack(update.vector, held)
            if not all(np.isfinite(array).all() for array in held):
                raise AggregationError.not_finite(update.worker)
        return tuple([1.0 / len(updates)] * len(updates))
