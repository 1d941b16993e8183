"""How the updates of a round become the next state: a mean by worker or by row, and an outer step; every row from its owner;
or all of them side by side."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from ddp.averaging import Weights, mean_by_row, row_weights, weighted_mean, worker_weights
from ddp.errors import AggregationError
from ddp.exchange import Update
from ddp.job import Job
from ddp.options import Aggregation, RowsAggregation
from ddp.outer import OuterOptimizer
from ddp.parameters import Vector
from ddp.strata import learned, unpack

# Writes the next state into the vector, and gives what each worker counted. Raises AggregationError, naming the worker.
Combine = Callable[[Sequence[Update], Vector], tuple[float, ...]]


def make_combine(jobs: Sequence[Job]) -> Combine:
    """What the config of the jobs asks for. To be called before a backend starts, which may move their ratings away."""
    options = jobs[0].config.aggregation
    if jobs[0].strata is not None:
        return partial(assemble, jobs[0])
    if jobs[0].in_ensemble:
        return partial(widen, jobs[0])
    mean: Combine
    if isinstance(options, RowsAggregation):
        mean = MeanByRow(options, jobs)
    else:
        mean = partial(mean_by_worker, options, [len(job.shard.train) for job in jobs])
    return mean if options.outer == "none" else OuterStep(options, mean, jobs[0].vector)


def mean_by_worker(options: Aggregation, num_ratings: Sequence[int], updates: Sequence[Update], out: Vector) -> tuple[float, ...]:
    """Each worker counts the same in every row. `num_ratings`: training ratings of each worker."""
    weights = worker_weights(options, num_ratings, [update.loss for update in updates])
    weighted_mean([update.vector for update in updates], weights, out)
    return tuple(weights.tolist())


class MeanByRow:
    """Each worker counts in a row by its training ratings of that user or item; a row that nobody rated stays as it was."""

    def __init__(self, options: RowsAggregation, jobs: Sequence[Job]) -> None:
        parts = [job.shard.train for job in jobs]
        self.start = jobs[0].parameters(jobs[0].vector)  # unrated rows stay as they are here: nobody trains them
        self.users = row_weights([np.bincount(p.users, minlength=self.start.num_users) for p in parts], options.power)
        self.items = row_weights([np.bincount(p.items, minlength=self.start.num_items) for p in parts], options.power)
        rows: Weights = np.concatenate([self.users, self.items])
        self.shares = tuple((rows.sum(axis=0) / rows.sum()).tolist())  # what each worker counts, over all rows

    def __call__(self, updates: Sequence[Update], out: Vector) -> tuple[float, ...]:
        mean_by_row([update.vector for update in updates], self.users, self.items, self.start, out)
        return self.shares


class OuterStep:
    """The state before the round, and an optimizer's step from there along the change that the mean makes."""

    def __init__(self, options: Aggregation, mean: Combine, start: Vector) -> None:
        self.mean = mean
        self.state = start.copy()
        self.optimizer = OuterOptimizer(options, len(start))

    def __call__(self, updates: Sequence[Update], out: Vector) -> tuple[float, ...]:
        weights = self.mean(updates, out)
        np.subtract(out, self.state, out=out)
        self.state += self.optimizer.step(out)
        if not np.isfinite(self.state).all():
            raise AggregationError("the outer step overflows float32; try a smaller aggregation.outer_lr")
        np.copyto(out, self.state)
        return weights


def widen(job: Job, updates: Sequence[Update], out: Vector) -> tuple[float, ...]:
    """The model whose prediction is the mean of the workers' predictions (before they are clipped).

    sum_w <p_w, q_w> / N = <(p_1, ..., p_N), (q_1, ..., q_N)> / N: the factors side by side, over sqrt(N); the biases' means.
    """
    aggregate, share = job.make_aggregate(out), 1.0 / len(updates)
    scale = np.float32(share**0.5)
    biases = [name for name in aggregate.views if not name.endswith("factors")]
    for name in biases:
        aggregate.views[name][...] = 0.0
    for update in updates:
        if not np.isfinite(update.vector).all():
            raise AggregationError(f"worker {update.worker} published a state with NaN or infinity; try a smaller trainer.lr")
        state = job.parameters(update.vector)
        columns = slice(update.worker * state.dim, (update.worker + 1) * state.dim)
        for name in ("user_factors", "item_factors"):
            np.multiply(state.views[name], scale, out=aggregate.views[name][:, columns])
        for name in biases:
            aggregate.views[name] += state.views[name] * np.float32(share)
    return tuple([share] * len(updates))


def assemble(job: Job, updates: Sequence[Update], out: Vector) -> tuple[float, ...]:
    """Every row from the one worker that holds it at the end of the round (split=stratified)."""
    strata, config = job.strata, job.config
    assert strata is not None
    state = job.parameters(out)
    np.copyto(state.views["global_mean"], job.vector[-1:])
    for update in updates:
        last_turn = (update.round_index + 1) * config.local_epochs * strata.num_workers - 1
        held = learned(strata.held(state, update.worker, last_turn))
        unpack(update.vector, held)
        if not all(np.isfinite(array).all() for array in held):
            raise AggregationError(f"worker {update.worker} published rows with NaN or infinity; try a smaller trainer.lr")
    return tuple([1.0 / len(updates)] * len(updates))
