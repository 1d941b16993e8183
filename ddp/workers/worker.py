"""A worker's rounds, the same on every backend: train, publish, receive the aggregate."""

import math
from collections.abc import Generator, Iterator
from dataclasses import replace

import numpy as np

from ddp.config import seeding
from ddp.errors import Stopped, WorkerError
from ddp.machine.memory import Memory, memory_of, peak_rss_bytes
from ddp.model.parameters import EMPTY_VECTOR, Vector
from ddp.timing.paths import START
from ddp.tracking.messages import EpochDone, Failed, Finished, Started, WorkerRound
from ddp.trainers.trainer import Best, stepping_trainer
from ddp.workers.exchange import Exchange
from ddp.workers.job import Job
from ddp.workers.stratified import StratifiedWorker
from ddp.workers.sweeping import SweepingWorker


def run_worker(job: Job, exchange: Exchange) -> None:
    """Runs a worker to its end, in a thread or process of its own, and reports its failure."""
    try:
        for _ in worker_loop(job, exchange):
            pass
    except WorkerError as error:
        exchange.tell(Failed(worker=error.worker, error=error))


def worker_loop(job: Job, exchange: Exchange) -> Iterator[None]:
    """The whole work of a worker.

    Yields where the worker waits for others, and after each round: `serial` then runs the others.
    Closes the stopwatch of the exchange at the end. Raises WorkerError for each failure.
    """
    round_index = None
    spans = exchange.spans

    def tell(message: Started | WorkerRound | Finished) -> None:
        with spans("tell"):
            exchange.tell(message)

    try:
        with spans(START), spans("kernel"):
            worker = _make(job, exchange)
        account = spans.take()
        tell(Started(worker=job.worker, startup_s=account.wall_s, account=account))
        while worker.next_round < job.config.rounds and not exchange.news.is_last:
            round_index = worker.next_round
            row = yield from worker.round(round_index)
            tell(replace(row, account=spans.take()))
            with spans("wait"):
                yield
        with spans("tell"):
            memory = _memory_of(job)
        account = spans.take()
        tell(Finished(worker=job.worker, memory=memory, account=account, at_s=spans.at))
    except (Stopped, KeyboardInterrupt, GeneratorExit):
        raise
    # SystemExit as well: the aggregator would wait for a thread that ends without a message
    except BaseException as error:
        raise WorkerError.of(error, job.worker, round_index, spans.phase) from error
    finally:
        spans.close()


def _make(job: Job, exchange: Exchange) -> "Worker | StratifiedWorker | SweepingWorker":
    """The worker for the split of the config."""
    if job.strata is not None:
        return StratifiedWorker(job, job.strata, exchange)
    if job.sweeping is not None:
        return SweepingWorker(job, job.sweeping, exchange)
    return Worker(job, exchange)


def _memory_of(job: Job) -> Memory:
    """The RAM of the worker's process; for a thread only the peak of the process that it is in."""
    if job.config.backend.in_processes and job.config.account:
        return memory_of()
    return Memory(peak_rss_bytes=peak_rss_bytes(), pss_bytes=None)


class Worker:
    """Trains on its shard, and publishes the best state of each round.

    The next round begins with the aggregate, in an ensemble with the worker's own state.
    """

    def __init__(self, job: Job, exchange: Exchange) -> None:
        self.job = job
        self.exchange = exchange
        self.spans = exchange.spans
        # the round after its newest aggregate: a late worker leaves rounds out
        self.next_round = job.first_round
        self.live = job.make_parameters()
        self.best = Best(job.make_parameters())
        self.trainer = stepping_trainer(job.config.trainer)(
            job.config.trainer,
            self.live,
            job.shard.train,
            held_out=(job.selects_on,),
            scale=job.scale,
        )
        self.trainer.load_state(job.trainer_state, job.first_round * job.config.local_epochs)

    def round(self, round_index: int) -> Generator[None, None, WorkerRound]:
        """Trains, publishes, and takes over the aggregate if it comes in time.

        Yields before it waits for the others.
        """
        self.next_round = round_index + 1
        row = self.train_round(round_index)
        with self.spans("evaluate"):
            self.job.check_norm(row, self.best.vector)
        with self.spans("publish"):
            trainer_state = (
                self._trainer_state() if self.job.sends_state(round_index) else EMPTY_VECTOR
            )
            self.exchange.publish(self.job.update(row, self.best.vector, trainer_state))
        with self.spans("wait"):
            yield
            received = self.exchange.wait(round_index, self.job.config.agg_timeout)
        if received and self.job.config.reads_aggregate:
            with self.spans("receive"):
                self.next_round = self.exchange.receive_into(self.live.vector, round_index) + 1
        return replace(row, aggregate_received=received)

    def train_round(self, round_index: int) -> WorkerRound:
        """Trains `local_epochs` epochs.

        Afterwards `self.best` holds the state with the lowest RMSE on the `select_on` part.
        """
        num_epochs = self.job.config.local_epochs
        order = seeding.stream(self.job.config.seed, "order", self.job.worker, round_index)
        self.best.forget()
        loss, done = math.nan, 0
        while done < num_epochs:
            for loss in self.trainer.epochs(range(done, num_epochs), order, self.best, self.spans):
                self.job.check_loss(loss, round_index, done)
                done += 1
            with self.spans("tell"):
                self.exchange.tell(
                    EpochDone(worker=self.job.worker, round_index=round_index, epoch=done - 1)
                )
        with self.spans("evaluate"):
            best_epoch = self.best.epoch
            if best_epoch is None:
                # select_on=last, or no epoch had a finite RMSE: the aggregator then refuses the
                # state, and names the worker
                best_epoch = num_epochs - 1
                with self.spans("copy"):
                    self.best.keep(self.live.vector, best_epoch)
            valid = self.job.evaluate(self.best.parameters, self.job.shard.valid)
            test = self.job.evaluate(self.best.parameters, self.job.shard.test)
        return WorkerRound(
            worker=self.job.worker,
            round_index=round_index,
            train_loss=loss,
            valid=valid,
            test=test,
            best_epoch=best_epoch,
            aggregate_received=False,
        )

    def _trainer_state(self) -> Vector:
        own = [self.live.vector] if self.job.config.in_ensemble else []
        return np.concatenate([*own, self.trainer.state()])
