"""One run, told in order: ratings, shards, workers and aggregator, results."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from pathlib import Path

import torch

from ddp.aggregator import aggregator_loop
from ddp.backends import make_backend
from ddp.combine import make_combine
from ddp.config import Config
from ddp.datasets import load_ratings, read_pairs
from ddp.errors import ConfigError
from ddp.holdout import Parts
from ddp.job import EMPTY, Job, Shard
from ddp.metrics import SquaredError
from ddp.parameters import Vector, initial_vector
from ddp.ratings import Block, Part, Ratings
from ddp.record import RunResult, write_result
from ddp.reference import Reference, find_reference
from ddp.rescue import save
from ddp.run_directory import claim_run_directory
from ddp.saved_model import save_model
from ddp.seeding import stream
from ddp.splits import Deal, make_split, shard_summary
from ddp.strata import Numbering, Strata, cut, stratify
from ddp.tracking import Everyone, Tracker
from ddp.trainers import arrange


@dataclass(slots=True, kw_only=True)
class Prepared:
    """All that is there before a worker starts. `valid`, `test`: the global parts.

    `numbering`: that of the jobs' and parts' users and items, if it is not that of the ratings.
    """

    ratings: Ratings
    deal: Deal
    jobs: list[Job]
    valid: Part
    test: Part
    numbering: Numbering | None = None


def run(config: Config, output_dir: Path, trackers: list[Tracker]) -> RunResult:
    """One run from its config to its files in `output_dir`, which must not hold a run yet.

    Whatever happens, result.json says how it ended. Raises UserError for bad input, WorkerError and AggregationError for
    what goes wrong under way.
    """
    claim_run_directory(config, output_dir)
    result = RunResult(config=config, output_dir=output_dir)
    tracker = Everyone([result.history, *trackers])
    try:
        tracker.open()
        with _stage(result, "total"):
            with _stage(result, "data"):
                prepared = prepare(config)
            result.shards = shard_summary(prepared.ratings, prepared.deal)
            result.noise_floor = prepared.ratings.noise_floor
            vector = train(prepared, tracker, result)
            with _stage(result, "save"):
                model = replace(config.model, dim=prepared.jobs[0].aggregate_dim)
                save(result, lambda directory: save_model(directory, model, vector, prepared.ratings))
        result.status = "ok"
        if config.reference != "false":
            with _stage(result, "reference"):  # not in the total: only the first of many runs trains it
                alone = partial(train_reference, prepared.ratings)
                result.reference = find_reference(config, prepared.ratings, prepared.deal, alone)
            if result.reference is not None:
                tracker.reference(result.reference)
    except KeyboardInterrupt:
        result.status = "interrupted"
        raise
    except BaseException as error:
        result.status, result.error = "failed", f"{type(error).__name__}: {error}"
        raise
    finally:
        if "imports" in result.seconds:
            result.seconds["total"] -= result.seconds["imports"]
        try:
            tracker.close()
        finally:
            result.warnings += [tracker.trouble for tracker in trackers if tracker.trouble]
            save(result, partial(write_result, result))
    return result


def prepare(config: Config, loaded: Ratings | None = None) -> Prepared:
    """Loads (if they are not) and splits the ratings, and makes every worker's job."""
    ratings = load_ratings(config.data, config.seed) if loaded is None else loaded
    test_file = config.split.test_file
    test_rows = read_pairs(Path(test_file), config.data, ratings) if test_file is not None else None
    deal = make_split(ratings, config.split, config.workers, config.seed, test_rows)
    mean = float(ratings.ratings[deal.whole.train].mean(dtype="float64"))
    first = partial(initial_vector, config.model, ratings.num_users, ratings.num_items, mean, config.seed)
    vector = first()
    valid, test = ratings.part(deal.whole.valid), ratings.part(deal.whole.test)
    job = partial(
        Job,
        config=config,
        num_users=ratings.num_users,
        num_items=ratings.num_items,
        rating_min=ratings.rating_min,
        rating_max=ratings.rating_max,
    )
    if config.split.name == "stratified":
        strata, numbering = stratify(ratings, deal, config.split, config.seed)
        vector = numbering.inward(job(worker=0, shard=EMPTY, vector=vector).make_parameters())
        jobs = [
            job(
                worker=worker,
                shard=_in_blocks(config, ratings, strata, numbering, worker, rows),
                vector=vector,
                strata=strata,
            )
            for worker, rows in enumerate(deal.shards)
        ]
        return Prepared(
            ratings=ratings, deal=deal, jobs=jobs, valid=numbering.part(valid), test=numbering.part(test), numbering=numbering
        )
    jobs = []
    everybody = slice(0, ratings.num_users), slice(0, ratings.num_items)
    for worker, rows in enumerate(deal.shards):
        layout = stream(config.seed, "layout", worker)
        if worker == 0 or config.split.name != "copies":  # whose workers share one
            train = arrange(config.trainer, config.model.dim, ratings.part(rows.train), *everybody, layout)
            shard = Shard(train=train, valid=ratings.part(rows.valid), test=ratings.part(rows.test))
        start = first(worker) if config.aggregation.name == "ensemble" else vector
        jobs.append(job(worker=worker, shard=shard, vector=start))
    _check_parts(config, jobs)
    return Prepared(ratings=ratings, deal=deal, jobs=jobs, valid=valid, test=test)


def _in_blocks(config: Config, ratings: Ratings, strata: Strata, numbering: Numbering, worker: int, rows: Parts) -> Shard:
    """A worker's ratings, block by block (split=stratified)."""
    layout = stream(config.seed, "layout", worker)
    train, valid, test = (cut(numbering.part(ratings.part(part)), strata) for part in (rows.train, rows.valid, rows.test))
    users = strata.users(worker)
    items = [strata.items(group) for group in range(strata.num_workers)]
    train = [arrange(config.trainer, config.model.dim, part, users, own, layout) for part, own in zip(train, items, strict=True)]
    rows_of = [_ranges(parts) for parts in (train, valid, test)]
    blocks = (
        Block(users=users, items=own, train=in_train, valid=in_valid, test=in_test)
        for own, in_train, in_valid, in_test in zip(items, *rows_of, strict=True)
    )
    return Shard(train=Part.joined(train), valid=Part.joined(valid), test=Part.joined(test), blocks=tuple(blocks))


def _ranges(parts: Sequence[Part]) -> list[slice]:
    """Where each lies when they are joined."""
    ends = list(accumulate(len(part) for part in parts))
    return [slice(end - len(part), end) for part, end in zip(parts, ends, strict=True)]


def _check_parts(config: Config, jobs: list[Job]) -> None:
    """Every worker must have something to select its best state on, and to be weighted by."""
    part = config.select_on
    if part == "last":
        if config.aggregation.name not in ("inverse_loss", "softmax_loss"):
            return
        part = "valid"
    for job in jobs:
        if len(job.shard.valid if part == "valid" else job.shard.test) == 0:
            raise ConfigError(
                "workers",
                config.workers,
                f"worker {job.worker}'s shard has {len(job.shard.train):,} training ratings but none in its {part} part;"
                f" use fewer workers, a larger split.{part}_fraction, or select_on=last with aggregation=uniform",
            )


def train(prepared: Prepared, tracker: Tracker, result: RunResult) -> Vector:
    """Runs workers and aggregator to the end; the last aggregate. Stages of the wall go into `result.seconds`."""
    config = prepared.jobs[0].config
    job = prepared.jobs[0]
    aggregated = job.make_aggregate()

    def evaluate_global(vector: Vector) -> tuple[SquaredError, SquaredError]:
        aggregated.vector[:] = vector
        return job.evaluate(aggregated, prepared.valid), job.evaluate(aggregated, prepared.test)

    combine = make_combine(prepared.jobs)
    backend = make_backend(prepared.jobs, tracker.listen)
    vector = aggregated.vector
    with _torch_threads(config.torch_threads):
        result.torch_threads = torch.get_num_threads()
        try:
            with _stage(result, "imports"):
                backend.load()
            with _stage(result, "start"):
                backend.start()
            with _stage(result, "train"):
                for row, aggregate in aggregator_loop(config, backend, combine, evaluate_global):
                    vector = aggregate
                    tracker.aggregate_round(row)
        finally:
            with _stage(result, "stop"):
                backend.stop()
    return vector if prepared.numbering is None else prepared.numbering.outward(job.parameters(vector))


def train_reference(ratings: Ratings, config: Config) -> Reference:
    """Trains the one worker that a run is compared with."""
    result = RunResult(config=config, output_dir=Path())
    train(prepare(config, ratings), result.history, result)
    assert result.last is not None
    return Reference(valid=result.last.valid.rmse, test=result.last.test.rmse)


@contextmanager
def _stage(result: RunResult, name: str) -> Iterator[None]:
    """Notes the wall of the block, also when it fails."""
    began = time.perf_counter()
    try:
        yield
    finally:
        result.seconds[name] = time.perf_counter() - began


@contextmanager
def _torch_threads(number: int) -> Iterator[None]:
    """Intra-op threads for this process, put back afterwards: a sweep runs its jobs in one process."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
