"""Whole sweeps: any number of workers draws the same chain, and it samples the posterior."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ddp.config.trainer import AlsTrainer, GibbsTrainer
from ddp.machine.compiled.gates import Gates
from ddp.model.parameters import Parameters
from ddp.model.room import filled_room
from ddp.model.sweeping import Sweeping
from ddp.ratings.arrays import Part
from ddp.ratings.row_blocks import ITEMS, USERS, RowBlocks
from ddp.timing.spans import Spans
from ddp.trainers.posterior.priors import MEAN_STRENGTH
from ddp.trainers.posterior.sweeps import PRECISION_PRIOR
from ddp.trainers.sweeper import Sweeper

USER_BOUNDS, ITEM_BOUNDS = (0, 3, 7, 20, 23), (0, 5, 6, 9, 17)


def gibbs(**changes):
    values = {"name": "gibbs", "burn_in": 0, "keep_samples": 1, "implicit": "none"}
    return GibbsTrainer(**(values | {"noise": "common"} | changes))


def part_of(users, items, ratings, order):
    return Part(
        users=users[order].astype(np.int32),
        items=items[order].astype(np.int32),
        ratings=ratings[order].astype(np.float32),
    )


class Phases:
    """Workers with common memory."""

    timeout_s = 60.0

    def __init__(self, gates, place):
        self.gates, self.place = gates, place


class Chain:
    """Some workers, each a thread, that share a model."""

    def __init__(self, options, dim, part, cuts=((0, 4), (0, 4)), bounds=None, seed=3):
        users, items = bounds or (USER_BOUNDS, ITEM_BOUNDS)
        blocks = RowBlocks(
            workers=tuple(range(len(cuts[0]) - 1)),
            user_bounds=users,
            item_bounds=items,
            user_cuts=cuts[0],
            item_cuts=cuts[1],
        )
        self.parameters = Parameters(users[-1], items[-1], dim)
        start = np.random.default_rng(0).normal(0, 0.1, len(self.parameters.vector))
        self.parameters.vector[:] = start
        self.parameters.views["global_mean"][:] = part.ratings.mean()
        sweeping = Sweeping(blocks=blocks, num_train=len(part), variance=float(part.ratings.var()))
        room = filled_room(sweeping, dim)
        counters = np.zeros(len(blocks.workers) + 1, np.int64)
        self.phases = [Phases(Gates(counters), place) for place in blocks.workers]
        first = Parameters(users[-1], items[-1], dim)
        first.vector[:] = self.parameters.vector
        self.sweepers = [
            Sweeper(
                options,
                self.parameters,
                first,
                rows_of(part, part.users, blocks.rows(USERS, worker)),
                rows_of(part, part.items, blocks.rows(ITEMS, worker)),
                worker=worker,
                held_out=(part, part),
                room=room,
                sweeping=sweeping,
                scale=(-np.inf, np.inf),
                seed=seed,
            )
            for worker in blocks.workers
        ]
        self.precisions, self.losses = [], []

    def sweep(self, number):
        """Does the sweeps of a new chain."""

        def work(sweeper, phases):
            done, spans = 0, Spans()
            while done < number:
                sweeps = sweeper.sweeps(range(done, number), phases, spans)
                losses = None
                while losses is None:
                    try:
                        next(sweeps)
                    except StopIteration as end:
                        losses = end.value
                done += len(losses)
                if sweeper is self.sweepers[0]:
                    self.precisions += sweeper.precisions
                    self.losses += losses

        with ThreadPoolExecutor(len(self.sweepers)) as threads:
            list(threads.map(work, self.sweepers, self.phases))
        return self.parameters.vector.tobytes()


def rows_of(part, column, rows):
    """The ratings of some rows of a side, sorted by row."""
    order = np.argsort(column, kind="stable")
    order = order[(column[order] >= rows.start) & (column[order] < rows.stop)]
    return part_of(part.users, part.items, part.ratings, order)


def some_ratings(num_users, num_items, count, seed=1):
    generator = np.random.default_rng(seed)
    pairs = generator.permutation(num_users * num_items)[:count]
    users, items = np.divmod(pairs, num_items)
    ratings = 3 + generator.normal(size=num_users)[users] * generator.normal(size=num_items)[items]
    return part_of(users, items, ratings + generator.normal(0, 0.5, count), np.arange(count))


# --- bits ---


@pytest.mark.parametrize("options", [gibbs(), gibbs(noise="rows"), "als"])
def test_two_and_three_workers_make_the_rows_of_one_to_the_bit(options):
    if options == "als":
        options = AlsTrainer(name="als", reg=0.1)
    part = some_ratings(USER_BOUNDS[-1], ITEM_BOUNDS[-1], 250)
    one = Chain(options, 5, part)
    expected = one.sweep(6)
    for cuts in (((0, 2, 4), (0, 1, 4)), ((0, 1, 3, 4), (0, 2, 3, 4))):
        several = Chain(options, 5, part, cuts)
        assert several.sweep(6) == expected
        assert several.precisions == one.precisions
        assert several.losses[-1] == one.losses[-1]
    assert Chain(options, 5, part, seed=4).sweep(6) != expected or isinstance(options, AlsTrainer)


def test_the_error_that_a_sweep_gives_is_that_of_its_rows():
    part = some_ratings(USER_BOUNDS[-1], ITEM_BOUNDS[-1], 250)
    for options in (gibbs(), AlsTrainer(name="als", reg=0.1)):
        chain = Chain(options, 5, part)
        chain.sweep(3)
        views = chain.parameters.views
        products = views["user_factors"][part.users] * views["item_factors"][part.items]
        predicted = products.sum(axis=1) + views["global_mean"][0]
        predicted += views["user_bias"][part.users] + views["item_bias"][part.items]
        expected = np.square(part.ratings - predicted.astype(np.float64)).mean()
        assert chain.losses[-1] == pytest.approx(expected, rel=1e-4)


# --- the posterior ---


CHAINS, BEFORE, AFTER = 100, 30, 120  # of the plain sampler: chains, and sweeps of each


def plain_sampler(part, shape, dim):
    """A plain Gibbs sampler of the same model: mean predictions, and precisions (AFTER, CHAINS)."""
    generator, size = np.random.default_rng(0), dim + 1
    table = np.zeros(shape)
    known = table.copy()
    table[part.users, part.items] = part.ratings.astype(np.float64) - np.mean(part.ratings)
    known[part.users, part.items] = 1
    rows = [generator.normal(0, 0.1, (CHAINS, count, size)) for count in shape]
    precision, total, precisions = np.full(CHAINS, 1 / np.var(part.ratings)), np.zeros(shape), []

    def draw(covariance):
        noise = generator.normal(size=(*covariance.shape[:-1], 1))
        return (np.linalg.cholesky(covariance) @ noise)[..., 0]

    def prior(x):
        count, mean = x.shape[1], x.mean(axis=1)
        around = x - mean[:, None]
        shrunk = count * MEAN_STRENGTH / (count + MEAN_STRENGTH)
        scatter = np.swapaxes(around, 1, 2) @ around + shrunk * mean[:, :, None] * mean[:, None, :]
        root = np.linalg.cholesky(np.linalg.inv(np.eye(size) + scatter))
        freedom = np.sqrt(generator.chisquare(size + count - np.arange(size), (CHAINS, size)))
        root = (
            root @ np.tril(generator.normal(size=(CHAINS, size, size)), -1)
            + root * freedom[:, None, :]
        )
        matrix = root @ np.swapaxes(root, 1, 2)
        covariance = np.linalg.inv(matrix) / (count + MEAN_STRENGTH)
        return matrix, count * mean / (count + MEAN_STRENGTH) + draw(covariance)

    for sweep in range(BEFORE + AFTER):
        for side, (values, mask) in enumerate(((table, known), (table.T, known.T))):
            matrix, mean = prior(rows[side])
            lines = rows[1 - side].copy()
            lines[:, :, 0] = 1
            targets = mask * (values - rows[1 - side][:, None, :, 0])
            sums = np.einsum("ro,coi,coj->crij", mask, lines, lines)
            systems = precision[:, None, None, None] * sums + matrix[:, None]
            right = precision[:, None, None] * (targets @ lines)
            right += (matrix @ mean[..., None])[:, None, :, 0]
            inverse = np.linalg.inv(systems)
            rows[side] = (inverse @ right[..., None])[..., 0] + draw(inverse)
        users, items = rows
        predicted = (
            users[..., 1:] @ np.swapaxes(items[..., 1:], 1, 2)
            + users[..., :1]
            + items[:, None, :, 0]
        )
        error = (known * np.square(table - predicted)).sum(axis=(1, 2))
        shape_of = PRECISION_PRIOR + len(part) / 2
        precision = generator.gamma(shape_of, size=CHAINS) / (PRECISION_PRIOR + error / 2)
        if sweep >= BEFORE:
            total += predicted.mean(axis=0) / AFTER
            precisions.append(precision)
    return total + np.mean(part.ratings), np.array(precisions)


def test_the_chain_samples_the_posterior_of_a_plain_sampler():
    shape, dim, number = (6, 5), 1, 20_000
    part = some_ratings(*shape, count=24)
    predicted, precisions = plain_sampler(part, shape, dim)
    chain = Chain(gibbs(), dim, part, ((0, 2), (0, 2)), ((0, 3, 6), (0, 1, 5)))
    chain.sweep(number)
    of_chains = precisions.mean(axis=0)
    error = of_chains.std() / np.sqrt(CHAINS)
    batches = np.reshape(chain.precisions, (20, -1)).mean(axis=1)
    error = np.hypot(error, batches.std() / np.sqrt(20))
    assert abs(np.mean(chain.precisions) - of_chains.mean()) < 4.5 * error
    found = chain.sweepers[0].predictions[0] / number
    assert np.abs(found - predicted[part.users, part.items]).max() < 0.02 * part.ratings.std()
