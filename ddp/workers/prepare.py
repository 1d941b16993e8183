"""All that is there before a worker starts: ratings, shards, and every worker's job."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path

from ddp.config.schema import Config
from ddp.config.seeding import stream
from ddp.errors import ConfigError
from ddp.model.parameters import EMPTY_VECTOR, Vector, initial_vector
from ddp.model.rows import in_data_order, renumbered
from ddp.ratings.arrays import Block, Part, Ratings
from ddp.ratings.holdout import Parts
from ddp.ratings.load import load_ratings, read_pairs
from ddp.ratings.splits import Deal, make_split
from ddp.ratings.strata import Numbering, Strata, cut, stratify
from ddp.trainers.trainer import arrange
from ddp.workers.job import EMPTY, Job, Shard
from ddp.workers.state import RunState


@dataclass(slots=True, kw_only=True)
class Prepared:
    """All that is there before a worker starts. `valid`, `test`: the global parts; `before`: the
       aggregate to go on from.

    `numbering`: that of the jobs' and parts' users and items, if it is not that of the ratings.
    """

    ratings: Ratings
    deal: Deal
    jobs: list[Job]
    before: Vector
    valid: Part
    test: Part
    numbering: Numbering | None = None

    def in_data_order(self, vector: Vector) -> Vector:
        """A copy of an aggregate, with its rows in the order of the ratings' users and items."""
        return (
            vector.copy()
            if self.numbering is None
            else in_data_order(self.jobs[0].parameters(vector), self.numbering)
        )


def prepare(
    config: Config, loaded: Ratings | None = None, state: RunState | None = None
) -> Prepared:
    """Loads (if they are not) and splits the ratings, and makes every worker's job. `state`: what
    the run goes on from.
    """
    state = state or RunState()
    ratings = load_ratings(config.data, config.seed) if loaded is None else loaded
    test_file = config.split.test_file
    test_rows = read_pairs(Path(test_file), config.data, ratings) if test_file is not None else None
    deal = make_split(ratings, config.split, config.workers, config.seed, test_rows)
    valid, test = ratings.part(deal.whole.valid), ratings.part(deal.whole.test)
    workers = [worker for worker in range(config.workers) if worker not in state.dropped]
    mean = float(ratings.ratings[deal.whole.train].mean(dtype="float64"))
    first = partial(
        initial_vector, config.model, ratings.num_users, ratings.num_items, mean, config.seed
    )
    job = partial(
        Job,
        config=config,
        num_users=ratings.num_users,
        num_items=ratings.num_items,
        rating_min=ratings.rating_min,
        rating_max=ratings.rating_max,
        first_round=state.next_round,
    )
    numbering = None
    if config.stratified:
        strata, numbering = stratify(ratings, deal, config.split, config.seed, workers)
        outside = first() if state.vector is None else state.vector
        before = renumbered(job(worker=0, shard=EMPTY, vector=outside).make_parameters(), numbering)
        jobs = [
            job(
                worker=worker,
                shard=_in_blocks(config, ratings, strata, numbering, worker, deal.shards[worker]),
                vector=before,
                trainer_state=state.trainer_states.get(worker, EMPTY_VECTOR),
                strata=strata,
            )
            for worker in workers
        ]
        valid, test = numbering.part(valid), numbering.part(test)
    else:
        jobs = _whole_jobs(config, ratings, deal, workers, state, job, first)
        before = jobs[0].vector if state.vector is None else state.vector
        for worker in workers:
            check_parts(config, worker, deal.shards[worker])
    return Prepared(
        ratings=ratings,
        deal=deal,
        jobs=jobs,
        before=before,
        valid=valid,
        test=test,
        numbering=numbering,
    )


def _whole_jobs(
    config: Config,
    ratings: Ratings,
    deal: Deal,
    workers: Sequence[int],
    state: RunState,
    job: Callable[..., Job],
    first: Callable[..., Vector],
) -> list[Job]:
    """The jobs of workers that train on whole shards, and whose states are averaged (or, in an
    ensemble, their predictions).
    """
    jobs: list[Job] = []
    everybody = slice(0, ratings.num_users), slice(0, ratings.num_items)
    start = first() if state.vector is None else state.vector
    for worker in workers:
        rows, trainer_state = deal.shards[worker], state.trainer_states.get(worker, EMPTY_VECTOR)
        if config.split.copies and jobs:  # whose workers share one
            shard = jobs[0].shard
        else:
            layout = stream(config.seed, "layout", 0 if config.split.copies else worker)
            train = arrange(
                config.trainer, config.model.dim, ratings.part(rows.train), *everybody, layout
            )
            shard = Shard(train=train, valid=ratings.part(rows.valid), test=ratings.part(rows.test))
        if config.in_ensemble:  # each goes on from its own state
            own = first(worker)
            start = own
            if len(trainer_state) > 0:
                start, trainer_state = trainer_state[: len(own)], trainer_state[len(own) :]
        jobs.append(job(worker=worker, shard=shard, vector=start, trainer_state=trainer_state))
    return jobs


def _in_blocks(
    config: Config, ratings: Ratings, strata: Strata, numbering: Numbering, worker: int, rows: Parts
) -> Shard:
    """A worker's ratings, block by block (split=stratified)."""
    layout = stream(config.seed, "layout", worker)
    train, valid, test = (
        cut(numbering.part(ratings.part(part)), strata)
        for part in (rows.train, rows.valid, rows.test)
    )
    users = strata.users(worker)
    items = [strata.items(group) for group in range(strata.num_workers)]
    train = [
        arrange(config.trainer, config.model.dim, part, users, own, layout)
        for part, own in zip(train, items, strict=True)
    ]
    rows_of = [_ranges(parts) for parts in (train, valid, test)]
    blocks = (
        Block(users=users, items=own, train=in_train, valid=in_valid, test=in_test)
        for own, in_train, in_valid, in_test in zip(items, *rows_of, strict=True)
    )
    return Shard(
        train=Part.joined(train),
        valid=Part.joined(valid),
        test=Part.joined(test),
        blocks=tuple(blocks),
    )


def _ranges(parts: Sequence[Part]) -> list[slice]:
    """Where each lies when they are joined."""
    ends = list(accumulate(len(part) for part in parts))
    return [slice(end - len(part), end) for part, end in zip(parts, ends, strict=True)]


def check_parts(config: Config, worker: int, shard: Parts) -> None:
    """Raises ConfigError for a shard without ratings in the part that judges its worker, if one
    does.
    """
    part = config.judged_on
    if part is None:
        return
    if len(shard.valid if part == "valid" else shard.test) == 0:
        raise ConfigError(
            "workers",
            config.workers,
            f"worker {worker}'s shard has {len(shard.train):,} training ratings but none in its"
            f" {part} part;"
            f" use fewer workers, a larger split.{part}_fraction, or select_on=last with"
            " aggregation=uniform",
        )
