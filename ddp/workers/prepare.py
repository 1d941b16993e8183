"""From ratings to jobs: the deal, the facts that all workers share, and every worker's job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

import numpy as np

from ddp.config.schema import Config
from ddp.config.seeding import stream
from ddp.model.parameters import EMPTY_VECTOR, Parameters, Vector, initial_vector
from ddp.model.rows import in_data_order, renumbered
from ddp.ratings.arrays import Block, IndexArray, IntArray, Part, Ratings
from ddp.ratings.holdout import PARTS
from ddp.ratings.numbering import Numbering
from ddp.ratings.row_blocks import ITEMS, USERS, RowBlocks
from ddp.ratings.splits import Deal
from ddp.ratings.strata import rows_by_group, stratify
from ddp.trainers.trainer import trainer_for
from ddp.workers.dealing import deal_of
from ddp.workers.job import Job, Shard, Task
from ddp.workers.state import RunState
from ddp.workers.sweeping_facts import sweeping_of


@dataclass(slots=True, kw_only=True)
class Prepared(Task):
    """All that is there before a worker starts, except the copies of the ratings in the jobs.

    | field           | meaning                                                                |
    |-----------------|------------------------------------------------------------------------|
    | `workers`       | the workers that take part, without those that were dropped            |
    | `numbering`     | the numbers of users and items in the jobs, if not those of `ratings`  |
    | `trainer_states`| worker -> the trainer state of its last update, of those that go on    |
    | `valid`, `test` | the validation and test part of all ratings                            |

    With aggregation=ensemble `vector` is the aggregate; each job has a state of its own.
    """

    ratings: Ratings
    deal: Deal
    workers: tuple[int, ...]
    numbering: Numbering | None = None
    trainer_states: Mapping[int, Vector] = field(default_factory=dict)
    valid: Part = field(init=False)
    test: Part = field(init=False)

    def __post_init__(self) -> None:
        self.valid = self._part(self.deal.rows("valid"))
        self.test = self._part(self.deal.rows("test"))

    def make_jobs(self) -> list[Job]:
        """A job for each worker.

        Only the jobs hold their copies of the ratings: the caller frees the RAM with the jobs.
        """
        if self.config.split.copies:  # the workers share one shard
            shared = self._shard(self.workers[0], layout=0)
            return [self._job(worker, shared) for worker in self.workers]
        if self.sweeping is not None:
            shards = self._sweep_shards(self.sweeping.blocks)
            return [self._job(worker, shard) for worker, shard in shards.items()]
        return [self._job(worker, self._shard(worker, layout=worker)) for worker in self.workers]

    @property
    def trains(self) -> list[IndexArray]:
        """The training rows of each worker."""
        return [self.deal.rows("train", worker) for worker in self.workers]

    @property
    def num_ratings(self) -> dict[int, int]:
        """The number of training ratings of each worker."""
        return {worker: self.deal.size("train", worker) for worker in self.workers}

    def in_data_order(self, vector: Vector) -> Vector:
        """A copy of an aggregate, with its rows in the order of the ratings' users and items."""
        if self.numbering is None:
            return vector.copy()
        return in_data_order(self.parameters(vector), self.numbering)

    def trusts_in_data_order(self, trusts: tuple[Vector, Vector]) -> tuple[Vector, Vector]:
        """The same for the trusts of users and of items (ddp/trainers/posterior/trusts.py)."""
        assert self.numbering is not None
        return trusts[USERS][self.numbering.users], trusts[ITEMS][self.numbering.items]

    def held_out_of(self, worker: int) -> IndexArray:
        """With split=both: the places of a worker's held-out ratings among those of all.

        The validation part comes first, and then the test part.
        """
        assert self.sweeping is not None
        held_out = np.concatenate([self.valid.users, self.test.users])
        return _inside(held_out, self.sweeping.blocks.rows(USERS, worker))

    def _sweep_shards(self, blocks: RowBlocks) -> dict[int, Shard]:
        """The shard of each worker, for split=both."""
        train = self.deal.rows("train")
        users, items = self._users(train), self._items(train)
        by_user, by_item = (np.argsort(column, kind="stable") for column in (users, items))
        users, items = users[by_user], items[by_item]
        shards = {}
        for worker in self.workers:
            own_users, own_items = blocks.rows(USERS, worker), blocks.rows(ITEMS, worker)
            first, stop = np.searchsorted(users, [own_users.start, own_users.stop])
            first_item, stop_item = np.searchsorted(items, [own_items.start, own_items.stop])
            shards[worker] = Shard(
                train=self._part(train[by_user[first:stop]]),
                by_item=self._part(train[by_item[first_item:stop_item]]),
                valid=self.valid.take(_inside(self.valid.users, own_users)),
                test=self.test.take(_inside(self.test.users, own_users)),
            )
        return shards

    def _job(self, worker: int, shard: Shard) -> Job:
        vector, trainer_state = self.vector, self.trainer_states.get(worker, EMPTY_VECTOR)
        if self.config.in_ensemble:  # each goes on from its own state
            vector = _first_vector(self.config, self.ratings, self.deal, worker)
            if len(trainer_state):
                length = len(vector)
                vector, trainer_state = trainer_state[:length], trainer_state[length:]
        return Job(
            config=self.config,
            num_users=self.num_users,
            num_items=self.num_items,
            rating_min=self.rating_min,
            rating_max=self.rating_max,
            vector=vector,
            strata=self.strata,
            sweeping=self.sweeping,
            first_round=self.first_round,
            worker=worker,
            shard=shard,
            trainer_state=trainer_state,
        )

    def _shard(self, worker: int, layout: int) -> Shard:
        """A worker's ratings. `layout` is the key of the random stream that orders them."""
        train, valid, test = (self.deal.rows(part, worker) for part in PARTS)
        random = stream(self.config.seed, "layout", layout)
        if self.strata is None or self.numbering is None:
            users, items = slice(0, self.num_users), slice(0, self.num_items)
            train = self._arranged(train, users, items, random)
            return Shard(train=self._part(train), valid=self._part(valid), test=self._part(test))
        trains, valids, tests = (
            rows_by_group(self.ratings, rows, self.numbering, self.strata)
            for rows in (train, valid, test)
        )
        users = self.strata.users(worker)
        groups = [self.strata.items(group) for group in range(self.strata.num_workers)]
        trains = [
            self._arranged(rows, users, items, random)
            for rows, items in zip(trains, groups, strict=True)
        ]
        ranges = zip(groups, *map(_ranges, (trains, valids, tests)), strict=True)
        return Shard(
            train=self._part(np.concatenate(trains)),
            valid=self._part(np.concatenate(valids)),
            test=self._part(np.concatenate(tests)),
            blocks=tuple(
                Block(users=users, items=items, train=train, valid=valid, test=test)
                for items, train, valid, test in ranges
            ),
        )

    def _arranged(
        self, rows: IndexArray, users: slice, items: slice, random: np.random.Generator
    ) -> IndexArray:
        """`rows` in the order that the trainer wants. Their ratings are of these users and items.

        Only row numbers move here. `_part` copies the ratings, once and in the final order.
        """
        order = trainer_for(self.config.trainer).arrange(
            self._users(rows) - np.int32(users.start),
            self._items(rows) - np.int32(items.start),
            users.stop - users.start,
            items.stop - items.start,
            self.config.model.dim,
            random,
        )
        return rows if order is None else rows[order]

    def _part(self, rows: IndexArray) -> Part:
        ratings = self.ratings.ratings[rows]
        return Part(users=self._users(rows), items=self._items(rows), ratings=ratings)

    def _users(self, rows: IndexArray) -> IntArray:
        users = self.ratings.users[rows]
        return users if self.numbering is None else self.numbering.users[users]

    def _items(self, rows: IndexArray) -> IntArray:
        items = self.ratings.items[rows]
        return items if self.numbering is None else self.numbering.items[items]


def prepare(config: Config, ratings: Ratings, state: RunState | None = None) -> Prepared:
    """Deals the ratings. `state`: the run continues from it; None: the run is new.

    Raises ConfigError or DataError where the ratings cannot be dealt as the config says.
    """
    state = state or RunState()
    deal = deal_of(config, ratings)
    workers = tuple(worker for worker in range(config.workers) if worker not in state.dropped)
    vector = _first_vector(config, ratings, deal) if state.vector is None else state.vector
    strata = numbering = sweeping = None
    if config.stratified:
        strata, numbering = stratify(ratings, deal, config, workers)
    elif config.has_owners:
        sweeping, numbering = sweeping_of(config, ratings, deal.rows("train"), workers, state)
    if numbering is not None:
        outside = Parameters(
            ratings.num_users,
            ratings.num_items,
            config.model.dim,
            biases=config.model.biases,
            vector=vector,
        )
        vector = renumbered(outside, numbering)
    return Prepared(
        config=config,
        num_users=ratings.num_users,
        num_items=ratings.num_items,
        rating_min=ratings.rating_min,
        rating_max=ratings.rating_max,
        vector=vector,
        strata=strata,
        sweeping=sweeping,
        first_round=state.next_round,
        ratings=ratings,
        deal=deal,
        workers=workers,
        numbering=numbering,
        trainer_states=state.trainer_states,
    )


def _first_vector(config: Config, ratings: Ratings, deal: Deal, *member: int) -> Vector:
    """The state that a run begins with; with `member` the state of that worker of an ensemble."""
    mean = float(ratings.ratings[deal.rows("train")].mean(dtype="float64"))
    return initial_vector(
        config.model, ratings.num_users, ratings.num_items, mean, config.seed, *member
    )


def _inside(users: IntArray, rows: slice) -> IndexArray:
    """The places of the users within these rows."""
    return np.flatnonzero((users >= rows.start) & (users < rows.stop))


def _ranges(parts: Sequence[IndexArray]) -> list[slice]:
    """The range of each part after joining them."""
    ends = accumulate((len(part) for part in parts), initial=0)
    return [slice(start, stop) for start, stop in pairwise(ends)]
